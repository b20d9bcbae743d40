"""Reader of series. It needs NumPy alone: an exported model brings this file along."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class SeriesReader:
    """Reader of series as the mean power of bands of frequencies, float32 (N, num_bands).

    Args:
        spec: What `SeriesEncoder` tells of itself: ``num_bands``.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.num_bands = spec["num_bands"]

    def __call__(self, rows: Sequence[ArrayLike]) -> list[NDArray[np.float32]]:
        """Return one array; series of all lengths have the same bands."""
        powers = []
        for row in rows:
            try:
                series = np.asarray(row, np.float64)
            except TypeError as error:
                raise ValueError("a row is a series of numbers.") from error
            if series.ndim != 1 or len(series) < 2 * self.num_bands:
                raise ValueError(f"a row is a series of {2 * self.num_bands} numbers or more.")
            spectrum = abs(np.fft.rfft(series)[1:]) ** 2 / len(series)
            bands = np.array_split(spectrum, self.num_bands)
            powers.append([band.mean() for band in bands])
        return [np.array(powers, np.float32)]
