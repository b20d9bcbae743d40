"""Accuracy that no majority can fool."""

import torch
from torch import Tensor
from torchmetrics import Metric


class BalancedAccuracy(Metric):
    """The mean recall of the classes, each counting alike (scikit-learn's balanced accuracy).

    Classes without a row do not count. Labels that do not exclude each other are two classes each:
    off and on.

    Args:
        classes: C, or the number of labels.
        threshold: What a probability must exceed, where targets are 0 and 1 ((N,), or (N, C) for
            labels); None takes the likeliest of C classes.
    """

    higher_is_better = True
    hits: Tensor
    rows: Tensor

    def __init__(self, classes: int, threshold: float | None = None) -> None:
        super().__init__()
        self.threshold = threshold
        bins = classes if threshold is None else 2 * classes
        self.add_state("hits", torch.zeros(bins), dist_reduce_fx="sum")
        self.add_state("rows", torch.zeros(bins), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add a batch: probabilities (N, C) and class numbers (N,), or both (N,) or (N, C)."""
        if self.threshold is None:
            given, bins = predictions.argmax(1), targets
        else:
            given = (predictions > self.threshold).long().reshape(len(targets), -1)
            targets = targets.reshape(len(targets), -1)
            bins = targets + 2 * torch.arange(targets.shape[1], device=targets.device)
        size, right = len(self.rows), (given == targets).reshape(-1)
        self.rows += torch.bincount(bins.reshape(-1), minlength=size)
        self.hits += torch.bincount(bins.reshape(-1)[right], minlength=size)

    def compute(self) -> Tensor:
        """Return the mean over classes that have rows."""
        return (self.hits / self.rows)[self.rows > 0].mean()
