"""``History``, as in Keras: what a fit measures, epoch by epoch."""

import json
import math
import os
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from dlp.callbacks.checkpoints import AtomicCheckpointIO
from dlp.console import say
from dlp.directions import Mode, contradictions, directions_of
from dlp.files import write_text
from dlp.runs.epochs import Epochs

#: Epochs that end sooner after the files were written leave them: both take some 5 ms.
_EVERY_SECONDS = 1.0


class History(Epochs, Callback):
    """Every logged metric by epoch, kept in memory and in the run's folder.

    Where an `AtomicCheckpointIO` writes, the files are a second old at most while epochs are short;
    they are whole before a checkpoint is written, and however the fit ends.

    After a fit, ``history.metrics["val_loss"]`` is a list with one number an epoch (what Keras's
    ``History.history`` has). It goes into checkpoints, so a resumed run has all of its epochs.

    Args:
        folder: Where ``metrics.csv`` and ``history.json`` are written; None for memory alone.
        directions: Logged name -> whether less or more of it is better (``min`` or ``max``), where
            the model does not know it or says something else.

    Attributes:
        last: Logged name -> the last number that was measured, NaN where it was none.
        directions: What was given, and what the model knows of its metrics.
    """

    def __init__(
        self, folder: Path | None = None, directions: Mapping[str, Mode] | None = None
    ) -> None:
        super().__init__(directions=directions)
        self.folder = folder
        self._given = dict(directions or {})
        self._before: dict[str, Tensor] = {}
        self._waits = False  # whether there is an epoch that the files lack
        self._written_at = -math.inf
        self._every = 0.0  # seconds
        # Where a strategy starts processes by itself (ddp_spawn, ddp_notebook), they have copies
        # of all callbacks, and Lightning brings none back: the record comes through this file.
        self._process = os.getpid()
        self._from_child = Path(tempfile.gettempdir()) / f"dlp_history_{uuid.uuid4().hex}.json"

    @property
    def metrics(self) -> dict[str, list[float]]:
        """Logged name -> a number for each epoch; NaN where it was not measured."""
        if os.getpid() == self._process and self._from_child.exists():
            state = json.loads(self._from_child.read_text(encoding="utf-8"))
            self._from_child.unlink()
            self.directions = state.pop("directions")
            self.load_state_dict(state)
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Mapping[str, Sequence[float]]) -> None:
        self._metrics = {name: list(values) for name, values in metrics.items()}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin anew with each fit, and learn from the model which metrics are better when less.

        A checkpoint's record comes after this. A Trainer that goes on, goes on here too.
        """
        self.directions = {**directions_of(pl_module), **self._given}
        if stage == "fit":
            self._before = {}
            self._waits, self._written_at = False, -math.inf
            io = trainer.strategy.checkpoint_io
            self._every = _EVERY_SECONDS if isinstance(io, AtomicCheckpointIO) else 0.0
            if isinstance(io, AtomicCheckpointIO) and self._write not in io.before_writing:
                io.before_writing.append(self._write)
            self.metrics = {
                name: values[: trainer.current_epoch]
                for name, values in self.metrics.items()
                if trainer.current_epoch
            }
            self.last = {name: self.last[name] for name in self.metrics if name in self.last}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which callbacks and schedulers take worse numbers for better ones."""
        if not hasattr(pl_module, "metric_directions"):  # a model that has says it by itself
            for sentence in contradictions(trainer, self.directions):
                say(f"warning: {sentence}")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the numbers of the epochs before: Lightning keeps them."""
        self._before = dict(trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take what was measured in this epoch."""
        epoch, metrics = trainer.current_epoch, trainer.callback_metrics
        # A new number is a new tensor.
        measured = {
            name: float(value)
            for name, value in metrics.items()
            if value is not self._before.get(name)
        }
        self.last.update(measured)
        for name in sorted({**self.metrics, **measured}, key=_rank):
            values = self.metrics.setdefault(name, [])
            del values[epoch:]
            values.extend([math.nan] * (epoch - len(values)))  # logged in later epochs only
            values.append(measured.get(name, math.nan))
        self.metrics = dict(sorted(self.metrics.items(), key=lambda item: _rank(item[0])))
        self._waits = trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False)
        if time.monotonic() - self._written_at >= self._every:
            self._write()

    def _write(self) -> None:
        """Write the files, if they lack an epoch."""
        if self.folder is not None and self._waits:
            self.write_files(self.folder)
            self._waits, self._written_at = False, time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what waits."""
        self._write()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Write what waits: of a fit that is broken off, too."""
        self._write()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hand the record to the process that called ``fit``, if that was another one."""
        if stage == "fit" and trainer.is_global_zero and os.getpid() != self._process:
            text = json.dumps({**self.state_dict(), "directions": self.directions})
            write_text(self._from_child, text)

    def state_dict(self) -> dict[str, Any]:
        """Return the record, for the checkpoint."""
        metrics = {name: list(values) for name, values in self.metrics.items()}
        return {"metrics": metrics, "last": dict(self.last)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the record of a checkpoint."""
        self.metrics = state_dict["metrics"]
        ends = {name: values[-1] for name, values in self.metrics.items() if values}
        self.last = dict(state_dict.get("last", ends))  # older checkpoints have none


def _rank(name: str) -> tuple[int, str]:
    """Sort train before val before the rest, and losses before metrics."""
    stage, _, metric = name.partition("_")
    order = {"train": 0, "val": 1}.get(stage, 2)
    return order, f"{0 if metric.endswith('loss') else 1}{metric}"
