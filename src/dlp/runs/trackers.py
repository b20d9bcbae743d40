"""Trackers of a fit by name; their files lie in the folder of the run, and nothing is sent."""

import os
from pathlib import Path

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from dlp.errors import extra


def build_logger(tracker: str, name: str, folder: Path) -> loggers.Logger:
    """Build a logger of Lightning for a config; that of a resumed fit goes on in the folder."""
    if tracker == "csv" or getattr(rank_zero_only, "rank", 0) > 0:  # others log nothing
        return loggers.CSVLogger(folder, name="csv")  # version_1 there for a resumed fit
    with extra(tracker):
        if tracker == "tensorboard":
            return loggers.TensorBoardLogger(folder, tracker, version="", default_hp_metric=False)
        return (_mlflow if tracker == "mlflow" else _wandb)(name, folder)


def _mlflow(name: str, folder: Path) -> loggers.Logger:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read by the import
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder}/mlflow.db"
    artifacts = f"{folder}/artifacts"
    client = MlflowClient(uri)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    run_id = runs[0].info.run_id if runs else None
    return loggers.MLFlowLogger(name, folder.name, uri, artifact_location=artifacts, run_id=run_id)


def _wandb(name: str, folder: Path) -> loggers.Logger:
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    ids = [path.name.rpartition("-")[2] for path in folder.glob("wandb/*run-*-*")]
    run_id = ids[0] if ids else None
    return loggers.WandbLogger(f"{name}/{folder.name}", folder, project="dlp", id=run_id)
