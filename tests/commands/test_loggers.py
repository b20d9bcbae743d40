"""Trackers by name: their numbers are those of ``metrics.csv``."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers.training import small_fit

from dlp.callbacks import History
from dlp.cli import main
from dlp.runs.trackers import build_logger

FIT = ("fit", "--config", "points.yaml", "--trainer.max_epochs", "1", "--logger")
RUN = Path("runs/points/version_0")


def from_csv(run):
    """Return the values of each metric in the order of the epochs."""
    files = sorted(run.glob("csv/version_*/metrics.csv"))
    return {n: column.dropna().tolist() for n, column in pd.concat(map(pd.read_csv, files)).items()}


def from_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard")).Reload()
    return {name: [event.value for event in events.Scalars(name)] for name in events.scalars.Keys()}


def from_mlflow(run):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    (record,) = client.search_runs(ids)
    histories = {n: client.get_metric_history(record.info.run_id, n) for n in record.data.metrics}
    return {name: [metric.value for metric in history] for name, history in histories.items()}


def from_wandb(run):
    from wandb.proto.wandb_internal_pb2 import Record

    values = {}
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        for row in (Record.FromString(record).history for record in log_records(path.read_bytes())):
            for item in row.item:
                values.setdefault("/".join(item.nested_key), []).append(json.loads(item.value_json))
    return values


def log_records(data):
    """Yield the records of a LevelDB log: blocks of 32 kB, each part with a header of 7 bytes."""
    position, record = 7, b""
    while position + 7 <= len(data):
        if (room := -position % 32768) and room < 7:
            position += room
        size, kind = struct.unpack_from("<HB", data, position + 4)
        record += data[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # a whole record, or its last part
            yield record
            record = b""


def assert_equal(values, run):
    metrics = pd.read_csv(run / "metrics.csv", index_col="epoch").to_dict("list")
    assert len(metrics["val_loss"]) == 2
    assert {name: values[name] for name in metrics} == {
        name: pytest.approx(column, rel=1e-6) for name, column in metrics.items()
    }


def test_csv_and_tensorboard_have_the_numbers_of_each_epoch(tmp_path):
    trackers = [build_logger(name, "points", tmp_path) for name in ("csv", "tensorboard")]
    small_fit(History(tmp_path), logger=trackers, max_epochs=2, log_every_n_steps=1)
    assert_equal(from_csv(tmp_path), tmp_path)
    assert_equal(from_tensorboard(tmp_path), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's and Lightning's own
@pytest.mark.parametrize("read", [from_csv, from_tensorboard, from_mlflow, from_wandb])
def test_a_tracker_has_the_numbers_of_a_resumed_fit(points, read):
    tracker = read.__name__.removeprefix("from_")
    if tracker in ("mlflow", "wandb"):
        pytest.importorskip(tracker)
    command = [sys.executable, "-m", "dlp", "fit"]
    subprocess.run([*command, *FIT[1:], tracker], check=True)
    subprocess.run([*command, "--ckpt_path", RUN, "--trainer.max_epochs", "2"], check=True)
    assert_equal(read(RUN), RUN)


def test_a_tracker_leaves_config_and_checkpoints_in_place(points):
    main([*FIT, "csv"])
    assert {path.name for path in RUN.iterdir()} >= {"config.yaml", "metrics.csv", "csv"}
    assert {path.name for path in (RUN / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_missing_tracker_is_a_sentence_with_its_extra(points, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert 'pip install "dlp-lightning[mlflow]"' in fails(*FIT, "mlflow")
    assert not [*Path("runs").rglob("version_*")]
