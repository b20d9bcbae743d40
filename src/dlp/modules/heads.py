"""The last layer of each kind of problem (the table of chapter 4) as one table in code.

A head alone decides the width of the output, the activation at prediction, the loss, the metrics
and the type of the targets. Networks give logits and know nothing of it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import (
    MeanAbsoluteError,
    MeanMetric,
    MeanSquaredError,
    Metric,
    MetricCollection,
    R2Score,
)
from torchmetrics import classification as C

from dlp.errors import InputError, unknown

HeadName = Literal["sigmoid", "softmax", "multilabel", "regression", "bounded_regression"]
Loss = str | Callable[..., Any]
Metrics = Sequence[str | Callable[..., Any]]


class FunctionMetric(MeanMetric):
    """The mean over samples of a plain function ``f(predictions, targets)``."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def update(self, predictions: Tensor, targets: Tensor) -> None:  # type: ignore[override] # the arguments of a metric of predictions
        """Add a batch."""
        value = self.function(predictions, targets)
        super().update(value, weight=1.0 if value.ndim else float(len(targets)))


class Head(nn.Module, ABC):
    """What a problem asks of a network's output.

    Args:
        num_outputs: Number of classes (2 for binary), labels or target columns.
        loss: A name of `losses`, an import path, or a callable ``(logits, targets)``, also a
            class to be made without arguments; None takes the head's own.
        metrics: Names of `metric_makers`, import paths, torchmetrics classes or objects, or
            functions ``(predictions, targets)``; None takes the head's own.
    """

    #: Name -> loss of (logits, prepared targets); the first is the default.
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]]
    default_metrics: tuple[str, ...]
    #: The key of the predictions in the dict that `predict_step` gives.
    prediction: Literal["probabilities", "values"] = "probabilities"

    def __init__(
        self, num_outputs: int, loss: Loss | None = None, metrics: Metrics | None = None
    ) -> None:
        super().__init__()
        if num_outputs < 1:
            raise InputError(f"num_outputs must be at least 1, got {num_outputs}.")
        self.num_outputs = num_outputs
        self.loss = self._make_loss(loss)
        self._metrics = tuple(self.default_metrics if metrics is None else metrics)
        if isinstance(metrics, str):
            self._metrics = (metrics,)

    @property
    def num_logits(self) -> int:
        """Width of the network's last layer."""
        return self.num_outputs

    @abstractmethod
    def prepare(self, targets: Tensor) -> Tensor:
        """Return `targets` as the loss takes them."""

    @abstractmethod
    def check(self, logits: Tensor, targets: Tensor) -> None:
        """Raise `InputError` unless the targets of a batch fit this head."""

    @abstractmethod
    def predict(self, logits: Tensor) -> Tensor:
        """Return probabilities (N, C), or values (N, T) in the original unit."""

    def scores(self, logits: Tensor) -> Tensor:
        """Return what metrics compare with `metric_targets`."""
        return self.predict(logits)

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return prepared targets as metrics take them."""
        return targets

    @abstractmethod
    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """Return name -> maker of each metric this head knows."""

    def make_metrics(self) -> MetricCollection:
        """Return new metrics, by name."""
        makers = self.metric_makers()
        found: dict[str, Metric | MetricCollection] = {}
        for metric in self._metrics:
            if isinstance(metric, str) and metric in makers:
                found[metric] = makers[metric]()
            else:
                if isinstance(metric, str):
                    metric = _imported("metric", metric, makers)
                name = getattr(metric, "__name__", type(metric).__name__)
                found[_snake(name)] = _as_metric(metric)
        return MetricCollection(found)

    def _make_loss(self, loss: Loss | None) -> Callable[[Tensor, Tensor], Tensor]:
        if loss is None:
            return next(iter(self.losses.values()))
        if isinstance(loss, str):
            if loss in self.losses:
                return self.losses[loss]
            loss = cast(Callable[..., Any], _imported("loss", loss, self.losses))
        return cast(Callable[[Tensor, Tensor], Tensor], loss() if isinstance(loss, type) else loss)


def _imported(kind: str, path: str, known: dict[str, Any]) -> Any:
    """Return the object at an import path; a name without a dot is a misspelt one of `known`."""
    module, _, name = path.rpartition(".")
    if not module:
        raise unknown(kind, path, known)
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"the {kind} {path!r} cannot be imported: {error}.") from error


def _as_metric(metric: Callable[..., Any]) -> Metric:
    if isinstance(metric, Metric):
        return metric
    made = metric.func if isinstance(metric, partial) else metric
    if isinstance(made, type):
        return cast(Metric, metric())
    return FunctionMetric(metric)


def _snake(name: str) -> str:
    """Return ``binary_auroc`` for ``BinaryAUROC``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class SigmoidHead(Head):
    """Two classes: one logit, sigmoid, binary cross entropy; targets of 0 and 1, (N,).

    Args: see `Head`; `num_outputs` is 2 (1 is taken as 2).
    """

    losses = {
        "bce": F.binary_cross_entropy_with_logits,
        "mse": lambda logits, targets: F.mse_loss(logits.sigmoid(), targets),
        "mae": lambda logits, targets: F.l1_loss(logits.sigmoid(), targets),
    }
    default_metrics = ("acc",)

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

    def check(self, logits: Tensor, targets: Tensor) -> None:
        """See `Head.check`."""
        _check_width(logits, 1)
        if targets.ndim == 2 and targets.shape[1] not in (1, 2):
            raise InputError(
                f"head: sigmoid takes targets (N,) of 0 and 1, got {tuple(targets.shape)}."
            )
        _check_range(targets, 1, "head: sigmoid takes targets of 0 and 1")

    def predict(self, logits: Tensor) -> Tensor:
        """Return the probabilities of class 0 and 1, (N, 2)."""
        positive = logits.sigmoid()
        return torch.cat([1 - positive, positive], dim=1)

    def scores(self, logits: Tensor) -> Tensor:
        """Return the probability of class 1, (N,)."""
        return logits.sigmoid().squeeze(1)

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return int64 (N,)."""
        return targets.squeeze(1).round().long()

    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """See `Head.metric_makers`; precision, recall and f1 are of class 1."""
        return {
            "acc": partial(C.BinaryAccuracy, validate_args=False),
            "f1": partial(C.BinaryF1Score, validate_args=False),
            "precision": partial(C.BinaryPrecision, validate_args=False),
            "recall": partial(C.BinaryRecall, validate_args=False),
            "auroc": partial(C.BinaryAUROC, validate_args=False),
        }


class SoftmaxHead(Head):
    """One class of C: softmax and cross entropy; targets int (N,), or one-hot (N, C).

    Both forms of targets give the same result; probabilities (N, C) are taken too. `acc` is over
    samples, `f1`, precision, recall and auroc are means over classes. Args: see `Head`.
    """

    losses = {
        "cross_entropy": F.cross_entropy,
        "mse": lambda logits, targets: F.mse_loss(
            logits.softmax(1),
            F.one_hot(targets, logits.shape[1]).to(logits) if targets.ndim == 1 else targets,
        ),
    }
    default_metrics = ("acc",)

    def prepare(self, targets: Tensor) -> Tensor:
        """Return int64 (N,), or float (N, C)."""
        if targets.ndim == 2 and targets.shape[1] == self.num_outputs and self.num_outputs > 1:
            return targets.float()
        return targets.reshape(-1).long()

    def check(self, logits: Tensor, targets: Tensor) -> None:
        """See `Head.check`."""
        _check_width(logits, self.num_outputs)
        if targets.ndim == 2 and targets.shape[1] not in (1, self.num_outputs):
            raise InputError(
                f"head: softmax takes class numbers (N,) or one-hot (N, {self.num_outputs}), got "
                f"{tuple(targets.shape)}."
            )
        if targets.ndim == 1 and targets.is_floating_point() and (targets % 1 != 0).any():
            raise InputError(
                "head: softmax takes whole class numbers, got values such as "
                f"{targets[targets % 1 != 0][0].item():.4g}. For values use head: regression."
            )
        top = self.num_outputs - 1 if targets.ndim == 1 else 1
        _check_range(targets, top, f"head: softmax takes targets of 0 to {top}")

    def predict(self, logits: Tensor) -> Tensor:
        """Return probabilities (N, C)."""
        return logits.softmax(1)

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return int64 (N,)."""
        return targets.argmax(1) if targets.ndim == 2 else targets

    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """See `Head.metric_makers`."""
        settings = {"num_classes": self.num_outputs, "validate_args": False}
        return {
            "acc": partial(C.MulticlassAccuracy, average="micro", **settings),
            "f1": partial(C.MulticlassF1Score, average="macro", **settings),
            "precision": partial(C.MulticlassPrecision, average="macro", **settings),
            "recall": partial(C.MulticlassRecall, average="macro", **settings),
            "auroc": partial(C.MulticlassAUROC, **settings),
            "top5_acc": partial(C.MulticlassAccuracy, average="micro", top_k=5, **settings),
        }


