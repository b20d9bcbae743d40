"""Moving averages of curves, as the book takes them (section 3.6)."""

import math
from collections.abc import Sequence

#: Points of a long curve that the book leaves out before it smooths: they dwarf the others.
FIRST_POINTS = 10


def smooth(values: Sequence[float], factor: float) -> list[float]:
    """Return the exponential moving average ``s[t] = factor * s[t-1] + (1 - factor) * x[t]``.

    It starts at the first value, without bias correction. Epochs that were not measured (NaN) are
    left as they are, and out of the average.
    """
    smoothed: list[float] = []
    last: float | None = None
    for value in values:
        if math.isfinite(value):
            last = value if last is None else factor * last + (1 - factor) * value
            value = last
        smoothed.append(value)
    return smoothed


def without_first_points(curve: Sequence[float], smoothing: float) -> tuple[int, list[float]]:
    """Return how many first points of a mean curve are left out, and the others, smoothed.

    Of a curve of 30 epochs or more the first 10 points are left out. Without smoothing the curve
    is as it was.
    """
    if not smoothing:
        return 0, list(curve)
    skipped = FIRST_POINTS if len(curve) >= 3 * FIRST_POINTS else 0
    return skipped, smooth(curve[skipped:], smoothing)
