"""Reading of a validation curve: improving, flat within its noise, or overfitting.

The noise is measured on the curve itself and every change is compared with it: the best of many
epochs alone shows no overfitting, nor does a slightly worse value some epochs later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dlp.modules.monitor import Mode

Kind = Literal["improving", "flat", "overfitting", "too_short"]
Array = NDArray[Any]

#: A curve that improves by less than this part of its whole improvement is flat.
_MIN_TREND = 0.01
#: A rise matters from this part of the best value, or this part of the whole improvement.
_MIN_RISE_OF_BEST = 0.02
_MIN_RISE_OF_GAIN = 0.1
#: Fewer epochs show no trend unless each is better than the one before.
_MIN_EPOCHS = 5
#: Verbs of a curve that improves and of one that does not, and the side of its worse values.
_WORDS: dict[Mode, tuple[str, str, str]] = {
    "min": ("falls", "rose", "above"),
    "max": ("rises", "fell", "below"),
}
#: Standard deviations of a normal distribution per median absolute deviation.
_PER_MEDIAN = 1.4826


@dataclass(frozen=True)
class Verdict:
    """Reading of a curve: its kind, the best epoch from 1, and what followed.

    `change` is the improvement in the last `span` epochs (``improving``), or the rise since the
    best epoch; `noise` is the deviation of one epoch's value from the curve.
    """

    kind: Kind
    best_epoch: int
    best: float
    change: float
    span: int
    noise: float
    mode: Mode

    def sentence(self, metric: str, num_epochs: int) -> str:
        """Return the reading of a metric after some epochs, and the advice."""
        falls, rose, above = _WORDS[self.mode]
        change = f"{self.change:.3g}"
        noise = ""
        if self.noise:
            noise = f" (the noise of an epoch is ±{self.noise:.2g})"
        more = f"train longer, for {longer(num_epochs)} epochs, or use a bigger network"
        retrain = f"retrain on everything up to epoch {self.best_epoch}"
        flat = f"is flat since: at the end {change} {above} it{noise}"
        if self.best_epoch == num_epochs:
            flat = f"is flat{noise}"
        advice = {
            "improving": f"still {falls}: by {change} in the last {self.span} epochs{noise}; "
            f"{more}",
            "too_short": f"so few epochs show no trend; {more}",
            "overfitting": f"{rose} by {change} after it{noise}: overfitting; {retrain}, or use "
            "dropout, L2, a smaller network or more data",
            "flat": f"{flat}; more epochs change little: {retrain}, or try another network or more "
            "data",
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
    value = "NaN" if math.isnan(values[epoch - 1]) else "infinite"
    return (
        f"{metric} became {value} at epoch {epoch}: training diverged; use a smaller learning "
        "rate, or inputs and targets of a smaller scale"
    )


def longer(num_epochs: int) -> int:
    """Return the number of epochs to train after too few."""
    return max(2 * num_epochs, 10)


def verdict(values: Sequence[float], mode: Mode) -> Verdict | None:
    """Read a curve; return None without a finite value.

    Medians of quarters of the curve are compared. It still improves if the last one is better than
    the one before, by four times its noise and a hundredth of the whole improvement. Else it
    overfits if what followed the best value is worse, by that noise, the luck of the best of
    all epochs, and an amount that matters. Else it is flat. Fewer than five epochs improve if each
    is better than the one before.
    """
    numbers = np.asarray(values, np.float64)
    epochs = np.flatnonzero(np.isfinite(numbers)) + 1
    if not len(epochs):
        return None
    curve = numbers[epochs - 1]
    if mode == "max":
        curve = -curve  # lower is better from here on
    noise = _noise(curve)
    kind, change, span = _read(curve, noise)
    best_epoch = int(epochs[curve.argmin()])
    best_value = float(numbers[best_epoch - 1])
    return Verdict(kind, best_epoch, best_value, float(change), span, noise, mode)


def _read(curve: Array, noise: float) -> tuple[Kind, float, int]:
    """Return kind, change and span of a curve of which lower is better."""
    lowest = curve.min()
    after = len(curve) - 1 - int(curve.argmin())
    gain = curve[0] - lowest
    above = curve[-1] - lowest
    if len(curve) < _MIN_EPOCHS:
        if len(curve) > 1 and (np.diff(curve) < 0).all():
            return "improving", gain, len(curve)
        return "too_short", above, after
    span = max(len(curve) // 4, 2)
    end = np.median(curve[-span:])
    trend = np.median(curve[-2 * span : -span]) - end
    error = 4 * noise / math.sqrt(span)
    if trend > max(error, _MIN_TREND * gain):
        return "improving", trend, span
    if after:
        rise = np.median(curve[-min(after, span) :]) - lowest
        luck = noise * math.sqrt(2 * math.log(len(curve)))  # of the best of so many
        least = min(_MIN_RISE_OF_BEST * abs(lowest), _MIN_RISE_OF_GAIN * gain)
        if rise > max(luck + error, least):
            return "overfitting", above, after
    return "flat", above, after


def _noise(curve: Array) -> float:
    """Return the standard deviation of one value around the curve.

    Second differences cancel a smooth trend and have six times the variance of the noise.
    """
    if len(curve) < _MIN_EPOCHS:
        return 0.0
    return float(_PER_MEDIAN * np.median(np.abs(np.diff(curve, 2))) / math.sqrt(6))