class MultilabelHead(Head):
    """Any number of C labels at once: sigmoid and binary cross entropy; targets float (N, C).

    `acc` is over all labels of all samples, `f1` the mean over labels. Args: see `Head`.
    """

    losses = SigmoidHead.losses
    default_metrics = ("acc", "f1")

    def prepare(self, targets: Tensor) -> Tensor:
        """Return float (N, C)."""
        return targets.float().reshape(len(targets), -1)

    def check(self, logits: Tensor, targets: Tensor) -> None:
        """See `Head.check`."""
        _check_width(logits, self.num_outputs)
        if targets.ndim != 2 or targets.shape[1] != self.num_outputs:
            raise InputError(
                f"head: multilabel takes targets (N, {self.num_outputs}) of 0 and 1, got "
                f"{tuple(targets.shape)}. For one class of several use head: softmax."
            )
        _check_range(targets, 1, "head: multilabel takes targets of 0 and 1")

    def predict(self, logits: Tensor) -> Tensor:
        """Return the probability of each label, (N, C)."""
        return logits.sigmoid()

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return int64 (N, C)."""
        return targets.round().long()

    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """See `Head.metric_makers`."""
        settings = {"num_labels": self.num_outputs, "validate_args": False}
        return {
            "acc": partial(C.MultilabelAccuracy, average="micro", **settings),
            "f1": partial(C.MultilabelF1Score, average="macro", **settings),
            "precision": partial(C.MultilabelPrecision, average="macro", **settings),
            "recall": partial(C.MultilabelRecall, average="macro", **settings),
            "auroc": partial(C.MultilabelAUROC, **settings),
        }


class RegressionHead(Head):
    """Any values: no activation, mean squared error; targets float (N,) or (N, T).

    Args:
        num_outputs: Number of target columns, T.
        loss: See `Head`; it compares logits with standardised targets.
        metrics: See `Head`; they compare values in the original unit.
        target_mean: Mean of each target, to standardise by; None leaves targets as they are.
        target_std: Standard deviation of each target.
    """

    losses = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
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
    ) -> None:
        super().__init__(num_outputs, loss, metrics)
        self.register_buffer("mean", torch.tensor(target_mean or [0.0] * num_outputs))
        self.register_buffer("std", torch.tensor(target_std or [1.0] * num_outputs))

    def prepare(self, targets: Tensor) -> Tensor:
        """Return standardised float (N, T)."""
        return (targets.float().reshape(len(targets), -1) - self.mean) / self.std

    def check(self, logits: Tensor, targets: Tensor) -> None:
        """See `Head.check`."""
        _check_width(logits, self.num_outputs)
        if not targets.is_floating_point():
            raise InputError(
                f"head: regression takes float targets, got {targets.dtype} (class numbers?). For "
                "classes use head: softmax or sigmoid; for values convert the targets to float."
            )
        if targets.numel() != len(targets) * self.num_outputs:
            raise InputError(
                f"head: regression has {self.num_outputs} outputs, and the targets have shape "
                f"{tuple(targets.shape)}."
            )
        if not torch.isfinite(targets).all():
            raise InputError("a target is missing or infinite: leave such rows out.")

    def predict(self, logits: Tensor) -> Tensor:
        """Return values in the original unit, (N, T)."""
        return logits * self.std + self.mean

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return targets in the original unit, (N, T)."""
        return targets * self.std + self.mean

    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """See `Head.metric_makers`."""
        return {
            "mae": MeanAbsoluteError,
            "mse": MeanSquaredError,
            "rmse": partial(MeanSquaredError, squared=False),
            "r2": R2Score,
        }


