"""Calibration: whether what is predicted with 80 % comes true in 80 of 100 cases."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bins of equal width that probabilities are sorted into.
BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed, in `BINS` bins of equal width.

    Args:
        of: Which probability: of the second of two classes, of the predicted one of several
            classes, or of each label.
        probability: Mean probability of each bin; None where it is empty.
        frequency: How often it came true.
        counts: Number of probabilities in each bin.
        error: Expected calibration error: the mean distance of frequency and probability over
            bins, weighted by their counts (Naeini et al. 2015).
    """

    of: str
    probability: list[float | None]
    frequency: list[float | None]
    counts: list[int]
    error: float


def calibrate(of: str, came_true: NDArray[Any], chances: NDArray[np.float64]) -> Calibration:
    """Return how often predicted probabilities came true.

    Args:
        of: Which probability, in words.
        came_true: Whether it did, (N,).
        chances: The probabilities, (N,).
    """
    edges = np.linspace(0, 1, BINS + 1)
    number = np.searchsorted(edges[1:-1], chances)  # right edges belong to a bin, as in sklearn
    counts = np.bincount(number, minlength=BINS)
    safe = np.maximum(counts, 1)
    frequency = np.bincount(number, came_true, BINS) / safe
    probability = np.bincount(number, chances, BINS) / safe
    error = float((abs(frequency - probability) * counts).sum() / counts.sum())
    probabilities, frequencies = (
        [float(value) if there else None for value, there in zip(values, counts, strict=True)]
        for values in (probability, frequency)
    )
    return Calibration(of, probabilities, frequencies, counts.tolist(), error)


def wilson_interval(
    frequency: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the 95 % interval of each frequency (Wilson 1927).

    Args:
        frequency: Shares, (B,).
        counts: How many each is a share of, (B,), above 0.
    """
    z = NormalDist().inv_cdf(0.975)
    middle = (frequency * counts + z**2 / 2) / (counts + z**2)
    half = z / (counts + z**2) * np.sqrt(counts * frequency * (1 - frequency) + z**2 / 4)
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)
