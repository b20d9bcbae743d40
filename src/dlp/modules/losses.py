"""Losses of logits, and class weights."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dlp.errors import check_choice

ClassWeight = Literal["balanced"] | dict[str, float]
#: Function that takes logits (N, L) and prepared targets, and returns the mean loss.
LossFunction = Callable[..., Tensor]

bce = F.binary_cross_entropy_with_logits


def sigmoid_mse(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error between probabilities and targets."""
    return F.mse_loss(logits.sigmoid(), targets)


def weighted_bce(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the binary cross-entropy with weights (2, C) for absent and for present labels."""
    absent, present = weights
    return bce(logits, targets, absent + (present - absent) * targets)


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the cross-entropy with class weights (C,).

    The weighted sum is divided by the number of samples, as in Keras. PyTorch divides by the sum
    of the weights.
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
    """Return class weights in the form that the weighted losses expect.

    Args:
        weights: Weight of each class by its name; a class that is not listed has weight 1.
            ``balanced`` is ``1 / (C * frequency)``, as in scikit-learn. In a multilabel problem,
            each label is balanced separately.
        names: Names of the classes or labels.
        frequencies: Fraction of training rows with each class or label, used by ``balanced``.
        task: Task of the metrics: ``binary``, ``multiclass`` or ``multilabel``.

    Returns:
        (2, 1) for binary, (C,) for multiclass, and (2, C) for multilabel, where the first row is
        for absent and the second for present labels.
    """
    if weights == "balanced":
        # A label may be in no row, or in every row.
        shares = torch.tensor(frequencies).clamp(1e-6, 1 - 1e-6)
        num_classes = 2 if task == "multilabel" else len(names)
        present = 1 / (num_classes * shares)
        absent = 1 / (2 * (1 - shares))
    else:
        # YAML reads the class name 1 as a number.
        by_name = {str(name): float(weight) for name, weight in weights.items()}
        for name in by_name:
            check_choice("class of class_weight", name, names)
        present = torch.tensor([by_name.get(name, 1.0) for name in names])
        absent = torch.ones(len(names))
    if task == "multilabel":
        return torch.stack([absent, present])
    if task == "binary":
        return present[:, None]
    return present
