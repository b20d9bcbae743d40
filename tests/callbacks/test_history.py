import csv
import json
import math

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer

from dlp.callbacks import History, LastCheckpoint
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


def fit(*callbacks, **arguments):
    """Fit a small classifier in a plain Trainer."""
    x = np.random.default_rng(0).normal(size=(60, 4))
    data = ArrayDataModule(x, (x[:, 0] > 0).astype(int), batch_size=16)
    model = DenseModule(data.input_shape, data.num_outputs, head="sigmoid", hidden=(4,))
    settings = {"max_epochs": 3, "num_sanity_val_steps": 0, **QUIET, **arguments}
    trainer = Trainer(callbacks=list(callbacks), **settings)
    trainer.fit(model, datamodule=data)
    return trainer


def test_every_metric_by_epoch(tmp_path):
    seen = []

    class Watch(Callback):
        def on_train_end(self, trainer, pl_module):
            seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    history = History(tmp_path)
    fit(history, Watch())
    assert set(history.metrics) == {"train_loss", "train_acc", "val_loss", "val_acc"}
    assert [len(values) for values in history.metrics.values()] == [3, 3, 3, 3]
    assert {name: values[-1] for name, values in history.metrics.items()} == seen[0]
    assert json.loads((tmp_path / "history.json").read_text()) == history.metrics
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["val_acc"]) for row in rows] == history.metrics["val_acc"]


def test_in_memory_alone_and_in_a_trial_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(History())
    fit(History(tmp_path), fast_dev_run=True)
    assert not list(tmp_path.iterdir())


def test_validation_in_some_epochs_only():
    history = History()
    fit(history, max_epochs=4, check_val_every_n_epoch=2)
    assert len(history.metrics["train_loss"]) == 4
    values = history.metrics["val_loss"]
    assert len(values) == 4
    assert [math.isnan(value) for value in values] == [True, False, True, False]


@pytest.mark.parametrize(
    ("metrics", "monitor", "best", "words"),
    [
        ({"val_loss": [3.0, 1.0, 2.0]}, "val_loss", 2, "best at epoch 2 (1.0000) and got worse"),
        ({"val_loss": [3.0, 2.0, 1.0]}, "val_loss", 3, "not overfitting yet"),
        ({"val_acc": [0.1, 0.9, 0.9]}, "val_acc", 2, "retrain on everything for 2 epochs"),
        ({"val_mae": [3.0, 1.0, float("nan")]}, "val_mae", 2, "got worse"),
        ({"train_loss": [3.0, 2.0]}, "val_loss", None, "trained 2 epochs without validation"),
        ({"train_loss": [3.0, float("nan")]}, "val_loss", None, "no number any more"),
        ({"val_loss": [3.0]}, "val_acc", None, "val_acc was not logged"),
        ({}, "val_loss", None, "trained no epoch"),
    ],
)
def test_best_epoch_and_advice(metrics, monitor, best, words):
    history = History()
    history.metrics = metrics
    assert history.best_epoch(monitor) == best
    assert words in history.advice(monitor)


def test_numbers_of_an_epoch():
    history = History()
    history.metrics = {"a": [1.0, 2.0], "b": [float("nan"), 4.0]}
    assert history.at(1) == {"a": 1.0}
    assert history.at(2) == {"a": 2.0, "b": 4.0}
    assert history.at(3) == history.at(0) == {}


def test_it_goes_on_where_a_checkpoint_left_it():
    history = History()
    fit(history)
    again = History()
    again.load_state_dict(history.state_dict())
    assert again.metrics == history.metrics
    again.metrics["val_loss"].append(0.0)
    assert len(history.metrics["val_loss"]) == 3


@pytest.mark.parametrize("arguments", [{"max_epochs": 5}, {"max_epochs": -1, "max_steps": 7}])
def test_last_checkpoint_is_the_last_epoch_however_short_it_was(tmp_path, arguments):
    last = LastCheckpoint(tmp_path, every_seconds=1000)
    trainer = fit(last, History(), enable_checkpointing=True, **arguments)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == trainer.global_step > 0


def test_saves_are_throttled(tmp_path, monkeypatch):
    saves = []
    monkeypatch.setattr(Trainer, "save_checkpoint", lambda self, path: saves.append(path))
    fit(LastCheckpoint(tmp_path, every_seconds=1000), max_epochs=6, enable_checkpointing=True)
    assert len(saves) == 2  # the first epoch and the final one
