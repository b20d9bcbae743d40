"""From probabilities to what is said of a row: the one rule, for tensors and arrays alike."""

from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

if TYPE_CHECKING:  # reading mistakes needs no torch
    from torch import Tensor

Array = TypeVar("Array", "Tensor", NDArray[Any])


def decide(probabilities: Array, threshold: float | None = None, labels: bool = False) -> Array:
    """Return the class of each row, int64 (N,), or the labels it is given, bool (N, C).

    A probability must be above the threshold, as in torchmetrics: one that is equal to it says no.

    Args:
        probabilities: (N, C).
        threshold: What the probability of class 1 of two, or of each label, must exceed; None
            takes the likeliest class, and labels above 0.5.
        labels: Whether a row may have any number of labels.
    """
    decided: Array
    if labels:
        decided = probabilities > (0.5 if threshold is None else threshold)
    elif threshold is None or probabilities.shape[1] != 2:
        decided = probabilities.argmax(1)
    else:
        decided = (probabilities[:, 1] > threshold) * 1
    return decided
