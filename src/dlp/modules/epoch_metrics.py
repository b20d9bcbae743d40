"""Losses and metrics of one stage, computed in few large updates.

How a metric is computed: `StageMetrics.add` collects a batch; once in some 8,000 samples all
collected batches update the metrics, since an update and a log take 0.7 ms and the step of a small
network 0.4 ms. A `DeferredMetric` per name is logged at the first batch; Lightning asks it to
compute when the epoch ends, and the number appears in ``trainer.callback_metrics``, from which
`History`, the best checkpoint and early stopping take it.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from dlp.modules.heads import Head
from dlp.modules.metrics import make_metrics

_SAMPLES_PER_UPDATE = 8192


class DeferredMetric(Metric):
    """Value that Lightning computes when the epoch ends, wherever it was stopped."""

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        super().__init__()
        self._compute_value = compute

    def update(self) -> None:
        """Mark the metric as updated: torchmetrics warns otherwise."""

    def compute(self) -> Tensor:
        """Return the value."""
        return self._compute_value()


class StageMetrics:
    """Losses and metrics of one stage. Not a submodule, so that the weights hold the model alone.

    Args:
        stage: ``train``, ``val`` or ``test``, with which the logged names begin.
        head: Head, which names the metrics.
        has_penalty: Whether ``data_loss``, without the penalty, is logged too.
    """

    def __init__(
        self,
        stage: str,
        head: Head,
        has_penalty: bool,
    ) -> None:
        self.stage = stage
        self.head = head
        names = ["loss", "data_loss"] if has_penalty else ["loss"]
        # NaN stays NaN, as the loss of a diverged model.
        self.losses = {f"{stage}_{name}": MeanMetric(nan_strategy=math.nan) for name in names}
        self._build_metrics()
        #: Direction of each logged name that knows it.
        self.modes = dict.fromkeys(self.losses, "min")
        for name, metric in self.metrics.items():
            if metric.higher_is_better is not None:
                self.modes[name] = "max" if metric.higher_is_better else "min"
        self.logged = {name: DeferredMetric(partial(self.value, name)) for name in self._by_name}
        self.reset()

    def _build_metrics(self) -> None:
        """Build the metrics at the threshold of the head."""
        self._threshold = self.head.threshold
        self.metrics = make_metrics(self.head).clone(prefix=f"{self.stage}_")
        self._by_name = {**self.losses, **dict(self.metrics.items())}

    def reset(self, temperature: float = 1.0) -> None:
        """Begin an epoch; the last one may have been broken off anywhere.

        Args:
            temperature: Number by which logits are divided before metrics see them.
        """
        self.temperature = temperature
        if self.head.threshold != self._threshold:
            self._build_metrics()
        self._batches: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._num_samples = 0
        #: Whether the next batch begins an epoch, whatever its number.
        self.is_waiting = False
        for metric in self._by_name.values():
            metric.reset()

    def add(
        self,
        loss: Tensor,
        data_loss: Tensor,
        logits: Tensor,
        targets: Tensor,
    ) -> None:
        """Add a batch; targets are copied, since a loader may reuse them."""
        batch = (loss.detach(), data_loss.detach(), logits.detach(), targets.clone())
        self._batches.append(batch)
        self._num_samples += len(targets)
        if self._num_samples >= _SAMPLES_PER_UPDATE:
            self._update()

    def value(self, name: str) -> Tensor:
        """Return the value of a logged name over all samples of all processes."""
        self._update()
        value: Tensor = self._by_name[name].compute()
        return value

    def _update(self) -> None:
        """Update losses and metrics by the collected batches."""
        if not self._batches:
            return
        losses, data_losses, logits, targets = zip(*self._batches, strict=True)
        device = losses[0].device
        counts = torch.tensor([len(batch) for batch in targets], device=device)
        for metric, means in zip(self.losses.values(), (losses, data_losses), strict=False):
            metric.to(device).update(torch.stack(means).float(), counts)
        scores = self.head.scores(torch.cat(logits) / self.temperature)
        truth = self.head.metric_targets(torch.cat(targets))
        self.metrics.to(device).update(scores, truth)
        self._batches.clear()
        self._num_samples = 0