class BoundedRegressionHead(Head):
    """Values between 0 and 1: sigmoid, MSE (or ``loss: bce``); targets float in [0, 1].

    Args: see `Head`; `num_outputs` is the number of target columns, T.
    """

    losses = {
        "mse": SigmoidHead.losses["mse"],
        "bce": SigmoidHead.losses["bce"],
        "mae": SigmoidHead.losses["mae"],
    }
    default_metrics = ("mae",)
    prediction = "values"

    def prepare(self, targets: Tensor) -> Tensor:
        """Return float (N, T)."""
        return targets.float().reshape(len(targets), -1)

    def check(self, logits: Tensor, targets: Tensor) -> None:
        """See `Head.check`."""
        _check_width(logits, self.num_outputs)
        if targets.numel() != len(targets) * self.num_outputs:
            raise InputError(
                f"head: bounded_regression has {self.num_outputs} outputs, and the targets have "
                f"shape {tuple(targets.shape)}."
            )
        advice = "head: bounded_regression takes targets in [0, 1] (divide by their maximum)"
        _check_range(targets, 1, advice)

    def predict(self, logits: Tensor) -> Tensor:
        """Return values in [0, 1], (N, T)."""
        return logits.sigmoid()

    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """See `Head.metric_makers`."""
        return {
            "mae": MeanAbsoluteError,
            "mse": MeanSquaredError,
            "rmse": partial(MeanSquaredError, squared=False),
            "r2": R2Score,
        }


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
) -> Head:
    """Return the head of a name; a `Head` object is returned as it is.

    Raises:
        InputError: The name is unknown, or the head does not fit `num_outputs` or scaled targets.
    """
    if isinstance(head, Head):
        return head
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    if head == "regression":
        return RegressionHead(num_outputs, loss, metrics, target_mean, target_std)
    if target_mean is not None:
        raise InputError(f"standardised targets go with head: regression, not head: {head}.")
    return HEADS[head](num_outputs, loss, metrics)


def _check_width(logits: Tensor, width: int) -> None:
    if logits.ndim != 2 or logits.shape[1] != width:
        raise InputError(
            f"the network gives {tuple(logits.shape)}, and the head takes (N, {width}): set the "
            "width of its last layer."
        )


def _check_range(targets: Tensor, top: int, accepted: str) -> None:
    if targets.numel() and not (0 <= targets.min().item() and targets.max().item() <= top):
        low, high = targets.min().item(), targets.max().item()
        raise InputError(f"{accepted}; these go from {low:.4g} to {high:.4g}.")
