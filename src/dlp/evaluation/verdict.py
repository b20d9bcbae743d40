"""Reading of a validation curve: improving, flat within its noise, or overfitting.

The noise is measured on the curve itself and every change is compared with it: neither the best of
many epochs nor a slightly worse value some epochs later shows overfitting.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlp.modules.monitor import Mode
from dlp.reader.encoder import Array

Kind = Literal["improving", "flat", "overfitting", "too_short"]

#: A change matters from this part of the whole improvement.
_MIN_CHANGE = 0.01
#: Fewer epochs show no trend.
_MIN_EPOCHS = 5
#: Standard deviations of a normal distribution per median absolute deviation.
_PER_MEDIAN = 1.4826


@dataclass(frozen=True)
class Verdict:
    """Reading of a curve: its kind, the best epoch from 1, and what followed.

    `change` is the improvement in the last quarter of the epochs (``improving``), or the rise since
    the best epoch; `noise` is the deviation of one epoch's value from the curve.
    """

    kind: Kind
    best_epoch: int
    best: float
    change: float
    noise: float

    def sentence(self, metric: str, num_epochs: int) -> str:
        """Return the reading of a metric after some epochs, and the advice."""
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
        """Return the clause about the best value of a metric."""
        return f"{metric} was best at epoch {self.best_epoch} ({self.best:.4g})"


def divergence(metric: str, values: Sequence[float]) -> str | None:
    """Return the sentence about a curve that stays NaN or infinite to its end; None for others.

    Args:
        metric: Name of the metric.
        values: Value of each epoch; a metric that is not measured in each has NaN elsewhere and
            must be left out.
    """
    finite_epochs = np.flatnonzero(np.isfinite(values)) + 1
    epoch = int(finite_epochs.max(initial=0)) + 1
    if epoch > len(values):
        return None
    return (
        f"{metric} is NaN or infinite from epoch {epoch} on: training diverged; use a smaller "
        "learning rate, or inputs and targets of a smaller scale"
    )


def longer(num_epochs: int) -> int:
    """Return the number of epochs to train after too few."""
    return max(2 * num_epochs, 10)


def verdict(values: Sequence[float], mode: Mode) -> Verdict | None:
    """Read a curve; return None without a finite value.

    Medians of quarters of the curve are compared. It still improves if the last one is better than
    the one before, by four times its noise and a hundredth of the whole improvement. Else it
    overfits if what followed the best value is worse by as much, and by the luck of the best of
    all epochs. Else it is flat.
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
    """Return kind, change and noise of a curve of which lower is better."""
    lowest = curve.min()
    rise = curve[-1] - lowest
    if len(curve) < _MIN_EPOCHS:
        return "too_short", rise, 0.0
    # Second differences cancel a smooth trend and have six times the variance of the noise.
    noise = float(_PER_MEDIAN * np.median(np.abs(np.diff(curve, 2))) / math.sqrt(6))
    span = max(len(curve) // 4, 2)
    least = max(4 * noise / math.sqrt(span), _MIN_CHANGE * (curve[0] - lowest))
    trend = np.median(curve[-2 * span : -span]) - np.median(curve[-span:])
    if trend > least:
        return "improving", trend, noise
    after = curve[curve.argmin() + 1 :]
    luck = noise * math.sqrt(2 * math.log(len(curve)))  # of the best of so many
    if len(after) and np.median(after[-span:]) - lowest > least + luck:
        return "overfitting", rise, noise
    return "flat", rise, noise
