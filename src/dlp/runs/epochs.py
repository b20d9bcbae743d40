"""What was measured, epoch by epoch: the best epoch, what the curves say, and the files of both."""

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from dlp.directions import Mode, best_index, direction
from dlp.files import write_csv
from dlp.runs.json_files import from_nulls, read_json, write_json

if TYPE_CHECKING:  # it needs NumPy, which the help of dlp compare does without
    from dlp.runs.verdict import Verdict


class Epochs:
    """Every logged metric by epoch. Epochs count from 1.

    Args:
        metrics: Logged name -> a number for each epoch; NaN where it was not measured.
        directions: Logged name -> whether less or more of it is better.
        last: Logged name -> the last number that was measured; the last epoch's where not given.
    """

    def __init__(
        self,
        metrics: Mapping[str, Sequence[float]] | None = None,
        directions: Mapping[str, Mode] | None = None,
        last: Mapping[str, float] | None = None,
    ) -> None:
        self.metrics = {name: list(values) for name, values in (metrics or {}).items()}
        self.directions: dict[str, Mode] = dict(directions or {})
        self.last: dict[str, float] = dict(last or {})

    @property
    def num_epochs(self) -> int:
        """How many epochs were recorded."""
        return max(map(len, self.metrics.values()), default=0)

    @property
    def ends(self) -> dict[str, float]:
        """Logged name -> the last number that was measured, NaN where the model had diverged."""
        return {name: values[-1] for name, values in self.metrics.items() if values} | self.last

    def best_epoch(self, monitor: str = "val_loss") -> int | None:
        """Return the epoch, from 1, at which `monitor` was best.

        None if it was not recorded, or nobody knows whether less or more of it is better (see
        `dlp.directions`; `advice` says so).
        """
        values, mode = self.metrics.get(monitor, []), direction(monitor, self.directions)
        best = None if mode is None else best_index(values, mode)
        return None if best is None else best + 1

    def at(self, epoch: int) -> dict[str, float]:
        """Return metric -> number at an epoch, from 1."""
        return {
            name: values[epoch - 1]
            for name, values in self.metrics.items()
            if len(values) >= epoch > 0 and not math.isnan(values[epoch - 1])
        }

    def verdict(self, monitor: str = "val_loss") -> "Verdict | None":
        """Return what the curve of `monitor` says; None where `best_epoch` gives none."""
        from dlp.runs.verdict import verdict

        values, mode = self.metrics.get(monitor, []), direction(monitor, self.directions)
        return None if mode is None else verdict(values, mode)

    def advice(self, monitor: str = "val_loss") -> str:
        """Return one sentence on what the curves say and what to do next."""
        last, ends = self.num_epochs, self.ends
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

    def write_files(self, folder: Path) -> None:
        """Write ``metrics.csv`` and ``history.json`` into the folder of a run."""
        rows = zip_longest(*self.metrics.values(), fillvalue="")
        numbered = ([epoch, *row] for epoch, row in enumerate(rows, 1))
        write_csv(folder / "metrics.csv", [["epoch", *self.metrics], *numbered])
        write_json(folder / "history.json", self.metrics)


def read_metrics(folder: Path) -> dict[str, list[float]]:
    """Return what ``history.json`` of a run holds: metric -> a number an epoch, or NaN.

    Raises:
        InputError: It is damaged.
    """
    return {name: from_nulls(row) for name, row in read_json(folder / "history.json").items()}
