"""What every head is: the base of `dlp.modules.heads`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from dlp.decisions import decide
from dlp.errors import InputError
from dlp.modules.checks import check_width, checked_number
from dlp.modules.class_weights import (
    ClassWeight,
    WeightedLoss,
    class_weights,
    label_weights,
    weighted,
)
from dlp.modules.losses import Loss, Losses, make_loss
from dlp.modules.metrics import Metrics, Task, class_metrics, make_metrics, value_metrics
from dlp.modules.thresholds import Threshold, checked_threshold


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
    losses: ClassVar[Losses]
    default_metrics: ClassVar[tuple[str, ...]]
    #: The key of the predictions in the dict that `predict_step` gives.
    prediction: Literal["probabilities", "values"] = "probabilities"
    #: Whether a row may have any number of the classes.
    labels: ClassVar[bool] = False
    #: The kind of classes, as torchmetrics calls it; None of values.
    task: ClassVar[Task | None] = None
    #: What a probability must exceed (see `dlp.decisions.decide`); None takes the likeliest class.
    threshold: float | None = None

    def __init__(
        self, num_outputs: int, loss: Loss | None = None, metrics: Metrics | None = None
    ) -> None:
        super().__init__()
        self.num_outputs = checked_number("num_outputs", num_outputs)
        self.loss = make_loss(loss, self.losses)
        #: How a validation part is to choose the threshold; None where it is settled.
        self.threshold_rule: Threshold | None = None
        if isinstance(metrics, str | Mapping) or callable(metrics):
            metrics = (metrics,)
        self._metrics = None if metrics is None else tuple(metrics)

    def use_threshold(self, threshold: Threshold) -> None:
        """Decide by another threshold than 0.5, or by one that a validation part is to choose.

        Raises:
            InputError: It is not a threshold, or this head decides without one.
        """
        if self.threshold is None:
            advice = "give head: sigmoid" if self.num_outputs == 2 else "leave it out"
            raise InputError(
                "threshold is for head: sigmoid (two classes) and head: multilabel; here "
                f"{type(self).__name__} takes the likeliest class or gives values: {advice}."
            )
        given = checked_threshold(threshold)
        self.threshold_rule = None if isinstance(given, float) else given
        if isinstance(given, float):
            self.threshold = given

    def check_class_weight(self, given: ClassWeight) -> None:
        """Refuse class weights that are wrong for any data.

        Raises:
            InputError: This head has no classes, or the loss cannot be weighed.
        """
        if self.prediction != "probabilities":
            raise InputError(f"class_weight is for classes, and {type(self).__name__} has none.")
        weighted(self.loss, [1.0])
        if given != "balanced" and not isinstance(given, Mapping):
            class_weights(given, ["name"], None)

    def weigh(
        self, given: ClassWeight, names: Sequence[str] | None, frequencies: Sequence[float] | None
    ) -> None:
        """Let classes count in the loss by their weights.

        Args:
            given: See `ClassWeight`.
            names: What the classes are called; None for their numbers.
            frequencies: The share of each in the training part.

        Raises:
            InputError: See `class_weights` and `check_class_weight`.
        """
        names = [str(number) for number in range(self.num_outputs)] if names is None else names
        weights = label_weights if self.labels else class_weights
        self.loss = weighted(self.loss, weights(given, names, frequencies))

    def constant(self, frequencies: Sequence[float]) -> list[float]:
        """Return the probabilities that are best for every row, under the loss as it is weighed.

        Args:
            frequencies: The share of each class or label, (C,).
        """
        if not isinstance(self.loss, WeightedLoss):
            return list(frequencies)
        shares, weights = np.asarray(frequencies), self.loss.weights.double().numpy(force=True)
        if self.labels:
            off, on = weights * [1 - shares, shares]
            return cast(list[float], (on / (off + on)).tolist())
        parts = shares * weights.ravel()
        return cast(list[float], (parts / parts.sum()).tolist())

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep beside weights: the threshold, the class weights."""
        weights = self.loss.weights.tolist() if isinstance(self.loss, WeightedLoss) else None
        return {"threshold": self.threshold, "class_weights": weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; a threshold that was given as a number stays."""
        if self.threshold_rule is not None:
            self.threshold = state["threshold"]
        if state["class_weights"] is not None:
            self.loss = weighted(self.loss, state["class_weights"])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move to a device or to float64, but never to half: the unit of a target would be lost.

        torch has no public hook for what ``nn.Module.to`` and ``half`` do to a module's buffers.
        """

        def not_below(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            below = moved.is_floating_point() and torch.finfo(moved.dtype).bits < 32
            return tensor.to(moved.device) if below else moved

        super()._apply(not_below, recurse)  # type: ignore[no-untyped-call] # torch types it not
        return self

    def batch_loss(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean loss of a batch, and the logits and prepared targets it is of.

        All in float32 (or 64), whatever the network computes in.
        """
        logits = full_precision(logits)
        targets = self.prepare(targets)
        if targets.is_floating_point():
            targets = targets.to(logits.dtype)
        device = logits.device.type
        mixed = torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if mixed else nullcontext():
            loss = self.loss(logits, targets)
        return loss.mean() if loss.ndim else loss, logits, targets

    @property
    def num_logits(self) -> int:
        """Width of the network's last layer."""
        return self.num_outputs

    def prepare(self, targets: Tensor) -> Tensor:
        """Return `targets` as the loss takes them: here float (N, C)."""
        return targets.float().reshape(len(targets), -1)

    def check(self, logits: Tensor, targets: Tensor) -> None:
        """Raise `InputError` unless logits and targets of a batch fit this head."""
        check_width(logits, targets, self.num_logits)
        self.check_targets(targets)

    def check_targets(self, targets: Tensor) -> None:
        """Raise `InputError` unless the targets of a batch fit this head."""

    @abstractmethod
    def predict(self, logits: Tensor) -> Tensor:
        """Return probabilities (N, C), or values (N, T) in the original unit.

        In float32, whatever the precision of the logits.
        """

    def logits_of(self, predictions: Tensor) -> Tensor | None:
        """Return logits (N, L) from which `predict` gives `predictions`, as near as may be.

        None where a head does not say it: its constant predictions are then not scored.

        Args:
            predictions: Probabilities (N, C), or values (N, T) in the original unit.
        """
        return None

    def decide(self, probabilities: Tensor) -> Tensor:
        """Return the class of each row, int64 (N,), or its labels, bool (N, C).

        Metrics, mistakes and files of predictions all go by this.

        Args:
            probabilities: What `predict` gives, (N, C).
        """
        return decide(probabilities, self.threshold, self.labels)

    def scores(self, logits: Tensor) -> Tensor:
        """Return what metrics compare with `metric_targets`."""
        return self.predict(logits)

    def metric_targets(self, targets: Tensor) -> Tensor:
        """Return prepared targets as metrics take them."""
        return targets

    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """Return name -> maker of each metric this head knows."""
        if self.task is None:
            return value_metrics()
        return class_metrics(self.task, self.num_logits, self.threshold)

    def make_metrics(self) -> MetricCollection:
        """Return new metrics, by name: those given, or the head's own.

        Of the latter is F1 too where the threshold is chosen for it.
        """
        own = [*self.default_metrics]
        if self.threshold_rule == "f1" and "f1" not in own:
            own.append("f1")
        return make_metrics(own if self._metrics is None else self._metrics, self.metric_makers())


def full_precision(logits: Tensor) -> Tensor:
    """Return half precision as float32: values in thousands have no cents in bfloat16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def inside(probabilities: Tensor) -> Tensor:
    """Return probabilities so far from 0 and 1 that their logits and losses are finite."""
    return probabilities.clamp(1e-7, 1 - 1e-7)
