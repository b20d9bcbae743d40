"""How a numeric column becomes inputs: filled, scaled, brought to a normal shape, cut into bins."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # its subpackages load when they are used
from numpy.typing import NDArray

from dlp.datamodules.standardising import mean_and_deviation
from dlp.errors import InputError

Scaling = Literal["standard", "minmax", "quantile", "none"]

#: Quantiles that stand for a column's distribution.
_QUANTILES = 256
#: Ranks are kept so far from 0 and 1: a value beyond all others is no further out than 3.1.
_EDGE = 1e-3
#: More bins than this a column are more inputs than help.
MAX_BINS = 1000


def check_bins(bins: int) -> None:
    """Raise an InputError unless `bins` is a number of bins a column can be cut into."""
    if bins == 1 or not 0 <= bins <= MAX_BINS:
        raise InputError(f"bins must be 0 (none) or 2 to {MAX_BINS}, got {bins}.")


@dataclass(frozen=True)
class NumericScale:
    """What is learned of one numeric column of the training part.

    Args:
        shift: Subtracted first.
        scale: Divided by then.
        quantiles: With ``quantile`` scaling: values at evenly spaced ranks, in order. A value
            takes its rank among them, then the place of that rank in a normal distribution;
            `shift` and `scale` standardise these places.
        edges: The edges of the bins, in order; none for a column of too few values.
        fill: The value of a missing cell.
        indicated: Whether an input of its own says where it was missing.
        is_date: Whether it holds dates.
    """

    shift: float
    scale: float
    quantiles: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    fill: float = 0.0
    indicated: bool = False
    is_date: bool = False

    @classmethod
    def of(cls, values: NDArray[np.float64], scaling: Scaling, bins: int = 0) -> "NumericScale":
        """Return what is learned from the filled values (N,) of a column; nothing from none."""
        if not len(values):
            return cls(0.0, 1.0)
        edges: list[float] = []
        if bins:  # values that were seen
            ranks = np.linspace(0, 1, bins + 1)
            edges = np.unique(np.quantile(values, ranks, method="inverted_cdf")).tolist()
        cut = tuple(edges) if len(edges) > 2 else ()
        if scaling == "none":
            return cls(0.0, 1.0, (), cut)
        if scaling == "minmax":
            low, high = float(values.min()), float(values.max())
            return cls(low, high - low or 1.0, (), cut)
        quantiles: tuple[float, ...] = ()
        if scaling == "quantile":
            ranks = np.linspace(0, 1, min(_QUANTILES, max(2, len(values))))
            quantiles = tuple(map(float, np.quantile(values, ranks)))
            values = _normal_places(values, quantiles)
        mean, deviation = mean_and_deviation(values)
        return cls(float(mean), float(deviation), quantiles, cut)

    @property
    def zero(self) -> float:
        """The value that becomes 0: the mean, the median or the minimum, by the scaling."""
        if not self.quantiles:
            return self.shift
        ranks = np.linspace(0, 1, len(self.quantiles))
        return float(np.interp(scipy.special.ndtr(self.shift), ranks, self.quantiles))

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values (N,), scaled."""
        if self.quantiles:
            values = _normal_places(values, self.quantiles)
        return (values - self.shift) / self.scale

    def binned(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, B): 1 in each bin below a value, 0 above, and the share of its own it fills.

        The piecewise linear encoding of Gorishniy et al. 2022 (arXiv 2203.05556), formula 1: a
        linear layer on it can draw any curve that is straight within each bin.
        """
        edges = np.array(self.edges)
        filled: NDArray[np.float64] = (values[:, None] - edges[:-1]) / np.diff(edges)
        return filled.clip(0, 1)

    @property
    def num_bins(self) -> int:
        """How many bins the column is cut into."""
        return max(0, len(self.edges) - 1)

    def shape(self) -> dict[str, list[float]]:
        """Return quantiles and edges as lists, as far as there are any."""
        lists = {"quantiles": list(self.quantiles), "edges": list(self.edges)}
        return {name: values for name, values in lists.items() if values}


def _normal_places(
    values: NDArray[np.float64], quantiles: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return where the ranks of `values` among `quantiles` lie in a normal distribution.

    Equal values take the middle of their ranks, as scikit-learn's ``QuantileTransformer`` has it;
    here also the smallest ones, which may be many (zeros), and the largest.
    """
    ordered, ranks = np.array(quantiles), np.linspace(0, 1, len(quantiles))
    from_below = np.interp(values, ordered, ranks)
    from_above = 1 - np.interp(-values, -ordered[::-1], ranks)
    places: NDArray[np.float64] = scipy.special.ndtri(
        np.clip((from_below + from_above) / 2, _EDGE, 1 - _EDGE)
    )
    return places
