"""What a fit recorded, epoch by epoch: ``History`` as in Keras, and the files made of it."""

import csv
import io
import json
import math
import os
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from dlp.console import say
from dlp.directions import Mode, best_index, contradictions, direction, directions_of
from dlp.evaluation.verdict import Verdict, verdict
from dlp.files import write_text


class History(Callback):
    """Every logged metric by epoch, kept in memory and in the run's folder.

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
        self.folder = folder
        self.last: dict[str, float] = {}
        self._given = dict(directions or {})
        self.directions: dict[str, Mode] = dict(self._given)
        self._metrics: dict[str, list[float]] = {}
        self._before: dict[str, Tensor] = {}
        # Where a strategy starts processes by itself (ddp_spawn, ddp_notebook), they have copies
        # of all callbacks, and Lightning brings none back: the record comes through this file.
        self._process = os.getpid()
        self._from_child = Path(tempfile.gettempdir()) / f"dlp_history_{uuid.uuid4().hex}.json"

    @property
    def metrics(self) -> dict[str, list[float]]:
        """Logged name -> a number for each epoch; NaN where it was not measured."""
        self._fetch()
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
        writes = trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False)
        if writes:
            self.write()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hand the record to the process that called ``fit``, if that was another one."""
        if stage == "fit" and trainer.is_global_zero and os.getpid() != self._process:
            text = json.dumps({**self.state_dict(), "directions": self.directions})
            write_text(self._from_child, text)

    def _fetch(self) -> None:
        if os.getpid() == self._process and self._from_child.exists():
            state = json.loads(self._from_child.read_text(encoding="utf-8"))
            self._from_child.unlink()
            self.directions = state.pop("directions")
            self.load_state_dict(state)

    def write(self) -> None:
        """Write ``metrics.csv`` and ``history.json``, if there is a folder for them."""
        if self.folder is not None:
            write_text(self.folder / "metrics.csv", self._csv())
            record = {name: [_json(v) for v in values] for name, values in self.metrics.items()}
            text = json.dumps(record, indent=1, allow_nan=False)
            write_text(self.folder / "history.json", text + "\n")

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["epoch", *self.metrics])
        for epoch in range(self.num_epochs):
            row = [values[epoch] if epoch < len(values) else "" for values in self.metrics.values()]
            writer.writerow([epoch + 1, *row])
        return text.getvalue()

    @property
    def num_epochs(self) -> int:
        """How many epochs were recorded."""
        return max(map(len, self.metrics.values()), default=0)

    def best_epoch(self, monitor: str = "val_loss") -> int | None:
        """Return the epoch, from 1, at which `monitor` was best.

        None if it was not recorded, or nobody knows whether less or more of it is better (see
        `dlp.directions`; `advice` says so).
        """
        mode = direction(monitor, self.directions)
        best = None if mode is None else best_index(self.metrics.get(monitor, []), mode)
        return None if best is None else best + 1

    def at(self, epoch: int) -> dict[str, float]:
        """Return metric -> number at an epoch, from 1."""
        return {
            name: values[epoch - 1]
            for name, values in self.metrics.items()
            if len(values) >= epoch > 0 and values[epoch - 1] == values[epoch - 1]
        }

    def verdict(self, monitor: str = "val_loss") -> Verdict | None:
        """Return what the curve of `monitor` says; None where `best_epoch` gives none."""
        mode = direction(monitor, self.directions)
        return None if mode is None else verdict(self.metrics.get(monitor, []), mode)

    def advice(self, monitor: str = "val_loss") -> str:
        """Return one sentence on what the curves say and what to do next."""
        last = self.num_epochs
        ends = {name: values[-1] for name, values in self.metrics.items() if values} | self.last
        for name, words in (("train_loss", "the training loss"), (monitor, monitor)):
            if math.isnan(ends.get(name, 0.0)):
                return (
                    f"{words} is no number any more: the steps were too large; lower the learning "
                    "rate (--model.optimizer.lr) or clip gradients"
                )
        if monitor in self.metrics and direction(monitor, self.directions) is None:
            return (
                f"whether less or more {monitor} is better is not known, and so which epoch was "
                "best: --monitor_mode min or --monitor_mode max says it"
            )
        if not last:
            return "trained no epoch"
        found = self.verdict(monitor)
        if found is not None:
            return found.sentence(monitor, last)
        if self.metrics.get("val_loss"):
            return f"{monitor} was not logged; --monitor takes one of {', '.join(self.metrics)}"
        return (
            f"trained {last} epochs without validation; set data.val_size to see when overfitting "
            "begins"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the record, for the checkpoint."""
        metrics = {name: list(values) for name, values in self.metrics.items()}
        return {"metrics": metrics, "last": dict(self.last)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the record of a checkpoint."""
        self.metrics = {name: list(values) for name, values in state_dict["metrics"].items()}
        ends = {name: values[-1] for name, values in self.metrics.items() if values}
        self.last = dict(state_dict.get("last", ends))  # older checkpoints have none


def _json(value: float) -> float | None:
    """Return the number, or None for what JSON has no word for."""
    return value if math.isfinite(value) else None


def _rank(name: str) -> tuple[int, str]:
    """Sort train before val before the rest, and losses before metrics."""
    stage, _, metric = name.partition("_")
    order = {"train": 0, "val": 1}.get(stage, 2)
    return order, f"{0 if metric.endswith('loss') else 1}{metric}"
