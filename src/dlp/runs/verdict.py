"""What a validation curve says: still improving, flat within its noise, or really getting worse.

The one place that decides it, for fits, cross-validations and reports. The noise is measured on the
curve itself, and every change is compared with it: the epoch that happens to be the best of many is
no sign of overfitting, nor is a number that is a little worse a few epochs later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlp.directions import Mode
from dlp.number_words import score_in_words

Floats = NDArray[np.float64]
Kind = Literal["improving", "flat", "worse", "short"]

#: A curve that improves by less than this part of all that it has improved is flat.
_LITTLE = 0.01
#: A rise matters from this part of the best number, or this part of all improvement.
_MATTERS, _OF_GAIN = 0.02, 0.1
#: A quarter of the epochs, but this many at least, tell how a curve is now.
_FEWEST = 5
#: Quantiles of Student's t by its degrees of freedom, 1 to 10: importing them from SciPy would
#: take a fortieth of a short command.
_STUDENT = {
    0.95: (6.3138, 2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125),
    0.99: (31.8205, 6.9646, 4.5407, 3.7469, 3.3649, 3.1427, 2.9980, 2.8965, 2.8214, 2.7638),
}


@dataclass(frozen=True)
class Verdict:
    """What a curve says.

    Args:
        kind: ``improving`` (train longer), ``flat`` (within its noise), ``worse`` (overfitting),
            or ``short``: too few epochs to tell.
        best_epoch: The epoch at which it was best, from 1.
        best: The number there.
        change: By how much it got better in the last `span` epochs (``improving``), or worse since
            the best one, `span` epochs before the end; never negative.
        span: How many epochs.
        noise: Standard deviation of one epoch's number around the curve.
        mode: Whether less or more is better.
    """

    kind: Kind
    best_epoch: int
    best: float
    change: float
    span: int
    noise: float
    mode: Mode

    def sentence(self, metric: str, last: int, curve: str = "") -> str:
        """Return what the curve says and what to do.

        Args:
            metric: The metric.
            last: The number of epochs.
            curve: What curve of it, such as ``the mean ``.
        """
        best = score_in_words(self.best)
        said = f"{curve}{metric} was best at epoch {self.best_epoch} ({best}) {self}"
        return f"{said}; {self.advice(last)}"

    def advice(self, last: int) -> str:
        """Return what to do after `last` epochs."""
        epochs = f"{self.best_epoch} epoch{'s' * (self.best_epoch != 1)}"
        if self.kind in ("improving", "short"):
            return f"train longer, for {self.longer(last)} epochs, or use a bigger network"
        if self.kind == "worse":
            return (
                f"retrain on everything for {epochs}, or use dropout, L2, a smaller network or "
                "more data"
            )
        return (
            f"more epochs change little: retrain on everything for {epochs}, or try another "
            "network or more data"
        )

    @staticmethod
    def longer(last: int) -> int:
        """Return for how many epochs to train, after `last` that were too few to tell."""
        return max(2 * last, 10)

    def __str__(self) -> str:
        """Return it in words, to follow ``val_loss was best at epoch 4 (0.3000)``."""
        falls = self.mode == "min"
        change = f"{self.change:.3g}"
        noise = f" (the noise of an epoch is ±{self.noise:.2g})" if self.noise else ""
        if self.kind == "improving":
            verb = "falls" if falls else "rises"
            return f"and still {verb}: by {change} in the last {self.span} epochs{noise}"
        if self.kind == "worse":
            return f"and {'rose' if falls else 'fell'} by {change} after it{noise}: overfitting"
        if self.kind == "short":
            return "and so few epochs show no trend"
        side = "above" if falls else "below"
        return f"and is flat since: at the end {change} {side} it{noise}"


def verdict(values: Sequence[float], mode: Mode) -> Verdict | None:
    """Return what a curve says; None for one without any number.

    Two questions, in this order. Does it still improve? The trend of the last quarter of the epochs
    (5 at least), by the median of all slopes (Theil and Sen), must exceed what noise gives in one
    of 20 cases, and be more than a hundredth of the whole improvement. Is it worse than it was? The
    level at the end must lie above the best number by more than noise gives in one of 100 cases,
    given that the best one was picked from all, and by an amount that matters. Otherwise it is
    flat. Fewer than five epochs tell no more than whether each was better than the one before.

    Args:
        values: One number an epoch; those that are none (not validated) are left out.
        mode: Whether less or more is better.
    """
    numbers = np.asarray(values, np.float64)
    epochs = np.flatnonzero(np.isfinite(numbers)) + 1
    if not len(epochs):
        return None
    curve = numbers[epochs - 1] * (1.0 if mode == "min" else -1.0)  # less is better from here
    best = int(curve.argmin())
    noise, freedom = _noise(curve, best)
    after, gained = len(curve) - 1 - best, float(curve[0] - curve[best])

    def say(kind: Kind, change: float, span: int) -> Verdict:
        number = float(numbers[epochs[best] - 1])
        return Verdict(kind, int(epochs[best]), number, max(change, 0.0), span, noise, mode)

    above = float(curve[-1] - curve[best])
    if len(curve) < _FEWEST:
        falls = len(curve) > 1 and bool((np.diff(curve) < 0).all())
        return say("improving", gained, len(curve)) if falls else say("short", above, after)
    span = max(len(curve) // 4, _FEWEST)
    x, y = epochs[-span:], curve[-span:]
    gain = -_slope(x, y) * float(x[-1] - x[0])
    by_noise = _quantile(0.95, span - 2) * max(noise, _scatter(x, y)) * math.sqrt(12 / span)
    if gain > max(by_noise, _LITTLE * gained):
        return say("improving", gain, span)
    if after:
        span = min(after, span)
        x, y = epochs[-span:], curve[-span:]
        level = float(np.median(y - _slope(x, y) * x) + _slope(x, y) * x[-1])
        rise = level - float(curve[best])
        picked = math.sqrt(2 * math.log(len(curve)))  # how far the best of so many lies below
        by_noise = picked + _quantile(0.99, freedom) * math.sqrt(4 / span)
        by_noise *= max(noise, _scatter(x, y))
        if rise > max(by_noise, min(_MATTERS * abs(float(curve[best])), _OF_GAIN * gained)):
            return say("worse", rise, after)
    return say("flat", above, after)


def _noise(curve: Floats, best: int) -> tuple[float, int]:
    """Return the standard deviation of one number around the curve, and from how many it is.

    By second differences, in which a smooth trend vanishes and noise has variance 6: their median
    size since the best epoch; over the later half, or all, where these are few.
    """
    for start in (best, len(curve) // 2, 0):
        bends = np.abs(np.diff(curve[start:], 2))
        if len(bends) >= 3:
            return 1.4826 * float(np.median(bends)) / math.sqrt(6), len(bends)
    return 0.0, 0


def _scatter(epochs: NDArray[np.int64], curve: Floats) -> float:
    """Return the standard deviation around a straight line: noise that lasts for some epochs."""
    if len(curve) < _FEWEST:
        return 0.0
    rest = curve - _slope(epochs, curve) * epochs
    return 1.4826 * float(np.median(np.abs(rest - np.median(rest))))


def _slope(epochs: NDArray[np.int64], curve: Floats) -> float:
    """Return the median of the slopes between all pairs of points (of 500 at most)."""
    if len(curve) < 2:
        return 0.0
    step = -(-len(curve) // 500)
    epochs, curve = epochs[::step], curve[::step]
    one, other = np.triu_indices(len(curve), 1)
    return float(np.median((curve[other] - curve[one]) / (epochs[other] - epochs[one])))


def _quantile(share: float, freedom: int) -> float:
    """Return what noise alone stays below in that share of cases (Student's t, one-sided)."""
    return _STUDENT[share][min(max(freedom, 1), 10) - 1]
