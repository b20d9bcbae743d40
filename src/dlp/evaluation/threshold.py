"""The threshold between two classes."""

from dlp.datamodules.rows import Array


def best_threshold(probabilities: Array, targets: Array) -> float:
    """Return the threshold with the best balanced accuracy; choose it on the validation part.

    Args:
        probabilities: Probability of class 1, (N,).
        targets: 0 or 1, (N,).
    """
    from sklearn.metrics import roc_curve  # it takes a second to import

    false_share, true_share, cuts = roc_curve(targets, probabilities, drop_intermediate=False)
    cut = cuts[1:][(true_share - false_share)[1:].argmax()]  # the first one is infinite
    below = probabilities[probabilities < cut].max(initial=0.0)
    return float(cut + below) / 2
