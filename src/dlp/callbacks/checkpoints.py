"""The two checkpoints of a run: the best epoch and the last one."""

import time
from collections.abc import Callable
from copy import Error as CopyError
from copy import deepcopy
from pathlib import Path, PurePath
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import (
    Checkpoint,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from lightning.pytorch.plugins.io import CheckpointIO, TorchCheckpointIO

from dlp.checkpoint_content import read_checkpoint
from dlp.console import say
from dlp.directions import Mode, directions_of, needed_direction
from dlp.errors import InputError
from dlp.files import save_tensors

#: Epochs that end sooner after the last save of a file are not written: a save takes 10 to 80 ms.
_EVERY_SECONDS = 5.0


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there when it is whole.

    Lightning's own writes to the system's temporary folder; where that is another file system, the
    move is a copy onto the old file, which a full disk or a kill leaves in pieces.

    What a model and its data are made from is read before there is a Trainer. It is kept until the
    Trainer restores the same checkpoint: the file is read once.

    A file that may wait, because a better epoch often follows soon, is kept as a copy in memory
    until some seconds have gone since it was written, or until another file is written. On the disk
    it is therefore never older than the others, and a fit that is killed goes on from there as one
    that is not.

    Attributes:
        may_wait: The files that may wait.
        before_writing: Called before a file is written, for what is to stand beside it by then.
    """

    def __init__(self) -> None:
        self._read: tuple[Path, dict[str, Any]] | None = None
        self.may_wait: set[Path] = set()
        self.before_writing: list[Callable[[], None]] = []
        self._waiting: dict[Path, dict[str, Any]] = {}
        self._written_at: dict[Path, float] = {}

    def read_ahead(self, path: Path) -> dict[str, Any]:
        """Return the content of a checkpoint, and keep it for the next `load_checkpoint`.

        Raises:
            InputError: There is none, or it is damaged.
        """
        content = read_checkpoint(path)
        self._read = (path, content)
        return content

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return the content of a checkpoint: what was read ahead, or else the file's."""
        self.write_waiting()
        read, self._read = self._read, None
        if read is not None and read[0] == Path(path) and map_location is None:
            return read[1]
        return super().load_checkpoint(path, map_location, weights_only)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Save `checkpoint` to `path`; what was there stays until the new one is complete."""
        path = Path(path)
        self._waiting.pop(path, None)
        since = time.monotonic() - self._written_at.get(path, float("-inf"))
        if path in self.may_wait and since < _EVERY_SECONDS and self._keep(checkpoint, path):
            return
        self.write_waiting()
        self._write(checkpoint, path)

    def teardown(self) -> None:
        """Write what waits: the Trainer calls this however a fit ends."""
        self.write_waiting()

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, whether it is written or waits."""
        self._waiting.pop(Path(path), None)
        super().remove_checkpoint(path)

    def write_waiting(self, due: bool = False) -> None:
        """Write what waits.

        Args:
            due: Only what has waited for long enough.
        """
        for path in [*self._waiting]:
            if not due or time.monotonic() - self._written_at[path] >= _EVERY_SECONDS:
                self._write(self._waiting.pop(path), path)

    def _write(self, checkpoint: dict[str, Any], path: Path) -> None:
        for call in self.before_writing:
            call()
        save_tensors(checkpoint, path)
        self._written_at[path] = time.monotonic()

    def _keep(self, checkpoint: dict[str, Any], path: Path) -> bool:
        """Let a copy wait, which takes a tenth of writing; False where something has none."""
        try:
            self._waiting[path] = deepcopy(checkpoint)
        except (CopyError, RuntimeError, TypeError):
            return False
        return True


def with_atomic_checkpoints(plugins: Any, own: AtomicCheckpointIO) -> list[Any]:
    """Return a Trainer's plugins, with ours for checkpoints unless another one is among them."""
    given = plugins if isinstance(plugins, list) else [plugins]
    given = [plugin for plugin in given if plugin is not None]
    has_one = any(isinstance(plugin, CheckpointIO) for plugin in given)
    return given if has_one else [*given, own]


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``: the epoch at which `monitor` was best.

    In the first epochs each one is the best so far. Where an `AtomicCheckpointIO` writes and the
    weights are on a CPU, it is written every five seconds, at the end of the fit and whenever
    another checkpoint is; memory has room for it until then.

    Args:
        folder: Where to write it.
        monitor: The logged metric to go by.
        mode: Whether less or more of it is better; None asks the model (`dlp.directions`).
    """

    def __init__(self, folder: Path, monitor: str = "val_loss", mode: Mode | None = None) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=monitor,
            mode=mode or "min",
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        self._given = mode
        self._validated = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Learn from the model whether less or more is better, unless it was given.

        Raises:
            InputError: Nobody can know it.
        """
        super().setup(trainer, pl_module, stage)
        self._validated = False
        io = trainer.strategy.checkpoint_io
        on_cpu = trainer.strategy.root_device.type == "cpu"
        if stage == "fit" and on_cpu and isinstance(io, AtomicCheckpointIO):
            io.may_wait.add(Path(self.format_checkpoint_name({})))
        if stage == "fit" and self._given is None:
            mode = needed_direction(str(self.monitor), directions_of(pl_module))
            if mode != self.mode:  # before a checkpoint's state comes
                self.mode, self.kth_value = mode, -self.kth_value

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best score of a run, also where its folder was moved or copied.

        Lightning compares the folder's path with what it was and forgets the score if it differs:
        the next epoch would then replace the best one, however bad it is.
        """
        state = {**state_dict, "dirpath": self.dirpath}
        for name in ("best_model_path", "kth_best_model_path"):
            state[name] = self._here(state_dict.get(name, ""))
        kept = state_dict.get("best_k_models", {})
        state["best_k_models"] = {self._here(path): score for path, score in kept.items()}
        super().load_state_dict(state)

    def _here(self, path: str) -> str:
        """Return the path of one of its files in the folder as it is now."""
        return str(Path(str(self.dirpath)) / PurePath(path).name) if path else ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where an epoch's last validation is not at its end."""
        super().on_train_start(trainer, pl_module)
        interval, batches = trainer.val_check_batch, trainer.num_training_batches
        if not (isinstance(interval, int) and isinstance(batches, int)):
            return
        if trainer.enable_validation and batches % interval:
            say(
                f"validation every {interval} of {batches} batches: best.ckpt holds the weights of "
                "an epoch's end, and is chosen by the last validation before it"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that there was one."""
        self._validated = self._validated or not trainer.sanity_checking
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, if this epoch was the best; do nothing where there was no validation yet.

        Raises:
            InputError: The metric is not among what was measured.
        """
        if self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, pl_module)
        elif self._validated:
            logged = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise InputError(f"{self.monitor} was not logged; --monitor takes one of {logged}.")
        io = trainer.strategy.checkpoint_io
        if isinstance(io, AtomicCheckpointIO):
            io.write_waiting(due=not _is_final(trainer))


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt``: the newest epoch, from which an interrupted fit goes on.

    Lightning's ``ModelCheckpoint(train_time_interval=...)`` leaves out the final epoch.

    Args:
        folder: Where to write it.
        every_seconds: Epochs that end sooner after the last save are not saved, unless they are
            the first or the final one: a save costs some 10 ms.
    """

    def __init__(self, folder: Path, every_seconds: float = _EVERY_SECONDS) -> None:
        self.path = folder / "last.ckpt"
        self.every_seconds = every_seconds
        #: The newest epoch that is saved, from 1; None before the first.
        self.saved_epoch: int | None = None
        self._saved_at = float("-inf")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin anew with each fit."""
        if stage == "fit":
            self._saved_at, self.saved_epoch = float("-inf"), None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, if it is time or this is the final epoch."""
        due = time.monotonic() - self._saved_at >= self.every_seconds
        # Saving waits for all processes, and each has a clock of its own: the first one decides.
        due = trainer.strategy.broadcast(due or _is_final(trainer))
        if due and not getattr(trainer, "fast_dev_run", False):
            trainer.save_checkpoint(self.path)
            self._saved_at = time.monotonic()
            self.saved_epoch = trainer.current_epoch + 1

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note which epoch a resumed fit goes on from."""
        self.saved_epoch = checkpoint["epoch"] + 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final epoch, if nothing told before that it was the final one."""
        unsaved = trainer.current_epoch > (self.saved_epoch or 0) and trainer.global_step > 0
        if unsaved and not getattr(trainer, "fast_dev_run", False):
            trainer.save_checkpoint(self.path)
        self._save_average(trainer, pl_module)

    def _save_average(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the weights that stochastic weight averaging has put into the model at the end.

        Lightning does so after the last epoch is saved: no other checkpoint has them, except where
        batch normalisation takes one more epoch.
        """
        for callback in trainer.callbacks:  # type: ignore[attr-defined] # set by a connector
            if not isinstance(callback, StochasticWeightAveraging):
                continue
            ended = trainer.current_epoch == callback.swa_end + 1
            saved = callback.pl_module_contains_batch_norm(pl_module)
            if ended and not saved and not getattr(trainer, "fast_dev_run", False):
                path = self.path.with_name("averaged.ckpt")
                trainer.save_checkpoint(path)
                data: object = getattr(trainer, "datamodule", None)
                judge = "test" if getattr(data, "has_test", False) else "validate"
                say(f"the averaged weights are in {path}: dlp {judge} --ckpt_path {path}")


def _is_final(trainer: Trainer) -> bool:
    """Whether an epoch that ends is known to be the last one."""
    last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
    return last or trainer.global_step == trainer.max_steps
