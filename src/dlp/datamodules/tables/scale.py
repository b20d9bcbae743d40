"""Scale of one numeric column: shift and divisor, filled cells, quantiles and bins."""

from dataclasses import dataclass, replace
from typing import Literal

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
    """

    shift: float
    scale: float
    fill: float
    quantiles: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls,
        values: NDArray[np.float64],
        missing: Missing = "error",
        scaling: Scaling = "standard",
        bins: int = 0,
    ) -> "Scale | None":
        """Learn from numbers (N,), NaN for a missing one; return None if they are all equal."""
        numbers = values[~np.isnan(values)]
        if not len(numbers) or numbers.min() == numbers.max():  # std of a constant 0.1 is not 0
            return None
        fill = float(np.median(numbers) if missing == "median" else np.mean(numbers))
        if missing in ("mean", "median"):
            numbers = np.where(np.isnan(values), fill, values)
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
        edges = edges if len(edges) > 2 else edges[:0]
        quantiles = np.empty(0)
        if scaling == "quantile":
            quantiles = np.quantile(numbers, np.linspace(0, 1, min(256, len(numbers))))
        scale = cls(0.0, 1.0, fill, tuple(quantiles.tolist()), tuple(edges.tolist()))
        if scaling == "none":
            return scale
        numbers = scale.scaled(numbers)
        if scaling == "minmax":
            return replace(scale, shift=float(numbers.min()), scale=float(np.ptp(numbers)))
        return replace(scale, shift=float(numbers.mean()), scale=float(numbers.std()))

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return filled numbers (N,), scaled."""
        if self.quantiles:
            ordered, ranks = np.array(self.quantiles), np.linspace(0, 1, len(self.quantiles))
            upper = 1 - np.interp(-values, -ordered[::-1], ranks)
            rank = (np.interp(values, ordered, ranks) + upper) / 2  # the mean of equal numbers
            values = scipy.special.ndtri(rank.clip(1e-3, 1 - 1e-3))
        return (values - self.shift) / self.scale

    def binned(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, B): 1 in each bin below a number, 0 above, a share in its own bin."""
        edges = np.array(self.edges)
        shares: NDArray[np.float64] = (values[:, None] - edges[:-1]) / np.diff(edges)
        return shares.clip(0, 1)
