"""Restore runs in Python: data, trained module, and the predictions of folds."""

from pathlib import Path
from typing import NamedTuple

from lightning import LightningModule
from lightning.pytorch.utilities.seed import isolate_rng

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.ownership import supervised_data
from dlp.datamodules.parts import rows_fingerprint
from dlp.errors import InputError, loading_weights
from dlp.folds.plan import read_folds
from dlp.folds.results import OutOfFold, out_of_fold, with_all_rows
from dlp.inference.predictor import Predictor
from dlp.inference.trained import TrainedModel
from dlp.modules.checkpoint import Checkpoint
from dlp.modules.supervised import SupervisedModule
from dlp.recipes.recipe import Recipe, load
from dlp.runs.folder import Run


class RestoredRun(NamedTuple):
    """Run, with its data and its trained module."""

    run: Run
    data: SupervisedDataModule
    module: LightningModule


def restore(run: str | Path, check_rows: bool = True) -> RestoredRun:
    """Restore the data and the module of a run, with the weights of the run's checkpoint.

    The data encodes new rows in the same way as the training rows. The module is in evaluation
    mode. Nothing is downloaded.

    Args:
        run: Name of a config, whose newest run is restored; or folder of a run, or a checkpoint in
            it.
        check_rows: Whether to refuse data whose training or validation rows have changed since the
            training.

    Raises:
        InputError: If there is no such run, or if its rows have changed.
    """
    home = Run.find(run)
    return restored(home, Checkpoint(home.model()), check_rows)


def restored(run: Run, checkpoint: Checkpoint, check_rows: bool = True) -> RestoredRun:
    """Restore a run with one of its checkpoints, as `restore` does. The checkpoint is read once."""
    run.check_version()
    if not run.is_recorded:
        raise InputError(
            f"{checkpoint.path} is not in the folder of a run. This command needs the run's "
            "run.json and config.yaml to build the data and the model."
        )
    run.check_config()
    with isolate_rng():  # building a recipe sets the global seed
        recipe = Recipe("load", [run.config], checkpoint=checkpoint)
        data = supervised_data(recipe.data(check_rows))
        module = recipe.model(data)
    module.on_load_checkpoint(checkpoint.content)
    with loading_weights(checkpoint.path):
        module.load_state_dict(checkpoint.content["state_dict"])
    return RestoredRun(run, data, module.eval())


def load_predictor(run: Run) -> Predictor:
    """Load a predictor with the model of a run, or with one model per fold."""
    return Predictor([load_trained(run, Checkpoint(path)) for path in run.models()])


def load_trained(run: Run, checkpoint: Checkpoint) -> TrainedModel:
    """Build the model of a checkpoint.

    If the checkpoint does not identify all of the model's code, the model is built from the config
    of the run.
    """
    lacks_code = checkpoint.spec.missing(SupervisedModule, {}) is not None
    if lacks_code and run.is_recorded and run.config.is_file():
        return trained_model(checkpoint, restored(run, checkpoint, check_rows=False))
    return TrainedModel.load(checkpoint)


def trained_model(checkpoint: Checkpoint, restored_run: RestoredRun) -> TrainedModel:
    """Return the model of a run that was restored from a checkpoint."""
    run, data, module = restored_run
    if not isinstance(module, SupervisedModule):
        raise InputError(
            f"{run.folder}: this command expects a run of a SupervisedModule, got a run of a "
            f"{type(module).__name__}. Give another run."
        )
    return TrainedModel(checkpoint.spec, data.encoder, module.float())


def out_of_fold_outputs(folder: str | Path) -> tuple[SupervisedDataModule, OutOfFold]:
    """Return the data of a cross-validation, and the predictions of its finished folds.

    Args:
        folder: Folder of the run.

    Raises:
        InputError: If no fold is finished, if the rows have changed, or if there are no
            predictions.
    """
    folder = Path(folder)
    run = Run(folder)
    run.check_config()
    with isolate_rng():  # building a recipe sets the global seed
        data = with_all_rows(supervised_data(load(run.config).data()))
    folds = list(read_folds(folder / "folds.jsonl", []).values())
    if not folds:
        raise InputError(f"{folder} has no finished fold. Run dlp crossval first.")
    fingerprint = rows_fingerprint(data.labelled.parts)
    if not folds[0].rows_fingerprint.startswith(fingerprint):
        raise InputError(
            f"the rows of the data have changed since the folds of {folder} were trained. Run dlp "
            "crossval again, with another --run_dir."
        )
    predictions = out_of_fold(data, folds)
    if predictions is None:
        raise InputError(
            f"the folds of {folder} have no predictions: either the training diverged, or "
            "validation_step returns no predictions."
        )
    return data, predictions
