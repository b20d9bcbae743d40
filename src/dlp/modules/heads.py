"""The last layer of each kind of problem (the table of chapter 4) as one table in code.

A head alone decides the width of the output, the activation at prediction, the loss, the metrics
and the type of the targets. Networks give logits and know nothing of it.
"""

from collections.abc import Sequence
from math import inf
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dlp.errors import InputError, unknown
from dlp.modules.checks import check_columns, check_range, check_whole, checked_number
from dlp.modules.head import Head as Head
from dlp.modules.head import full_precision, inside
from dlp.modules.losses import Loss, Losses, mae_of_sigmoid, mse_of_sigmoid, mse_of_softmax
from dlp.modules.metrics import Metrics
from dlp.target_transforms import TargetTransform, lowest, restored, transformed

HeadName = Literal["sigmoid", "softmax", "multilabel", "regression", "bounded_regression"]


class SigmoidHead(Head):
    """Two classes: one logit, sigmoid, binary cross entropy; targets of 0 and 1, (N,).

    Args: see `Head`; `num_outputs` is 2 (1 is taken as 2).
    """

    losses: ClassVar[Losses] = {
        "bce": F.binary_cross_entropy_with_logits,
        "mse": mse_of_sigmoid,
        "mae": mae_of_sigmoid,
    }
    task = "binary"
    default_metrics = ("acc",)
    threshold: float = 0.5

    def __init__(
        self, num_outputs: int = 2, loss: Loss | None = None, metrics: Metrics | None = None
    ) -> None:
        if num_outputs not in (1, 2):
            raise InputError(
                f"head: sigmoid is for two classes; the data has {num_outputs}. Use head: softmax "
                "for one class of several, head: multilabel for several labels at once."
            )
        super().__init__(2, loss, metrics)

    @property
    def num_logits(self) -> int:
        """One: the logit of class 1."""
        return 1

    def prepare(self, targets: Tensor) -> Tensor:
        """Return float (N, 1)."""
        if targets.ndim == 2 and targets.shape[1] == 2:  # one-hot
            targets = targets[:, 1]
        return targets.reshape(-1, 1).float()

    def check_targets(self, targets: Tensor) -> None:
        """See `Head.check_targets`."""
        if targets.ndim == 2 and targets.shape[1] not in (1, 2):
            raise InputError(
                f"head: sigmoid takes targets (N,) of 0 and 1, got {tuple(targets.shape)}."
            )
        check_range(targets, 1, "head: sigmoid takes targets of 0 and 1")

    def predict(self, logits: Tensor) -> Tensor:
        """Return the probabilities of class 0 and 1, (N, 2)."""
        logits = logits.float()  # of class 0 by its own formula: 1 - p is 0 from 17 on
        return torch.cat([(-logits).sigmoid(), logits.sigmoid()], dim=1)

    def logits_of(self, predictions: Tensor) -> Tensor:
        """See `Head.logits_of`."""
        return inside(predictions[:, 1:]).logit()

    def scores(self, logits: Tensor) -> Tensor:
        """Return the probability of class 1, (N,)."""
        return logits.float().sigmoid().squeeze(1)

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return int64 (N,)."""
        return targets.squeeze(1).round().long()


class SoftmaxHead(Head):
    """One class of C: softmax and cross entropy; targets int (N,), or one-hot (N, C).

    Both forms of targets give the same result; probabilities (N, C) are taken too. `acc` is over
    samples, `f1`, precision, recall and auroc are means over classes. Args: see `Head`.
    """

    losses: ClassVar[Losses] = {"cross_entropy": F.cross_entropy, "mse": mse_of_softmax}
    task = "multiclass"
    default_metrics = ("acc",)

    def __init__(
        self, num_outputs: int, loss: Loss | None = None, metrics: Metrics | None = None
    ) -> None:
        if checked_number("num_outputs", num_outputs) < 2:
            raise InputError(
                f"head: softmax is for two classes or more, got num_outputs {num_outputs}. For "
                "values use head: regression; if the data's numbers are classes (stars from 1 to "
                "5), say so by task: classification (--data.task classification)."
            )
        super().__init__(num_outputs, loss, metrics)

    def prepare(self, targets: Tensor) -> Tensor:
        """Return int64 (N,), or float (N, C)."""
        if targets.ndim == 2 and targets.shape[1] == self.num_outputs:
            return targets.float()
        return targets.reshape(-1).long()

    def check_targets(self, targets: Tensor) -> None:
        """See `Head.check_targets`."""
        columns = targets.numel() // max(len(targets), 1)
        if targets.ndim > 2 or columns not in (1, self.num_outputs):
            raise InputError(
                f"head: softmax takes class numbers (N,) or one-hot (N, {self.num_outputs}), got "
                f"{tuple(targets.shape)}."
            )
        if columns == 1:
            top = self.num_outputs - 1
            check_range(targets, top, f"head: softmax takes class numbers of 0 to {top}")
            check_whole(targets)
            return
        check_range(targets, 1, "head: softmax takes one-hot targets or probabilities")
        wrong = (targets.sum(dim=1) - 1).abs() > 1e-2
        if wrong.any():
            raise InputError(
                f"row {int(wrong.int().argmax())} of the targets is not one-hot: its sum is not 1. "
                "For several labels a row use head: multilabel."
            )

    def predict(self, logits: Tensor) -> Tensor:
        """Return probabilities (N, C)."""
        return logits.float().softmax(1)

    def logits_of(self, predictions: Tensor) -> Tensor:
        """See `Head.logits_of`."""
        return inside(predictions).log()

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return int64 (N,)."""
        return targets.argmax(1) if targets.ndim == 2 else targets


