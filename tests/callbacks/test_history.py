import csv
import json
import math
import os

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from loaded_processes import begin, ended

from dlp.callbacks import BestCheckpoint, History, LastCheckpoint
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


def fit(*callbacks, model=DenseModule, **arguments):
    """Fit a small classifier in a plain Trainer; three batches an epoch."""
    x = np.random.default_rng(0).normal(size=(60, 4))
    data = ArrayDataModule(x, (x[:, 0] > 0).astype(int), batch_size=16)
    module = model(data.input_shape, data.num_outputs, head="sigmoid", hidden=(4,))
    settings = {"max_epochs": 3, "num_sanity_val_steps": 0, **QUIET, **arguments}
    trainer = Trainer(callbacks=list(callbacks), **settings)
    trainer.fit(module, datamodule=data)
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
        ({"val_loss": [3.0, 1.0, 2.0]}, "val_loss", 2, "best at epoch 2 (1.0000) and so few"),
        ({"val_loss": [3.0, 2.0, 1.0]}, "val_loss", 3, "and still falls"),
        ({"val_acc": [0.1, 0.9, 0.9]}, "val_acc", 2, "train longer, for 10 epochs"),
        ({"val_mae": [3.0, 1.0, float("nan")]}, "val_mae", 2, "val_mae is no number any more"),
        ({"train_loss": [3.0, 2.0]}, "val_loss", None, "trained 2 epochs without validation"),
        ({"train_loss": [3.0, float("nan")]}, "val_loss", None, "no number any more"),
        ({"val_loss": [3.0]}, "val_acc", None, "val_acc was not logged"),
        ({"val_loss": [3.0], "val_nll": [3.0]}, "val_nll", None, "--monitor_mode min"),
        ({}, "val_loss", None, "trained no epoch"),
    ],
)
def test_best_epoch_and_advice(metrics, monitor, best, words):
    history = History()
    history.metrics = metrics
    assert history.best_epoch(monitor) == best
    assert words in history.advice(monitor)


def test_an_epoch_without_validation_is_no_worse_one():
    history = History()
    history.metrics = {"val_loss": [3.0, float("nan"), 2.0, float("nan")]}
    history.last = {"val_loss": 2.0}
    assert "train longer" in history.advice()
    history.last = {"val_loss": float("nan")}  # measured, and no number
    assert "no number any more" in history.advice()


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


# Epochs that break off, and fits that follow each other -----------------------------------------


class Stop(Callback):
    """Stops the second epoch after its first batch, as a timer does."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1:
            trainer.should_stop = True


class Skipping(DenseModule):
    """Leaves out what is left of its second epoch, as Lightning lets a module do."""

    def on_train_batch_start(self, batch, batch_idx):
        return -1 if self.current_epoch == 1 and batch_idx == 1 else None


class FirstBatch(Callback):
    """Remembers the loss of the first batch of the second epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 0:
            self.loss = float(outputs["loss"])


@pytest.mark.parametrize("how", ["stop", "skip", "max_steps"])
def test_an_epoch_that_breaks_off_has_its_own_numbers(how):
    history, first = History(), FirstBatch()
    limits = {"max_epochs": -1, "max_steps": 4} if how == "max_steps" else {"max_epochs": 2}
    kind = Skipping if how == "skip" else DenseModule
    trainer = fit(history, first, *[Stop()] * (how == "stop"), model=kind, **limits)
    assert len(history.metrics["train_loss"]) == 2
    assert history.metrics["train_loss"][1] == pytest.approx(first.loss)
    assert float(trainer.callback_metrics["train_loss"]) == pytest.approx(first.loss)
    # Lightning validates when a callback stops it, and not when the steps are over
    assert math.isnan(history.metrics["val_loss"][1]) == (how != "stop")


