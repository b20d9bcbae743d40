"""Reading of a validation curve: improving, flat within its noise, or overfitting.

The noise is measured on the curve itself and every change is compared with it: the best of many
epochs alone shows no overfitting, nor does a slightly worse value some epochs later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from dlp.modules.monitor import Mode

Kind = Literal["improving", "flat", "overfitting", "too_short"]
Array = NDArray[Any]

#: A curve that improves by less than this part of its whole improvement is flat.
_MIN_TREND = 0.01
#: A rise matters from this part of the best value, or this part of the whole improvement.
_MIN_RISE_OF_BEST = 0.02
_MIN_RISE_OF_GAIN = 0.1
#: A quarter of the epochs, but this many at least, tell the present trend.
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
    best epoch, not negative; `noise` is the deviation of one epoch's value from the curve.
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

    It still improves if the trend of its last quarter, the median of all slopes (Theil and Sen),
    exceeds the noise of 19 in 20 cases and a hundredth of the whole improvement. Else it overfits
    if its level at the end lies above the best value by more than the noise of 99 in 100 cases,
    given that the best was picked from all, and by an amount that matters. Else it is flat. Fewer
    than five epochs improve if each is better than the one before.
    """
    numbers = np.asarray(values, np.float64)
    epochs = np.flatnonzero(np.isfinite(numbers)) + 1
    if not len(epochs):
        return None
    curve = numbers[epochs - 1]
    if mode == "max":
        curve = -curve  # lower is better from here on
    best = int(curve.argmin())
    noise, num_bends = _noise(curve, best)
    kind, change, span = _read(epochs, curve, noise, num_bends)
    best_epoch = int(epochs[best])
    best_value = float(numbers[best_epoch - 1])
    return Verdict(kind, best_epoch, best_value, max(change, 0.0), span, noise, mode)


def _read(
    epochs: Array,
    curve: Array,
    noise: float,
    num_bends: int,
) -> tuple[Kind, float, int]:
    """Return kind, change and span of a curve of which lower is better."""
    lowest = curve.min()
    after = len(curve) - 1 - int(curve.argmin())
    gain = curve[0] - lowest
    above = curve[-1] - lowest
    if len(curve) < _MIN_EPOCHS:
        if len(curve) > 1 and (np.diff(curve) < 0).all():
            return "improving", gain, len(curve)
        return "too_short", above, after
    quantile = scipy.special.stdtrit  # of Student's t
    span = max(len(curve) // 4, _MIN_EPOCHS)
    slope, _, scatter = _line(epochs[-span:], curve[-span:])
    trend = -slope * (epochs[-1] - epochs[-span])
    chance = quantile(span - 2, 0.95) * math.sqrt(12 / span) * max(noise, scatter)
    if trend > max(chance, _MIN_TREND * gain):
        return "improving", trend, span
    if after:
        span = min(after, span)
        _, end, scatter = _line(epochs[-span:], curve[-span:])
        luck = math.sqrt(2 * math.log(len(curve)))  # distance of the best of so many from its level
        chance = luck + quantile(num_bends, 0.99) * math.sqrt(4 / span)
        rise = end - lowest
        least = min(_MIN_RISE_OF_BEST * abs(lowest), _MIN_RISE_OF_GAIN * gain)
        if rise > max(chance * max(noise, scatter), least):
            return "overfitting", rise, after
    return "flat", above, after


def _noise(curve: Array, best: int) -> tuple[float, int]:
    """Return the standard deviation of one value around the curve, and the count it comes from.

    Second differences cancel a smooth trend and have six times the variance of the noise. Their
    median size is taken since the best epoch, or over the later half or all if these are few.
    """
    for start in (best, len(curve) // 2, 0):
        bends = np.abs(np.diff(curve[start:], 2))
        if len(bends) >= 3:
            return _PER_MEDIAN * np.median(bends) / math.sqrt(6), len(bends)
    return 0.0, 0


def _line(epochs: Array, curve: Array) -> tuple[float, float, float]:
    """Return slope, value at the end and scatter of the line through the middle of some points.

    The slope is the median of those of all pairs of points, as that of ``scipy.stats.theilslopes``,
    whose import takes a fit 0.6 s. The scatter tells noise that lasts for epochs.
    """
    first, second = np.triu_indices(len(curve), 1)
    slope = 0.0
    if len(first):
        slopes = (curve[second] - curve[first]) / (epochs[second] - epochs[first])
        slope = np.median(slopes)
    rest = curve - slope * epochs
    middle = np.median(rest)
    scatter = 0.0
    if len(curve) >= _MIN_EPOCHS:
        scatter = _PER_MEDIAN * np.median(np.abs(rest - middle))
    return slope, middle + slope * epochs[-1], scatter