class MultilabelHead(Head):
    """Any number of C labels at once: sigmoid and binary cross entropy; targets float (N, C).

    `acc` is over all labels of all samples, `f1` the mean over labels. Args: see `Head`.
    """

    losses: ClassVar[Losses] = SigmoidHead.losses
    task = "multilabel"
    default_metrics = ("acc", "f1")
    labels = True
    threshold: float = 0.5

    def check_targets(self, targets: Tensor) -> None:
        """See `Head.check_targets`."""
        if targets.ndim != 2 or targets.shape[1] != self.num_outputs:
            raise InputError(
                f"head: multilabel takes targets (N, {self.num_outputs}) of 0 and 1, got "
                f"{tuple(targets.shape)}. For one class of several use head: softmax."
            )
        check_range(targets, 1, "head: multilabel takes targets of 0 and 1")

    def predict(self, logits: Tensor) -> Tensor:
        """Return the probability of each label, (N, C)."""
        return logits.float().sigmoid()

    def logits_of(self, predictions: Tensor) -> Tensor:
        """See `Head.logits_of`."""
        return inside(predictions).logit()

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return int64 (N, C)."""
        return targets.round().long()


class RegressionHead(Head):
    """Any values: no activation, mean squared error; targets float (N,) or (N, T).

    Args:
        num_outputs: Number of target columns, T.
        loss: See `Head`; it compares logits with standardised targets.
        metrics: See `Head`; they compare values in the original unit.
        target_mean: Mean of each target, to standardise by; None leaves targets as they are.
        target_std: Standard deviation of each target.
        target_transform: Train on the logarithm of targets; mean and deviation are then of that.
    """

    losses: ClassVar[Losses] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
    default_metrics = ("mae",)
    prediction = "values"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_outputs: int = 1,
        loss: Loss | None = None,
        metrics: Metrics | None = None,
        target_mean: Sequence[float] | None = None,
        target_std: Sequence[float] | None = None,
        target_transform: TargetTransform = "none",
    ) -> None:
        super().__init__(num_outputs, loss, metrics)
        self.transform = target_transform
        mean = [0.0] * num_outputs if target_mean is None else list(target_mean)
        std = [1.0] * num_outputs if target_std is None else list(target_std)
        if not len(mean) == len(std) == num_outputs or any(not 0 < width < inf for width in std):
            raise InputError(
                f"target_mean {mean} and target_std {std} must hold one number for each of the "
                f"{num_outputs} targets, the latter above 0."
            )
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def prepare(self, targets: Tensor) -> Tensor:
        """Return standardised float (N, T)."""
        values = transformed(super().prepare(targets), self.transform)
        return (values - self.mean) / self.std

    def check_targets(self, targets: Tensor) -> None:
        """See `Head.check_targets`."""
        if not targets.is_floating_point():
            raise InputError(
                f"head: regression takes float targets, got {targets.dtype} (class numbers?). For "
                "classes use head: softmax or sigmoid; for values convert the targets to float."
            )
        check_columns(targets, self.num_outputs, "head: regression")
        if not torch.isfinite(targets).all():
            raise InputError("a target is missing or infinite: leave such rows out.")
        if (targets <= lowest(self.transform)).any():
            raise InputError(
                f"target_transform: {self.transform} takes targets above "
                f"{lowest(self.transform):g}; the smallest is {float(targets.min()):g}."
            )

    def predict(self, logits: Tensor) -> Tensor:
        """Return values in the original unit, (N, T)."""
        return restored(full_precision(logits) * self.std + self.mean, self.transform)

    def logits_of(self, predictions: Tensor) -> Tensor:
        """See `Head.logits_of`."""
        return (transformed(predictions, self.transform) - self.mean) / self.std

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return targets in the original unit, (N, T)."""
        return restored(targets * self.std + self.mean, self.transform)


