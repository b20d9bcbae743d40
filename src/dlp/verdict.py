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

from dlp.monitor import Mode

#: A curve that improves by less than this part of its whole improvement is flat.
_LITTLE = 0.01
#: A rise matters from this part of the best value, or this part of the whole improvement.
_OF_BEST, _OF_GAIN = 0.02, 0.1
#: A quarter of the epochs, but this many at least, tell the present trend.
_FEWEST = 5
#: Quantiles of Student's t by degrees of freedom, 1 to 10.
_T95 = (6.3138, 2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125)
_T99 = (31.8205, 6.9646, 4.5407, 3.7469, 3.3649, 3.1427, 2.9980, 2.8965, 2.8214, 2.7638)


@dataclass(frozen=True)
class Verdict:
    """Reading of a curve.

    Args:
        kind: ``improving``, ``flat`` within its noise, ``worse`` (overfitting), or ``short``: too
            few epochs to tell.
        best_epoch: Epoch of the best value, from 1.
        best: Best value.
        change: Improvement in the last `span` epochs (``improving``), or the rise since the best
            epoch; not negative.
        span: Number of epochs of the change.
        noise: Standard deviation of one epoch's value around the curve.
        mode: Direction of the metric.
    """

    kind: Literal["improving", "flat", "worse", "short"]
    best_epoch: int
    best: float
    change: float
    span: int
    noise: float
    mode: Mode

    def sentence(self, metric: str, num_epochs: int) -> str:
        """Return the reading and the advice.

        Args:
            metric: Name of the metric.
            num_epochs: Number of trained epochs.
        """
        falls = self.mode == "min"
        change = f"{self.change:.3g}"
        noise = f" (the noise of an epoch is ±{self.noise:.2g})" if self.noise else ""
        epochs = f"{self.best_epoch} epoch{'s' * (self.best_epoch != 1)}"
        more = f"train longer, for {longer(num_epochs)} epochs, or use a bigger network"
        reading, advice = {
            "improving": (
                f"still {'falls' if falls else 'rises'}: by {change} in the last {self.span} "
                f"epochs{noise}",
                more,
            ),
            "short": ("so few epochs show no trend", more),
            "worse": (
                f"{'rose' if falls else 'fell'} by {change} after it{noise}: overfitting",
                f"retrain on everything for {epochs}, or use dropout, L2, a smaller network or "
                "more data",
            ),
            "flat": (
                f"is flat since: at the end {change} {'above' if falls else 'below'} it{noise}",
                f"more epochs change little: retrain on everything for {epochs}, or try another "
                "network or more data",
            ),
        }[self.kind]
        best = f"{metric} was best at epoch {self.best_epoch} ({self.best:.4g})"
        return f"{best} and {reading}; {advice}"


def longer(num_epochs: int) -> int:
    """Return the number of epochs to train after too few."""
    return max(2 * num_epochs, 10)


def verdict(values: Sequence[float], mode: Mode) -> Verdict | None:
    """Read a curve; return None without a finite value.

    It still improves if the trend of its last quarter, the median of all slopes (Theil and Sen),
    exceeds the noise of 19 in 20 cases and a hundredth of the whole improvement. Else it is worse
    if its level at the end lies above the best value by more than the noise of 99 in 100 cases,
    given that the best was picked from all, and by an amount that matters. Else it is flat. Fewer
    than five epochs improve if each is better than the one before.

    Args:
        values: Value per epoch; NaN where it was not measured.
        mode: Direction of the metric.
    """
    numbers = np.asarray(values, np.float64)
    epochs = np.flatnonzero(np.isfinite(numbers)) + 1
    if not len(epochs):
        return None
    curve = numbers[epochs - 1] * (1.0 if mode == "min" else -1.0)  # lower is better from here on
    best = int(curve.argmin())
    noise, freedom = _noise(curve, best)
    after, gain = len(curve) - 1 - best, float(curve[0] - curve[best])

    def read(kind: Any, change: float, span: int) -> Verdict:
        value = float(numbers[epochs[best] - 1])
        return Verdict(kind, int(epochs[best]), value, max(change, 0.0), span, noise, mode)

    above = float(curve[-1] - curve[best])
    if len(curve) < _FEWEST:
        improves = len(curve) > 1 and bool((np.diff(curve) < 0).all())
        return read("improving", gain, len(curve)) if improves else read("short", above, after)
    span = max(len(curve) // 4, _FEWEST)
    x, y = epochs[-span:], curve[-span:]
    trend = -_slope(x, y) * float(x[-1] - x[0])
    chance = _quantile(_T95, span - 2) * max(noise, _scatter(x, y)) * math.sqrt(12 / span)
    if trend > max(chance, _LITTLE * gain):
        return read("improving", trend, span)
    if after:
        span = min(after, span)
        x, y = epochs[-span:], curve[-span:]
        level = float(np.median(y - _slope(x, y) * x) + _slope(x, y) * x[-1])
        rise = level - float(curve[best])
        luck = math.sqrt(2 * math.log(len(curve)))  # distance of the best of so many from its level
        chance = luck + _quantile(_T99, freedom) * math.sqrt(4 / span)
        chance *= max(noise, _scatter(x, y))
        if rise > max(chance, min(_OF_BEST * abs(float(curve[best])), _OF_GAIN * gain)):
            return read("worse", rise, after)
    return read("flat", above, after)


def _noise(curve: NDArray[np.float64], best: int) -> tuple[float, int]:
    """Return the standard deviation of one value around the curve, and the count it comes from.

    Second differences cancel a smooth trend and have six times the variance of the noise. Their
    median size is taken since the best epoch, or over the later half or all if these are few.
    """
    for start in (best, len(curve) // 2, 0):
        bends = np.abs(np.diff(curve[start:], 2))
        if len(bends) >= 3:
            return 1.4826 * float(np.median(bends)) / math.sqrt(6), len(bends)
    return 0.0, 0


def _scatter(epochs: NDArray[np.int64], curve: NDArray[np.float64]) -> float:
    """Return the standard deviation around a straight line: noise that lasts for some epochs."""
    if len(curve) < _FEWEST:
        return 0.0
    rest = curve - _slope(epochs, curve) * epochs
    return 1.4826 * float(np.median(np.abs(rest - np.median(rest))))


def _slope(epochs: NDArray[np.int64], curve: NDArray[np.float64]) -> float:
    """Return the median of the slopes between all pairs of points, of 500 points at most."""
    if len(curve) < 2:
        return 0.0
    step = -(-len(curve) // 500)
    epochs, curve = epochs[::step], curve[::step]
    i, j = np.triu_indices(len(curve), 1)
    return float(np.median((curve[j] - curve[i]) / (epochs[j] - epochs[i])))


def _quantile(table: Sequence[float], freedom: int) -> float:
    return table[min(max(freedom, 1), 10) - 1]
