"""Verdict on a validation curve: still improving, flat within its noise, or overfitting.

The noise is measured on the curve itself, and every change is compared with it. That one of many
epochs is the best, and that the value is slightly worse some epochs later, does not yet show
overfitting.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlp.modules.monitor import Mode
from dlp.reader.encoder import Array

Kind = Literal["improving", "flat", "overfitting", "too_short"]

#: Smallest change that matters, as a fraction of the whole improvement.
_MIN_CHANGE = 0.01
#: Number of epochs that are needed to see a trend.
_MIN_EPOCHS = 5
#: Standard deviation of a normal distribution, divided by its median absolute deviation.
_PER_MEDIAN = 1.4826


@dataclass(frozen=True)
class Verdict:
    """Verdict on a curve.

    Args:
        kind: Kind of the curve.
        best_epoch: Epoch with the best value, counted from 1.
        best: Value at the best epoch.
        change: For ``improving``, the improvement in the last quarter of the epochs. For the other
            kinds, how much worse the last value is than the best one.
        noise: Standard deviation of the value of one epoch from the smooth curve.
    """

    kind: Kind
    best_epoch: int
    best: float
    change: float
    noise: float

    def sentence(self, metric: str, num_epochs: int) -> str:
        """Return a sentence that says how the curve of a metric went, and what to do next.

        Args:
            metric: Name of the metric.
            num_epochs: Number of epochs that were trained.
        """
        noise = f" (the noise of an epoch is ±{self.noise:.2g})"
        more = f"train longer, for {longer(num_epochs)} epochs, or use a bigger network"
        retrain = f"retrain on everything up to epoch {self.best_epoch}"
        advice = {
            "improving": f"still improves: by {self.change:.3g} in the last quarter{noise}; {more}",
            "too_short": f"so few epochs show no trend; {more}",
            "overfitting": f"got worse by {self.change:.3g} after it{noise}: overfitting; "
            f"{retrain}, or use dropout, L2, a smaller network or more data",
            "flat": f"is flat{noise}; more epochs change little: {retrain}, or try another network "
            "or more data",
        }
        return f"{self.best_clause(metric)} and {advice[self.kind]}"

    def best_clause(self, metric: str) -> str:
        """Return a clause that gives the best value of a metric and its epoch."""
        return f"{metric} was best at epoch {self.best_epoch} ({self.best:.4g})"


def divergence(metric: str, values: Sequence[float]) -> str | None:
    """Return a sentence about a curve that is NaN or infinite up to its end, or None.

    Args:
        metric: Name of the metric.
        values: Value of the metric in each epoch. Do not use this function for a metric that is not
            measured in every epoch, because its value is NaN in the other epochs.
    """
    finite_epochs = np.flatnonzero(np.isfinite(values)) + 1
    epoch = int(finite_epochs.max(initial=0)) + 1
    if epoch > len(values):
        return None
    return (
        f"{metric} is NaN or infinite from epoch {epoch} on: training diverged; use a smaller "
        "learning rate, or scale the inputs and targets down"
    )


def longer(num_epochs: int) -> int:
    """Return the number of epochs to train if `num_epochs` were too few."""
    return max(2 * num_epochs, 10)


def verdict(values: Sequence[float], mode: Mode) -> Verdict | None:
    """Return the verdict on a curve, or None if it has no finite value.

    The medians of the last two quarters of the curve are compared. The curve still improves if the
    last median is better than the one before by more than four times the noise of such a median and
    by more than a hundredth of the whole improvement. Otherwise it overfits if the values after the
    best one are worse than the best one by more than that, plus the amount by which the best of so
    many epochs is expected to be better by luck. Otherwise it is flat. A curve with fewer than five
    values is too short.

    Args:
        values: Value of the metric in each epoch; NaN and infinity are left out.
        mode: ``min`` if lower values are better, ``max`` if higher values are better.
    """
    numbers = np.asarray(values, np.float64)
    epochs = np.flatnonzero(np.isfinite(numbers)) + 1
    if not len(epochs):
        return None
    curve = numbers[epochs - 1]
    if mode == "max":
        curve = -curve  # lower is better from here on
    kind, change, noise = _read(curve)
    best_epoch = int(epochs[curve.argmin()])
    best = float(numbers[best_epoch - 1])
    return Verdict(kind, best_epoch, best, float(change), noise)


def _read(curve: Array) -> tuple[Kind, float, float]:
    """Return the kind, change and noise of a curve in which lower values are better."""
    lowest = curve.min()
    rise = curve[-1] - lowest
    if len(curve) < _MIN_EPOCHS:
        return "too_short", rise, 0.0
    # Second differences remove a smooth trend. Their variance is six times the noise's.
    noise = float(_PER_MEDIAN * np.median(np.abs(np.diff(curve, 2))) / math.sqrt(6))
    span = max(len(curve) // 4, 2)
    least = max(4 * noise / math.sqrt(span), _MIN_CHANGE * (curve[0] - lowest))
    trend = np.median(curve[-2 * span : -span]) - np.median(curve[-span:])
    if trend > least:
        return "improving", trend, noise
    after = curve[curve.argmin() + 1 :]
    # The best of many epochs is better than the curve by this much through noise only.
    luck = noise * math.sqrt(2 * math.log(len(curve)))
    if len(after) and np.median(after[-span:]) - lowest > least + luck:
        return "overfitting", rise, noise
    return "flat", rise, noise
