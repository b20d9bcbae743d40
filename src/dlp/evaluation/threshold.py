"""Predicted classes from probabilities, and the threshold between two of them."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def decide(probabilities: NDArray[Any], threshold: float = 0.5) -> NDArray[np.int64]:
    """Return the predicted class of each row, (N,).

    Args:
        probabilities: Probabilities (N, C).
        threshold: Probability that class 1 of two must exceed; of more classes the likeliest one
            is taken.
    """
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] > threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1))


def best_threshold(
    probabilities: NDArray[Any], targets: NDArray[Any], metric: Literal["f1", "balanced_acc"] = "f1"
) -> float:
    """Return the threshold with the best metric; choose it on the validation part.

    Args:
        probabilities: Probability of class 1, (N,).
        targets: 0 or 1, (N,).
        metric: Metric to maximise.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked, is_one = probabilities[order], np.asarray(targets)[order] == 1
    right, predicted = np.cumsum(is_one), np.arange(1, len(order) + 1)
    ones, zeros = right[-1], len(order) - right[-1]
    if metric == "f1":
        scores = 2 * right / (predicted + ones)
    else:
        scores = right / max(ones, 1) - (predicted - right) / max(zeros, 1)
    # Rows of one probability are decided alike: a cut lies after the last of them.
    is_cut = np.append(ranked[:-1] > ranked[1:], True)
    place = int(np.where(is_cut, scores, -np.inf).argmax())
    below = ranked[place + 1] if place + 1 < len(ranked) else 0.0
    return float((ranked[place] + below) / 2)
