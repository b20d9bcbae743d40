"""What cross-validation gives: each fold's numbers, their mean and spread, the mean curves."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from lightning import LightningModule

from dlp.datamodules.base import SupervisedDataModule
from dlp.directions import Mode, best_index, directions_of, needed_direction
from dlp.errors import InputError, unknown
from dlp.evaluation.baselines import baselines_on
from dlp.evaluation.fitted_baselines import as_baselines, fitted_baselines
from dlp.files import write_csv
from dlp.folds.identity import made_of
from dlp.folds.plan import Fold, Plan
from dlp.number_words import score_in_words
from dlp.runs.epochs import Epochs, read_metrics
from dlp.runs.json_files import from_nulls, with_nulls, write_json
from dlp.runs.record import count_parameters, read_results, write_results
from dlp.runs.verdict import Verdict, verdict
from dlp.smoothing import without_first_points
from dlp.text_table import aligned

_T = TypeVar("_T")
_FACTS = ("repeat", "fold", "num_train", "num_val", "engine")


@dataclass(frozen=True)
class FoldResult:
    """One fold: what was trained, and what came of it.

    Args:
        repeat: The repetition, from 0.
        fold: The fold that validated, from 0.
        num_train: Rows trained on.
        num_val: Rows validated on.
        history: Metric -> one number an epoch.
        baseline: Name of a common-sense baseline -> metric -> its number on the validation rows.
        engine: How it was trained.
        seed: Of its weights, its order of batches and its dropout.
        parameters: How many numbers the model has: ``total`` and ``trainable``.
        protocol: What it depends on beside data and model: epochs, seed, split.
        directions: Logged name -> whether less or more of it is better, as the model knows it.
        last: Metric -> the last number that was measured; none given are those of the last epoch.
        made_of: A hash of its data and one of its model; none where it was not written down.
    """

    repeat: int
    fold: int
    num_train: int
    num_val: int
    history: dict[str, list[float]]
    baseline: dict[str, dict[str, float]] = field(default_factory=dict)
    engine: Literal["serial", "stacked"] = "serial"
    seed: int = 0
    parameters: dict[str, int] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    directions: dict[str, Mode] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    made_of: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begun(
        cls,
        plan: Plan,
        fold: Fold,
        data: SupervisedDataModule,
        model: LightningModule,
        engine: Literal["serial", "stacked"],
    ) -> "FoldResult":
        """Return what is known of a fold before it is trained: all but its history.

        Args:
            plan: The plan.
            fold: The fold.
            data: The data, whose split is that of the fold.
            model: Its new model.
            engine: How it will be trained.
        """
        baseline = baselines_on(model, data, "val")
        if plan.baselines:
            baseline |= as_baselines(fitted_baselines(model, data, ["val"]), "val")
        return cls(
            fold.repeat,
            fold.fold,
            len(data.inputs("train")),
            len(data.inputs("val")),
            {},
            baseline,
            engine,
            fold.seed,
            count_parameters(model),
            plan.protocol(fold),
            directions_of(model) | plan.given_directions,
            made_of=made_of(model, data),
        )

    @property
    def metrics(self) -> dict[str, float]:
        """Metric -> number at the last epoch that measured it."""
        return {name: values[-1] for name, values in self.history.items()} | self.last

    def write(self, folder: Path, monitor: str) -> None:
        """Write the files of a run; ``results.json``, which says that it is done, at last."""
        epochs = Epochs(self.history, self.directions, self.last)
        epochs.write_files(folder)
        own = {name: getattr(self, name) for name in (*_FACTS, "baseline", "protocol", "made_of")}
        own["last"] = self.last
        facts = {"parameters": self.parameters, "train_rows": self.num_train, "crossval": own}
        write_results(folder, epochs, monitor, self.seed, facts)

    @classmethod
    def read(cls, folder: Path) -> "FoldResult | None":
        """Return what was written; None where the fold is not done."""
        results = read_results(folder)
        if "crossval" not in results:
            return None
        known = {name: results[name] for name in ("seed", "parameters")}
        known["directions"] = results.get("directions", {})  # older folds have none
        facts = results["crossval"]
        if isinstance(words := facts["protocol"], str):  # of older folds: "9 epochs, seed 1, ..."
            facts["protocol"] = {"max_epochs": int(words.split()[0]), "seed": known["seed"]}
        ends = facts.pop("last", {})  # older folds have none
        last = dict(zip(ends, from_nulls(ends.values()), strict=True))
        return cls(history=read_metrics(folder), last=last, **known, **facts)


@dataclass(frozen=True)
class CrossValidation:
    """The folds of a K-fold or repeated K-fold validation and what they say together.

    Args:
        folds: The folds that are done, in order.
        num_folds: How many there are in all, repeats included.
        monitor: The metric that says which epoch is best.
        smoothing: Factor of the moving average over the mean curve of `monitor`, by which the best
            epoch is found; 0 takes the curve as it is.
        refit: The numbers of the test, once a model was trained on everything and tested.
        monitor_mode: Whether less or more of `monitor` is better; None asks the model.
    """

    folds: Sequence[FoldResult]
    num_folds: int
    monitor: str = "val_loss"
    smoothing: float = 0.0
    refit: dict[str, float] | None = None
    monitor_mode: Mode | None = None

    @property
    def directions(self) -> dict[str, Mode]:
        """Logged name -> whether less or more of it is better."""
        found = {name: mode for fold in self.folds for name, mode in fold.directions.items()}
        return found | ({self.monitor: self.monitor_mode} if self.monitor_mode else {})

    @property
    def is_complete(self) -> bool:
        """Whether every fold is done."""
        return len(self.folds) == self.num_folds

    @property
    def engine(self) -> str:
        """How the folds were trained: ``stacked`` or ``serial``, or both words joined."""
        return " and ".join(sorted({fold.engine for fold in self.folds}))

    @property
    def mean(self) -> dict[str, float]:
        """Metric -> mean over the folds at their last epoch."""
        return {name: statistics.fmean(values) for name, values in self._ends.items()}

    @property
    def std(self) -> dict[str, float]:
        """Metric -> standard deviation over the folds (n - 1), NaN for a single one."""
        return {name: _deviation(values) for name, values in self._ends.items()}

    @property
    def standard_error(self) -> dict[str, float]:
        """Metric -> standard error of the mean, ``std / sqrt(n)``.

        Folds share most of their training rows, and repeats all rows: the true error of the mean
        is larger (Bengio and Grandvalet 2004).
        """
        return {name: value / math.sqrt(len(self.folds)) for name, value in self.std.items()}

    @property
    def baseline(self) -> dict[str, dict[str, float]]:
        """Name of a baseline -> metric -> mean over the folds."""
        names = self.folds[0].baseline if self.folds else {}
        numbers = {name: [fold.baseline.get(name, {}) for fold in self.folds] for name in names}
        return {
            name: {metric: statistics.fmean(values) for metric, values in _columns(each).items()}
            for name, each in numbers.items()
        }

    @property
    def curves(self) -> dict[str, list[float]]:
        """Metric -> mean over the folds by epoch; one that stopped early stays where it was.

        NaN where an epoch was not measured.
        """
        return {
            name: [statistics.fmean(values) for values in epochs]
            for name, epochs in self._epochs().items()
        }

    @property
    def spreads(self) -> dict[str, list[float]]:
        """Metric -> standard deviation over the folds by epoch."""
        return {
            name: [_deviation(values) for values in epochs]
            for name, epochs in self._epochs().items()
        }

    def best(self) -> tuple[int, float]:
        """Return the epoch, from 1, at which the monitored mean curve is best, and its value.

        Raises:
            InputError: It was not recorded, or nobody knows whether less or more is better.
        """
        metric = self.monitor
        if not self.folds:
            raise InputError("no fold is done yet.")
        curves = self.curves
        if not curves.get(metric):
            raise unknown("monitor", metric, curves)
        skipped, values = without_first_points(curves[metric], self.smoothing)
        place = best_index(values, needed_direction(metric, self.directions)) or 0
        return skipped + place + 1, values[place]

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, at which the mean curve of the monitored metric is best."""
        return self.best()[0]

    def best_value(self) -> float:
        """Return the best value of the mean curve of the monitored metric."""
        return self.best()[1]

    @property
    def _ends(self) -> dict[str, list[float]]:
        return _columns([fold.metrics for fold in self.folds])

    def _epochs(self) -> dict[str, list[tuple[float, ...]]]:
        """Return metric -> the folds' numbers by epoch; one that stopped early stays at its end."""
        ends, found = self._ends, {}
        for name, curves in _columns([fold.history for fold in self.folds]).items():
            longest, pairs = max(map(len, curves)), zip(curves, ends[name], strict=True)
            padded = [curve + [end] * (longest - len(curve)) for curve, end in pairs]
            found[name] = list(zip(*padded, strict=True))
        return found

    # What people read --------------------------------------------------------------------------

    @property
    def val_metrics(self) -> list[str]:
        """The metrics of the validation parts."""
        return [name for name in self.mean if name.startswith("val_")]

    @property
    def summary(self) -> dict[str, list[float | None]]:
        """What stands below the folds in a table -> its number for each of `val_metrics`."""
        names = self.val_metrics
        rows: dict[str, list[float | None]] = {"mean": [self.mean[name] for name in names]}
        spreads = {"standard deviation": self.std, "standard error": self.standard_error}
        for label, numbers in spreads.items():
            rows[label] = [numbers[name] if len(self.folds) > 1 else None for name in names]
        for label, known in self.baseline.items():
            cells = [known.get(name.removeprefix("val_")) for name in names]
            rows[f"baseline: {label.replace('_', ' ')}"] = cells
        return rows

    def table(self) -> str:
        """Return the folds, their mean and spread and the baselines as aligned text."""
        names = self.val_metrics
        rows = [["repeat", "fold", "train", "val", *names]]
        if len(self.folds) <= 40:
            rows += [
                [*map(str, (fold.repeat, fold.fold, fold.num_train, fold.num_val))]
                + [score_in_words(fold.metrics[name]) for name in names]
                for fold in self.folds
            ]
        else:
            rows.append([f"{len(self.folds)} folds", "", "", "", *("" for _ in names)])
        for label, cells in self.summary.items():
            shown = ["-" if cell is None else score_in_words(cell) for cell in cells]
            rows.append([label, "", "", "", *shown])
        return "\n".join(aligned(rows, left=1))

    def verdict(self) -> Verdict | None:
        """Return what the mean curve of the monitored metric says, smoothed as `best` takes it."""
        skipped, values = without_first_points(self.curves[self.monitor], self.smoothing)
        found = verdict(values, needed_direction(self.monitor, self.directions))
        return found and replace(found, best_epoch=found.best_epoch + skipped)

    def advice(self) -> str:
        """Return one sentence on what the folds say and what to do next."""
        found = self.verdict()
        if found is None or not math.isfinite(self.best_value()):
            return (
                f"{self.monitor} is no number any more: the steps were too large; lower the "
                "learning rate (--model.optimizer.lr) or clip gradients"
            )
        curve = "the smoothed mean " if self.smoothing else "the mean "
        return found.sentence(self.monitor, len(self.curves[self.monitor]), curve)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``crossval.json`` holds."""
        epoch, value = self.best()
        content = {
            "folds": [
                {name: getattr(fold, name) for name in _FACTS}
                | {"metrics": fold.metrics, "baseline": fold.baseline}
                for fold in self.folds
            ],
            "mean": self.mean,
            "std": self.std,
            "standard_error": self.standard_error,
            "baseline": self.baseline,
            "monitor": self.monitor,
            "monitor_mode": self.monitor_mode,
            "smoothing": self.smoothing,
            "best_epoch": epoch,
            "best_value": value,
            "curves": self.curves,
            "engine": self.engine,
            "refit": self.refit,
        }
        record: dict[str, Any] = with_nulls(content)
        return record

    def write(self, folder: Path) -> None:
        """Write ``folds.csv`` and ``crossval.json``."""
        metrics = list(self._ends)
        pairs = [(name, metric) for name, numbers in self.baseline.items() for metric in numbers]
        rows: list[list[Any]] = [
            ["repeat", "fold", "num_train", "num_val", "num_epochs", *metrics]
            + [f"baseline_{name}_{metric}" for name, metric in pairs]
        ]
        for fold in self.folds:
            num_epochs = max(map(len, fold.history.values()), default=0)
            rows.append([fold.repeat, fold.fold, fold.num_train, fold.num_val, num_epochs])
            rows[-1] += [fold.metrics[name] for name in metrics]
            rows[-1] += [fold.baseline[name][metric] for name, metric in pairs]
        write_csv(folder / "folds.csv", rows)
        write_json(folder / "crossval.json", self.to_dict())


def _columns(rows: Sequence[Mapping[str, _T]]) -> dict[str, list[_T]]:
    """Return name -> its value in each row, of the names that all rows have."""
    names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
    return {name: [row[name] for row in rows] for name in names}


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation (n - 1); a single value has none (NaN), and NaN stays one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
