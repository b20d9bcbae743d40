"""What Lightning's own checkpoints do not do, and files that wait until they are written.

What the checkpoints hold is tested with the modules.
"""

import json
import shutil
from datetime import timedelta

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from dlp.callbacks import BestCheckpoint, History, LastCheckpoint
from dlp.callbacks import checkpoints as file
from dlp.callbacks import history as history_file
from dlp.callbacks.checkpoints import AtomicCheckpointIO
from dlp.datamodules import ArrayDataModule
from dlp.files import save_tensors
from dlp.modules import DenseModule
from dlp.process import quiet


def test_lightnings_throttled_checkpoint_leaves_out_the_final_epoch(tmp_path):
    throttled = ModelCheckpoint(tmp_path / "theirs", train_time_interval=timedelta(hours=1))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=2,
        callbacks=[throttled, LastCheckpoint(tmp_path / "ours", every_seconds=3600)],
    )
    data = ArrayDataModule(torch.rand(20, 2), torch.arange(20) % 2, val_size=5)
    trainer.fit(DenseModule((2,), 2), data)
    assert not [*tmp_path.glob("theirs/*")]
    saved = torch.load(tmp_path / "ours" / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 1


# The best epoch waits ---------------------------------------------------------------------------

#: An epoch takes two seconds: of 9, the epochs 1, 4, 7 and 9 are due.
EPOCHS, DUE = 9, [1, 4, 7, 9]


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Ticks(Callback):
    def __init__(self, clock):
        self.clock = clock

    def on_train_epoch_start(self, *_):
        self.clock.now += 2


class Killed(Checkpoint):
    """Keeps what a kill after each epoch would leave: Lightning calls it after the others."""

    def __init__(self, folder):
        self.folder, self.epochs = folder, 0

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs += 1
        shutil.copytree(self.folder, self.folder.with_name(f"killed_{self.epochs}"))


class Broken(Callback):
    def __init__(self, error):
        self.error = error

    def on_train_batch_start(self, trainer, *_):
        if trainer.current_epoch == 3:
            raise self.error


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(file, "time", clock)
    return clock


def fit(folder, clock, *callbacks, waits=True, path=None, model=None):
    """Fit a model that is better after every epoch; return the files that were written, in turn."""
    torch.manual_seed(0)
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    data = ArrayDataModule(x, (x.sum(1) > 0).long(), val_size=20, batch_size=10)
    best, last = BestCheckpoint(folder), LastCheckpoint(folder)
    io, written = AtomicCheckpointIO(), []

    def save(content, path):
        written.append((path.name, content["epoch"] + 1))
        save_tensors(content, path)

    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        max_epochs=EPOCHS,
        callbacks=[Ticks(clock), best, last, *callbacks],
        plugins=[io],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "save_tensors", save)
        if not waits:
            patch.setattr(io, "_keep", lambda *_: False)
        model = DenseModule((4,), 2, hidden=(8,)) if model is None else model
        with quiet():
            trainer.fit(model, data, ckpt_path=path, weights_only=True)
    return written


def content(path):
    return torch.load(path, weights_only=True)


def assert_equal(one, other):
    """Weights, the optimizer's numbers and the record of the epochs are the same."""
    assert one["epoch"] == other["epoch"]
    torch.testing.assert_close(one["state_dict"], other["state_dict"], rtol=0, atol=0)
    states = one["optimizer_states"][0]["state"], other["optimizer_states"][0]["state"]
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_the_best_epoch_waits_and_is_what_it_was(tmp_path, clock):
    written = fit(tmp_path / "waits", clock)
    plainly = fit(tmp_path / "plain", clock, waits=False)
    assert [epoch for name, epoch in plainly if name == "best.ckpt"] == [*range(1, EPOCHS + 1)]
    assert [epoch for name, epoch in written if name == "last.ckpt"] == DUE
    assert [epoch for name, epoch in written if name == "best.ckpt"] == DUE
    for name in ("best.ckpt", "last.ckpt"):
        assert_equal(content(tmp_path / "waits" / name), content(tmp_path / "plain" / name))


