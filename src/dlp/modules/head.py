"""What every head is: the base of `dlp.modules.heads`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from dlp.decisions import decide
from dlp.errors import InputError
from dlp.modules.losses import Loss, Losses, make_loss
from dlp.modules.metrics import Metrics, make_metrics


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
    #: What a probability must exceed (see `dlp.decisions.decide`); None takes the likeliest class.
    threshold: float | None = None

    def __init__(
        self, num_outputs: int, loss: Loss | None = None, metrics: Metrics | None = None
    ) -> None:
        super().__init__()
        if num_outputs < 1:
            raise InputError(f"num_outputs must be at least 1, got {num_outputs}.")
        self.num_outputs = num_outputs
        self.loss = make_loss(loss, self.losses)
        if isinstance(metrics, str) or callable(metrics):
            metrics = (metrics,)
        self._metrics = tuple(self.default_metrics if metrics is None else metrics)

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
        """Return probabilities (N, C), or values (N, T) in the original unit.

        In float32, whatever the precision of the logits.
        """

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

    @abstractmethod
    def metric_makers(self) -> dict[str, Callable[[], Metric]]:
        """Return name -> maker of each metric this head knows."""

    def make_metrics(self) -> MetricCollection:
        """Return new metrics, by name."""
        return make_metrics(self._metrics, self.metric_makers())
