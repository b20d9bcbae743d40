"""The threshold between two classes."""

import numpy as np

from dlp.datamodules.rows import Array


def best_threshold(probabilities: Array, targets: Array) -> float:
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
