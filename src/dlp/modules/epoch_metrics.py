"""Losses and metrics of each stage, over all samples of an epoch."""

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from dlp.modules.heads import Head
from dlp.modules.metrics import make_metrics, set_threshold
from dlp.modules.monitor import Mode
from dlp.reader.answer import Answer


class MeanLoss(Metric):
    """Mean loss over all samples, computed from the mean loss of each batch.

    Unlike `torchmetrics.MeanMetric`, it keeps the NaN of a diverged model, and it does not wait for
    the device in each step.
    """

    full_state_update = False
    higher_is_better = False
    means: list[Tensor]
    counts: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("means", [], "cat")
        self.add_state("counts", [], "cat")

    def update(self, mean: Tensor, num_samples: int) -> None:
        """Add the mean loss of a batch."""
        mean = mean.float()
        self.means.append(mean)
        self.counts.append(torch.full_like(mean, num_samples))

    def compute(self) -> Tensor:
        """Return the mean over the samples of all batches."""
        means = dim_zero_cat(self.means)
        counts = dim_zero_cat(self.counts)
        return (means * counts).sum() / counts.sum()


class StageMetrics(MetricCollection):
    """Losses and metrics of one stage, by the names under which they are logged.

    Args:
        stage: ``train``, ``val`` or ``test``, the prefix of the logged names.
        head: Head whose metrics are computed.
        has_penalty: Whether ``data_loss``, the loss without the penalty, is logged too.
    """

    def __init__(self, stage: str, head: Head, has_penalty: bool) -> None:
        super().__init__([], prefix=f"{stage}_", compute_groups=False)
        self.add_metrics({"loss": MeanLoss()})
        if has_penalty:
            self.add_metrics({"data_loss": MeanLoss()})
        self.add_metrics(make_metrics(head))
        self._sources = head.metrics

    def modes(self) -> dict[str, Mode]:
        """Return whether ``min`` or ``max`` is better, for each value that declares it."""
        modes: dict[str, Mode] = {}
        for name, metric in self.items():
            if metric.higher_is_better is not None:
                modes[name] = "max" if metric.higher_is_better else "min"
        return modes

    def begin(self, answer: Answer) -> None:
        """Reset all metrics and set their threshold to the one in `answer`."""
        self.reset()
        set_threshold(self, self._sources, answer.threshold)

    def update(  # type: ignore[override]  # the base class takes any arguments
        self, loss: Tensor, data_loss: Tensor, scores: Tensor, targets: Tensor
    ) -> None:
        """Add a batch.

        Args:
            loss: Mean loss, including the penalty.
            data_loss: Mean loss without the penalty.
            scores: Predictions (N, ...) as returned by `Head.scores`.
            targets: Targets (N, ...) as returned by `Head.metric_targets`.
        """
        losses = {"loss": loss, "data_loss": data_loss}
        targets = targets.clone()  # the loader may reuse their memory for the next batch
        for name, metric in self.items(keep_base=True):
            if name in losses:
                metric.update(losses[name], len(targets))
            else:
                metric.update(scores, targets)


class EpochMetrics(nn.Module):
    """Losses and metrics of training, validation and test.

    Args:
        head: Head whose metrics are computed.
        has_penalty: Whether ``data_loss``, the loss without the penalty, is logged too.
    """

    def __init__(self, head: Head, has_penalty: bool) -> None:
        super().__init__()
        self.train_stage = StageMetrics("train", head, has_penalty)
        self.val_stage = StageMetrics("val", head, has_penalty)
        self.test_stage = StageMetrics("test", head, has_penalty)

    def begin(self, answer: Answer) -> None:
        """Reset the metrics of all stages and set their threshold to the one in `answer`."""
        for stage in (self.train_stage, self.val_stage, self.test_stage):
            stage.begin(answer)

    def modes(self) -> dict[str, Mode]:
        """Return whether ``min`` or ``max`` is better, for each value that declares it."""
        return self.train_stage.modes() | self.val_stage.modes() | self.test_stage.modes()
