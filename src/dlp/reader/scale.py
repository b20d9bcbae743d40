"""Scale of a column of numbers, its bins, and the calendar and clock of a column of dates."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from .encoder import Array, Floats, PlainValues

Missing = Literal["error", "zero", "mean", "median"]
Scaling = Literal["standard", "minmax", "quantile", "none"]

#: Number of columns of a date: seven weekdays, sine and cosine of its place in the year.
CALENDAR = 9
#: Number of further columns of a date with a time: sine and cosine of its place in the day.
CLOCK = 2
_DAYS_PER_YEAR = 365.2425
_NUM_QUANTILES = 128
_LEAST_RANK = 1e-3


def _no_points() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Scale:
    """Statistics of a column of numbers x, which become ``(x - shift) / scale``.

    Args:
        shift: Value subtracted.
        scale: Value divided by.
        fill: Value of missing cells, in the unit of the column.
        quantiles: Numbers at increasing ranks, for ``scaling: quantile``.
        values: Normal value of each quantile. A number is first replaced by its value on the line
            through these points.
        edges: Edges of the bins (Gorishniy et al. 2022, arXiv 2203.05556).
    """

    shift: float
    scale: float
    fill: float
    quantiles: Floats = field(default_factory=_no_points)
    values: Floats = field(default_factory=_no_points)
    edges: Floats = field(default_factory=_no_points)

    @classmethod
    def fit(cls, cells: Floats, missing: Missing, scaling: Scaling, bins: int) -> "Scale | None":
        """Learn from numbers (N,), NaN for a missing one; return None if they are all equal."""
        is_missing = np.isnan(cells)
        numbers = cells[~is_missing]
        if not len(numbers) or numbers.min() == numbers.max():  # std of a constant 0.1 is not 0
            return None
        fill = np.mean(numbers)
        if missing == "median":
            fill = np.median(numbers)
        if missing in ("mean", "median"):
            numbers = np.where(is_missing, fill, cells)
        edges = quantiles = values = _no_points()
        if bins:
            ranks = np.linspace(0, 1, bins + 1)
            edges = np.unique(np.quantile(numbers, ranks, method="inverted_cdf"))
        if len(edges) < 3:
            edges = _no_points()
        if scaling == "quantile":
            quantiles, values = _normal_points(numbers)
            numbers = np.interp(numbers, quantiles, values)
        shift = 0.0
        scale = 1.0
        if scaling == "minmax":
            shift = numbers.min()
            scale = np.ptp(numbers)
        elif scaling != "none":
            shift = numbers.mean()
            scale = numbers.std()
        if scale == 0:  # the squares of tiny numbers are 0
            return None
        return cls(float(shift), float(scale), float(fill), quantiles, values, edges)

    @property
    def num_bins(self) -> int:
        """Number of bins."""
        return max(0, len(self.edges) - 1)

    def to_dict(self) -> PlainValues:
        """Return the statistics as plain values."""
        content: dict[str, Any] = asdict(self)
        for name in ("quantiles", "values", "edges"):
            content[name] = content[name].tolist()
        return content

    @classmethod
    def from_dict(cls, content: PlainValues) -> "Scale":
        """Return the scale of which `to_dict` gave the plain values."""
        points = {name: np.array(content[name]) for name in ("quantiles", "values", "edges")}
        return cls(content["shift"], content["scale"], content["fill"], **points)


class Scales:
    """Statistics of K columns of numbers as arrays, which scale whole rows.

    Args:
        scales: Statistics of each column.
    """

    def __init__(self, scales: Sequence[Scale]) -> None:
        self.scales = scales
        self.fill = np.array([scale.fill for scale in scales])
        self.shift = np.array([scale.shift for scale in scales])
        self.scale = np.array([scale.scale for scale in scales])
        num_bins = max([scale.num_bins for scale in scales], default=0)
        edges = np.full((len(scales), num_bins + 1), np.nan)  # columns of few numbers have fewer
        for row, scale in zip(edges, scales, strict=True):
            row[: len(scale.edges)] = scale.edges
        self.lower = edges[:, :-1]
        self.widths = np.diff(edges, axis=1)
        self.is_bin = np.isfinite(self.widths).ravel()

    def filled(self, numbers: Floats) -> Floats:
        """Return numbers (N, K) in which missing ones, NaN, are filled."""
        filled: Floats = np.where(np.isnan(numbers), self.fill, numbers)
        return filled

    def scaled(self, filled: Floats) -> Floats:
        """Return scaled numbers (N, K)."""
        normal = filled
        for place, scale in enumerate(self.scales):
            if len(scale.values):
                if normal is filled:
                    normal = filled.copy()
                normal[:, place] = np.interp(filled[:, place], scale.quantiles, scale.values)
        scaled: Floats = (normal - self.shift) / self.scale
        return scaled

    def in_bins(self, filled: Floats) -> Floats:
        """Return the share of each bin that is below a number, (N, number of all bins)."""
        shares = filled[:, :, None] - self.lower
        shares /= self.widths
        np.clip(shares, 0, 1, out=shares)
        flat: Floats = shares.reshape(len(filled), -1)
        return flat[:, self.is_bin]


def _normal_points(numbers: Floats) -> tuple[Floats, Floats]:
    """Return quantiles of numbers and their normal values; equal ones share their mean rank."""
    normal = NormalDist()
    limit = normal.inv_cdf(1 - _LEAST_RANK)
    points = np.linspace(-limit, limit, _NUM_QUANTILES)
    ranks = np.array([normal.cdf(point) for point in points])
    quantiles = np.quantile(numbers, ranks)
    quantiles[0] = numbers.min()
    quantiles[-1] = numbers.max()
    quantiles.sort()  # interpolation rounds
    first = quantiles.searchsorted(quantiles, "left")
    last = quantiles.searchsorted(quantiles, "right") - 1
    shared = (ranks[first] + ranks[last]) / 2
    return quantiles, np.array([normal.inv_cdf(rank) for rank in shared])


def calendar(days: Floats) -> Array:
    """Return the weekday and the place in the year of days since 1970, float32 (N, 9).

    The first column is 1 on Thursdays, the weekday of 1970-01-01, the seventh on Wednesdays.
    """
    weekdays = np.floor(days)[:, None] % 7 == np.arange(7)
    return np.concatenate([weekdays, _on_a_circle(days, _DAYS_PER_YEAR)], axis=1, dtype=np.float32)


def clock(days: Floats) -> Array:
    """Return the time of day of days since 1970 as sine and cosine, float32 (N, 2).

    Both are continuous at midnight. The time of a date with an offset from UTC is the one in UTC.
    """
    return _on_a_circle(days, 1.0)


def _on_a_circle(days: Floats, period: float) -> Array:
    """Return the sine and cosine of the place of days in a period of days, float32 (N, 2)."""
    angles = (days % period).astype(np.float32) * np.float32(2 * np.pi / period)
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)