def test_a_module_of_ones_own_that_logs_by_chance_leaves_gaps():
    class Own(DenseModule):
        def on_train_epoch_start(self):
            super().on_train_epoch_start()
            if self.current_epoch != 1:
                self.log("margin", float(self.current_epoch))

    history = History()
    fit(history, model=Own)
    assert [value if value == value else None for value in history.metrics["margin"]] == [
        0,
        None,
        2,
    ]
    assert history.last["margin"] == 2


def test_one_history_over_two_fits_begins_anew_and_goes_on_with_its_trainer():
    history = History()
    fit(history, max_epochs=3)
    trainer = fit(history, max_epochs=2)
    assert [len(values) for values in history.metrics.values()] == [2, 2, 2, 2]
    first = dict(history.metrics)
    trainer.fit_loop.max_epochs = 3
    trainer.validate(trainer.lightning_module, trainer.datamodule, verbose=False)
    trainer.fit(trainer.lightning_module, trainer.datamodule)
    assert [len(values) for values in history.metrics.values()] == [3, 3, 3, 3]
    assert {name: values[:2] for name, values in history.metrics.items()} == first


def test_a_diverged_number_is_no_gap():
    history = History()
    history.load_state_dict({"metrics": {"val_loss": [1.0, float("nan")]}})  # an older checkpoint
    assert math.isnan(history.last["val_loss"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"check_val_every_n_epoch": 2},
        {"val_check_interval": 2},
        {"val_check_interval": 3, "check_val_every_n_epoch": None},
        {"limit_val_batches": 0},
    ],
)
def test_numbers_stand_at_the_epochs_that_measured_them(arguments, tmp_path):
    validated = []

    class Watch(Callback):
        def on_validation_end(self, trainer, pl_module):
            value = float(trainer.callback_metrics["val_loss"])
            validated.append((trainer.current_epoch, value))

    history, best = History(tmp_path), BestCheckpoint(tmp_path)
    fit(history, Watch(), best, max_epochs=4, enable_checkpointing=True, **arguments)
    expected = dict(validated)  # the last one of each epoch
    measured = history.metrics.get("val_loss", [])
    assert {n: value for n, value in enumerate(measured) if value == value} == expected
    written = json.loads((tmp_path / "history.json").read_text())
    assert [value is not None for value in written.get("val_loss", [])] == [
        epoch in expected for epoch in range(len(measured))
    ]
    at = history.best_epoch()
    if not expected:
        assert at is None
        assert not (tmp_path / "best.ckpt").exists()
        return
    assert at == min(expected, key=expected.get) + 1
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] + 1 == at
    assert history.last["val_loss"] == validated[-1][1]


def test_best_checkpoint_says_what_can_be_monitored(tmp_path):
    best = BestCheckpoint(tmp_path, "val_lss", "min")
    with pytest.raises(
        InputError, match="val_lss was not logged; --monitor takes one of train_acc"
    ):
        fit(best, enable_checkpointing=True, check_val_every_n_epoch=2)
    best = BestCheckpoint(tmp_path, "train_loss")
    fit(best, enable_checkpointing=True, limit_val_batches=0)
    assert (tmp_path / "best.ckpt").exists()


def test_validation_before_an_epochs_end_is_said(tmp_path, capsys):
    fit(BestCheckpoint(tmp_path), enable_checkpointing=True, max_epochs=1, val_check_interval=2)
    assert "validation every 2 of 3 batches" in capsys.readouterr().out


def fit_in_a_process_of_the_strategy():
    history = History()
    fit(history, max_epochs=2, strategy="ddp_fork", devices=1)
    assert [len(values) for values in history.metrics.values()] == [2] * 4
    assert history.directions["val_acc"] == "max"
    assert not history._from_child.exists()


def test_processes_that_a_strategy_starts_bring_it_back(tmp_path):
    log = tmp_path / "log"
    process = begin(fit_in_a_process_of_the_strategy, [], log, os.environ)
    assert ended([process]) == [0], log.read_text()
