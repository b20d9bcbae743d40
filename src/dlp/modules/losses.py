"""Losses of logits, and the weights of classes in them."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dlp.errors import check_choice

ClassWeight = Literal["balanced"] | dict[str, float]
#: Takes logits (N, L) and prepared targets; returns their mean loss.
LossFunction = Callable[..., Tensor]

bce = F.binary_cross_entropy_with_logits


def sigmoid_mse(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error of probabilities."""
    return F.mse_loss(logits.sigmoid(), targets)


def weighted_bce(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the loss under weights of absent and present labels, (2, C)."""
    absent, present = weights
    return bce(logits, targets, absent + (present - absent) * targets)


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the loss under weights of classes, (C,).

    The weighted sum is divided by the number of samples, as in Keras; torch divides by the sum of
    weights.
    """
    return F.cross_entropy(logits, targets, weights, reduction="sum") / len(targets)


WEIGHTED_LOSSES: dict[LossFunction, LossFunction] = {
    bce: weighted_bce,
    F.cross_entropy: weighted_cross_entropy,
}


def class_weights(
    weights: ClassWeight,
    names: Sequence[str],
    frequencies: Sequence[float],
    task: str,
) -> Tensor:
    """Return the weights that the losses of a metric task take.

    A class that is not named weighs 1. ``balanced`` is ``1 / (C * frequency)`` as in scikit-learn,
    each label by itself.
    """
    if weights == "balanced":
        shares = torch.tensor(frequencies).clamp(1e-6, 1 - 1e-6)  # a label may be in no row
        num_classes = 2 if task == "multilabel" else len(names)
        present = 1 / (num_classes * shares)
        absent = 1 / (2 * (1 - shares))
    else:
        by_name = {str(name): float(weight) for name, weight in weights.items()}  # 1 is class "1"
        for name in by_name:
            check_choice("class of class_weight", name, names)
        present = torch.tensor([by_name.get(name, 1.0) for name in names])
        absent = torch.ones(len(names))
    if task == "multilabel":
        return torch.stack([absent, present])
    if task == "binary":
        return present[:, None]
    return present