def test_a_copy_that_waits_is_not_trained_on(tmp_path, clock):
    with pytest.raises(RuntimeError, match="broken"):
        fit(tmp_path / "waits", clock, Broken(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        fit(tmp_path / "plain", clock, Broken(RuntimeError("broken")), waits=False)
    ours = content(tmp_path / "waits" / "best.ckpt")
    assert ours["epoch"] == 2  # waited since then, while the fourth epoch had begun
    assert_equal(ours, content(tmp_path / "plain" / "best.ckpt"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_a_fit_that_is_stopped_writes_what_waits(tmp_path, clock, error):
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, clock, Broken(error))
    assert content(tmp_path / "best.ckpt")["epoch"] == 2


def test_a_fit_that_is_killed_at_any_epoch_loses_nothing(tmp_path, clock):
    fit(tmp_path / "whole", clock, Killed(tmp_path / "whole"))
    for epoch in range(1, EPOCHS):
        left = tmp_path / f"killed_{epoch}"
        last = content(left / "last.ckpt")["epoch"]
        assert last + 1 == max(due for due in DUE if due <= epoch)
        assert content(left / "best.ckpt")["epoch"] == last  # each epoch was the best so far
        assert not [*left.glob(".*")]
        fit(left, clock, path=left / "last.ckpt")
        for name in ("best.ckpt", "last.ckpt"):
            assert_equal(content(left / name), content(tmp_path / "whole" / name))


# The record by epoch waits ----------------------------------------------------------------------


def epochs_of(folder):
    """Return how many epochs each file of a record has."""
    values = json.loads((folder / "history.json").read_text())["val_loss"]
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    assert len(values) == len(rows)
    return len(values)


@pytest.mark.parametrize(("seconds", "written"), [(0.4, [1, 4, 7, 9]), (2, [*range(1, 10)])])
def test_the_files_of_a_record_are_a_second_old_at_most(
    tmp_path, clock, monkeypatch, seconds, written
):
    now = Clock()
    monkeypatch.setattr(history_file, "time", now)
    history, there = History(tmp_path), []
    monkeypatch.setattr(history, "write_files", lambda _: there.append(history.num_epochs))

    class Later(Callback):
        def on_train_epoch_start(self, *_):
            now.now += seconds

    saved = fit(tmp_path / "checkpoints", Clock(), history, Later())  # its time stands still
    assert {epoch for _, epoch in saved} == {1, EPOCHS}
    assert there == written


def test_a_record_stands_before_the_checkpoint_of_its_epoch_does(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(history_file, "_EVERY_SECONDS", 1000)
    folder = tmp_path / "run"
    fit(folder, clock, History(folder), Killed(folder))
    for epoch in range(1, EPOCHS):
        left = tmp_path / f"killed_{epoch}"
        assert epochs_of(left) == content(left / "last.ckpt")["epoch"] + 1
    assert epochs_of(folder) == EPOCHS


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_record_of_a_fit_that_breaks_off_is_whole(tmp_path, clock, monkeypatch, error):
    monkeypatch.setattr(history_file, "_EVERY_SECONDS", 1000)
    with pytest.raises((error, SystemExit)):
        fit(tmp_path, clock, History(tmp_path), Broken(error))
    assert epochs_of(tmp_path) == 3


def test_what_has_no_copy_is_written_at_once(tmp_path, clock):
    class NoCopy(DenseModule):
        def on_save_checkpoint(self, checkpoint):
            super().on_save_checkpoint(checkpoint)
            checkpoint["grown"] = torch.ones(2, requires_grad=True) * 2  # deepcopy refuses it

    written = fit(tmp_path, clock, model=NoCopy((4,), 2, hidden=(8,)))
    assert [epoch for name, epoch in written if name == "best.ckpt"] == [*range(1, EPOCHS + 1)]


def test_a_checkpoint_that_waits_can_be_read_and_removed(tmp_path, clock):
    io, path = AtomicCheckpointIO(), tmp_path / "best.ckpt"
    io.may_wait.add(path)
    for number in range(3):
        io.save_checkpoint({"number": number}, path)
    assert content(path) == {"number": 0}
    assert io.load_checkpoint(path, weights_only=True) == {"number": 2}
    io.save_checkpoint({"number": 3}, path)
    io.remove_checkpoint(path)
    io.write_waiting()
    assert not path.exists()
