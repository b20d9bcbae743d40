"""Sets of millions of numbers, by sorting.

``np.isin`` and ``np.unique`` of integers look each number up in a hash table as large as the data,
out of every cache: of 4 million hashes they take 4 s, a sort and a search in order 0.06 s.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_among(values: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether each of `values` (N,) is one of `others` (M,): ``np.isin``."""
    found = np.zeros(len(values), np.bool_)
    if not len(others):
        return found
    order, ordered = np.argsort(values), np.sort(others)
    wanted = values[order]  # neighbours are looked for in neighbouring places
    places = np.searchsorted(ordered, wanted)
    places[places == len(ordered)] = 0
    found[order] = ordered[places] == wanted
    return found


def num_distinct(values: NDArray[Any]) -> int:
    """Return how many different numbers there are, of which none is NaN: ``len(np.unique())``."""
    ordered = np.sort(values)
    return int(len(ordered) > 0) + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
