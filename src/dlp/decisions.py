"""From probabilities to what is said of a row: the one rule, for tensors and arrays alike."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

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


def decision_rule(model: object, is_multilabel: bool) -> tuple[float | None, bool]:
    """Return the threshold of a model's decisions, and whether a row may have several labels.

    Args:
        model: One with a head knows; of any other the likeliest class, or labels above 0.5.
        is_multilabel: What the data says, for such a model.
    """
    head = getattr(model, "head", None)
    labels = getattr(head, "labels", None)
    if labels is None:
        return None, is_multilabel
    return getattr(head, "threshold", None), bool(labels)


def names_of(
    kind: Literal["class_names", "target_names"], count: int, *owners: object
) -> list[str] | None:
    """Return the names of `count` classes, labels or targets by the first owner that has them.

    Args:
        kind: The attribute.
        count: How many there must be: those of other data are no names of these.
        owners: Such as the model and the Trainer's DataModule.
    """
    for owner in owners:
        names: Sequence[str] | None = getattr(owner, kind, None)
        if names is not None and len(names) == count:
            return list(names)
    return None