class BoundedRegressionHead(Head):
    """Values between 0 and 1: sigmoid, MSE (or ``loss: bce``); targets float in [0, 1].

    Args: see `Head`; `num_outputs` is the number of target columns, T.
    """

    losses: ClassVar[Losses] = {
        "mse": mse_of_sigmoid,
        "bce": F.binary_cross_entropy_with_logits,
        "mae": mae_of_sigmoid,
    }
    default_metrics = ("mae",)
    prediction = "values"

    def check_targets(self, targets: Tensor) -> None:
        """See `Head.check_targets`."""
        check_columns(targets, self.num_outputs, "head: bounded_regression")
        advice = "head: bounded_regression takes targets in [0, 1] (divide by their maximum)"
        check_range(targets, 1, advice)

    def predict(self, logits: Tensor) -> Tensor:
        """Return values in [0, 1], (N, T)."""
        return full_precision(logits).sigmoid()

    def logits_of(self, predictions: Tensor) -> Tensor:
        """See `Head.logits_of`."""
        return inside(predictions).logit()


HEADS: dict[str, type[Head]] = {
    "sigmoid": SigmoidHead,
    "softmax": SoftmaxHead,
    "multilabel": MultilabelHead,
    "regression": RegressionHead,
    "bounded_regression": BoundedRegressionHead,
}


def make_head(
    head: HeadName | Head,
    num_outputs: int,
    loss: Loss | None = None,
    metrics: Metrics | None = None,
    target_mean: Sequence[float] | None = None,
    target_std: Sequence[float] | None = None,
    target_transform: TargetTransform = "none",
) -> Head:
    """Return the head of a name; a `Head` object is returned as it is.

    Raises:
        InputError: The name is unknown, the head does not fit `num_outputs` or scaled targets, or
            it is an object and `loss` or `metrics` are given beside it.
    """
    if isinstance(head, Head):
        if loss is not None or metrics is not None:
            raise InputError(f"give loss and metrics to the {type(head).__name__} object itself.")
        return head
    if head not in HEADS:
        raise unknown("head", str(head), HEADS)
    if head == "regression":
        return RegressionHead(num_outputs, loss, metrics, target_mean, target_std, target_transform)
    if target_mean is not None or target_transform != "none":
        raise InputError(
            f"standardised or transformed targets go with head: regression, not head: {head}."
        )
    return HEADS[head](num_outputs, loss, metrics)
