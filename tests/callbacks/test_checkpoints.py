import csv
import math
import resource
import shutil

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import LambdaCallback

from dlp.callbacks import AtomicCheckpointIO, BestCheckpoint, History, LastCheckpoint
from dlp.callbacks.checkpoints import time as clock
from dlp.modules.checkpoint import Checkpoint
from helpers.training import small_fit

pytestmark = pytest.mark.filterwarnings(
    "ignore:Checkpoint directory .* exists and is not empty"
)
EPOCHS = 6


class Metric(Callback):
    """Logs a number for each epoch."""

    def __init__(self, *values):
        self.values = values

    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.log("val_score", self.values[trainer.current_epoch])


def content(path):
    return torch.load(path, weights_only=True)


def epoch_of(path):
    return content(path)["epoch"] + 1


def fit(folder, *callbacks, path=None, **trainer):
    """Fit with both checkpoints; ``best.ckpt`` follows the largest ``val_score``."""
    checkpoints = [
        BestCheckpoint(folder, "val_score", "max"),
        LastCheckpoint(folder, 0),
    ]
    plugins = [AtomicCheckpointIO()]
    arguments = {"max_epochs": EPOCHS, "plugins": plugins, "path": path, **trainer}
    return small_fit(*callbacks, *checkpoints, **arguments)


def test_best_is_the_first_best_epoch_and_last_the_last(tmp_path):
    fit(tmp_path, Metric(1.0, 3.0, 2.0, float("nan"), 3.0, 0.0))
    assert epoch_of(tmp_path / "best.ckpt") == 2
    assert epoch_of(tmp_path / "last.ckpt") == EPOCHS
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]


def test_a_resumed_fit_remembers_the_best_value_also_in_a_moved_folder(tmp_path):
    folder, values = tmp_path / "run", (1.0, 3.0, 2.0, 2.5, 2.6, 2.7)
    fit(folder, Metric(*values), max_epochs=3)
    folder = shutil.move(folder, tmp_path / "moved")
    fit(folder, Metric(*values), path=folder / "last.ckpt")
    assert epoch_of(folder / "best.ckpt") == 2
    assert epoch_of(folder / "last.ckpt") == EPOCHS


@pytest.mark.parametrize(
    ("limits", "epochs"),
    [
        ({"max_epochs": 6}, [1, 4, 6]),
        ({"max_epochs": 4}, [1, 4]),
        ({"max_epochs": -1, "max_steps": 14}, [1, 4, 5]),
    ],
)
def test_last_is_saved_seldom_but_always_in_the_final_epoch(
    limits, epochs, tmp_path, monkeypatch
):
    saved, now = [], [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[-1])

    watch = LambdaCallback(
        on_train_epoch_start=lambda *_: now.append(now[-1] + 2.0),
        on_save_checkpoint=lambda trainer, *_: saved.append(trainer.current_epoch + 1),
    )
    small_fit(watch, LastCheckpoint(tmp_path, 5.0), **limits)
    assert saved == epochs


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError):  # noqa: PT011  # of the system
            AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(50_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert content(path) == {"epoch": 1}
    assert [*tmp_path.iterdir()] == [path]


def test_a_checkpoint_that_was_written_again_is_read_again(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "epoch": 1}, path)
    given = AtomicCheckpointIO(Checkpoint(path))
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "epoch": 2}, path)
    assert given.load_checkpoint(path, weights_only=True)["epoch"] == 2


def test_memory_and_file_have_each_metric_by_epoch(tmp_path):
    history = History(tmp_path)
    trainer = small_fit(history)
    names = ["train_acc", "train_loss", "val_acc", "val_loss"]
    assert list(history.metrics) == names
    last = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert {name: values[-1] for name, values in history.metrics.items()} == last
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name in names:
        assert [float(row[name]) for row in rows] == history.metrics[name]


def test_a_metric_that_an_epoch_does_not_log_is_a_gap(tmp_path):
    history = History(tmp_path)
    small_fit(history, check_val_every_n_epoch=2)
    assert [math.isnan(value) for value in history.metrics["val_loss"]] == [
        True,
        False,
        True,
    ]
    assert (tmp_path / "metrics.csv").read_text().splitlines()[1].endswith(",,")


def test_a_second_fit_begins_anew_and_the_same_trainer_goes_on():
    history = History()
    small_fit(history)
    trainer = small_fit(history, max_epochs=2)
    assert [len(values) for values in history.metrics.values()] == [2, 2, 2, 2]
    first = dict(history.metrics)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(trainer.lightning_module, trainer.datamodule)
    assert {name: values[:2] for name, values in history.metrics.items()} == first
    assert [len(values) for values in history.metrics.values()] == [3, 3, 3, 3]
