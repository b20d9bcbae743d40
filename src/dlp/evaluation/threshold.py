"""Predicted classes from probabilities, and the threshold between two of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def decide(probabilities: NDArray[Any], threshold: float = 0.5) -> NDArray[np.int64]:
    """Return the predicted class of each row of probabilities (N, C), (N,).

    Class 1 of two must exceed the threshold; of more classes the likeliest one is taken.
    """
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] > threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1))


def best_threshold(probabilities: NDArray[Any], targets: NDArray[Any]) -> float:
    """Return the threshold with the best F1; choose it on the validation part.

    Args:
        probabilities: Probability of class 1, (N,).
        targets: 0 or 1, (N,).
    """
    from sklearn.metrics import precision_recall_curve  # it takes a second to import

    precision, recall, cuts = precision_recall_curve(targets, probabilities)
    scores = precision * recall / np.maximum(precision + recall, 1e-9)
    cut = cuts[scores[:-1].argmax()]
    below = probabilities[probabilities < cut].max(initial=0.0)
    return float(cut + below) / 2
