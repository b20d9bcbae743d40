"""Scale of one numeric column: shift and divisor, filled cells, quantiles and bins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

Missing = Literal["error", "zero", "mean", "median"]
Scaling = Literal["standard", "minmax", "quantile", "none"]


@dataclass(frozen=True)
class Scale:
    """Statistics of a numeric column, which becomes ``(x - shift) / scale``.

    Args:
        shift: Value subtracted.
        scale: Value divided by.
        fill: Value of missing cells, in the unit of the column.
        quantiles: Values at evenly spaced ranks, for ``scaling: quantile``: a number is first
            replaced by the normal quantile of its rank.
        edges: Edges of the bins (Gorishniy et al. 2022, arXiv 2203.05556).
        has_indicator: Whether another column marks the missing cells.
        is_date: Whether the column holds dates; they become days since 1970.
        is_constant: Whether all present cells are equal; the numbers are then not in the matrix.
    """

    shift: float = 0.0
    scale: float = 1.0
    fill: float = 0.0
    quantiles: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    has_indicator: bool = False
    is_date: bool = False
    is_constant: bool = False

    @classmethod
    def fit(
        cls,
        values: NDArray[np.float64],
        missing: Missing,
        indicator: bool,
        scaling: Scaling,
        bins: int,
    ) -> "Scale":
        """Learn from the numbers of the training part, NaN for a missing one."""
        present = values[~np.isnan(values)]
        has_indicator = indicator and 0 < len(present) < len(values)
        if not len(present) or present.min() == present.max():  # std of a constant 0.1 is not 0
            return cls(has_indicator=has_indicator, is_constant=True)
        fill = float(np.median(present) if missing == "median" else np.mean(present))
        is_filled = missing in ("mean", "median")
        filled = np.where(np.isnan(values), fill, values) if is_filled else present
        edges: NDArray[Any] = np.empty(0)
        if bins:
            shares = np.linspace(0, 1, bins + 1)
            edges = np.unique(np.quantile(filled, shares, method="inverted_cdf"))
        quantiles: tuple[float, ...] = ()
        scaled = filled
        if scaling == "quantile":
            ranks = np.linspace(0, 1, min(256, max(2, len(filled))))
            quantiles = tuple(np.quantile(filled, ranks).tolist())
            scaled = _normal_quantiles(filled, quantiles)
        low = scaled.min()
        ranges = {"none": (0.0, 1.0), "minmax": (low, scaled.max() - low)}
        shift, scale = ranges.get(scaling, (scaled.mean(), scaled.std()))
        if missing == "zero":  # zero after scaling
            ranks = np.linspace(0, 1, len(quantiles) or 1)
            fill = np.interp(scipy.special.ndtr(shift), ranks, quantiles) if quantiles else shift
        edges = edges if len(edges) > 2 else edges[:0]
        numbers = float(shift), float(scale) or 1.0, float(fill)
        return cls(*numbers, quantiles, tuple(edges.tolist()), has_indicator)

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return filled numbers (N,), scaled."""
        if self.quantiles:
            values = _normal_quantiles(values, self.quantiles)
        return (values - self.shift) / self.scale

    def binned(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, B): 1 in each bin below a number, 0 above, a share in its own bin."""
        edges = np.array(self.edges)
        shares: NDArray[np.float64] = (values[:, None] - edges[:-1]) / np.diff(edges)
        return shares.clip(0, 1)


def _normal_quantiles(
    values: NDArray[np.float64], quantiles: Sequence[float]
) -> NDArray[np.float64]:
    """Return the normal quantile of the rank of each number; equal numbers take the mean rank."""
    ordered, ranks = np.array(quantiles), np.linspace(0, 1, len(quantiles))
    upper = 1 - np.interp(-values, -ordered[::-1], ranks)
    rank = (np.interp(values, ordered, ranks) + upper) / 2
    normal: NDArray[np.float64] = scipy.special.ndtri(rank.clip(1e-3, 1 - 1e-3))
    return normal
