"""The loss and metrics of a stage of a fit, over all of its samples."""

from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from dlp.directions import Mode
from dlp.errors import InputError
from dlp.modules.head import Head
from dlp.modules.metrics import FunctionMetric, SampleMean, mode_of
from dlp.modules.thresholds import ThresholdChoice

Stage = Literal["train", "val", "test"]

#: Samples whose outputs are kept before the metrics take them in one update.
_GATHERED = 8192


class EpochValue(Metric):
    """One number of a `StageMeter`, as a metric that Lightning computes when the epoch ends.

    It is logged once an epoch, at the first batch. Lightning computes a logged metric when the
    epoch is over, wherever it stopped. A plain number would have to be logged at the last batch; if
    a timer or a callback stopped before it, the number of the epoch before would stay.
    """

    full_state_update = False

    def __init__(self, meter: "StageMeter", name: str) -> None:
        super().__init__()
        self._meter = meter
        self.name = name

    def update(self) -> None:
        """Begin an epoch: there is something to compute."""

    def compute(self) -> Tensor | None:
        """Return the number over all samples of the epoch so far; None where there is none."""
        return self._meter.values().get(self.name)


class StageMeter:
    """The loss and metrics of one stage: gathered by batch, computed in few large updates.

    Not a submodule: a model's summary and weights hold the model alone.
    """

    def __init__(self, stage: Stage, head: Head, penalised: bool) -> None:
        self.head = head
        names = ["loss", "data_loss"] if penalised else ["loss"]
        self.losses = {f"{stage}_{name}": SampleMean() for name in names}
        self.stage = stage
        self.metrics = self._new_metrics()
        self._choice: ThresholdChoice | None = None  # in a stage that is to choose a threshold
        self._batches: list[tuple[Tensor, ...]] = []
        self._samples = 0
        self._values: dict[str, Tensor] | None = None
        self.epoch_values = [EpochValue(self, name) for name in self.names]

    @property
    def names(self) -> list[str]:
        """What is logged: the losses and the metrics, as far as these give one number each."""
        return [*self.losses, *map(str, self.metrics.keys())]

    def _new_metrics(self) -> MetricCollection:
        """Return metrics that have seen nothing, and go by the head's threshold of now."""
        self._threshold = self.head.threshold
        made: dict[str, Metric | MetricCollection] = {}
        made.update(deepcopy(self.head.make_metrics()).items(copy_state=False))
        return MetricCollection(made, prefix=f"{self.stage}_", compute_groups=False)

    @property
    def directions(self) -> dict[str, Mode]:
        """Logged name -> whether less or more is better, for all of which that is known."""
        metrics = {**self.losses, **dict(self.metrics.items(copy_state=False))}
        modes = {name: mode_of(metric) for name, metric in metrics.items()}
        return {name: mode for name, mode in modes.items() if mode is not None}

    def add(self, loss: Tensor, data_loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Take in a batch: its mean losses, logits and prepared targets.

        What may be the memory of the batch itself is copied: a loader may use it again.
        """
        kept = logits.detach() if logits.requires_grad else logits.clone()
        self._batches.append((loss.detach(), data_loss.detach(), kept, targets.clone()))
        self._samples += len(targets)
        self._values = None
        if self._samples >= _GATHERED:
            self._update()

    def _update(self) -> None:
        if not self._batches:
            return
        losses, data_losses, logits, targets = zip(*self._batches, strict=True)
        device = losses[0].device
        counts = torch.tensor([len(batch) for batch in targets], device=device)
        for metric, values in zip(self.losses.values(), (losses, data_losses), strict=False):
            metric.to(device)
            metric.update(torch.stack(values).float(), counts)
        outputs, expected = torch.cat(logits).float(), torch.cat(targets)
        self._measure(self.head.scores(outputs), self.head.metric_targets(expected))
        self._batches.clear()
        self._samples = 0

    def _measure(self, scores: Tensor, targets: Tensor) -> None:
        if self._choice is not None:  # metrics must wait for the threshold
            self._choice.to(scores.device).update(scores, targets)
            return
        self.metrics.to(scores.device)
        for name, metric in self.metrics.items(copy_state=False):
            try:
                metric.update(scores, targets)
            except (TypeError, ValueError, RuntimeError) as error:
                own = isinstance(metric, FunctionMetric)  # whose author wants to see the line
                if own or type(error) not in (TypeError, ValueError, RuntimeError):
                    raise
                raise InputError(
                    f"the metric {name} cannot compare predictions {tuple(scores.shape)} with "
                    f"targets {tuple(targets.shape)}, which the {type(self.head).__name__} gives "
                    f"it: {error}"
                ) from error

    def _choose(self, choice: ThresholdChoice) -> None:
        """Choose the threshold, and let the metrics see the samples that it was chosen on."""
        self.head.threshold = float(choice.compute())
        self.metrics = self._new_metrics()
        self._choice = None
        self._measure(torch.cat(choice.chances), torch.cat(choice.targets))

    def reset(self, choose: bool = False) -> None:
        """Forget what was gathered and not yet computed: a stage may break off anywhere.

        Args:
            choose: Whether the threshold is to be chosen on the samples that follow, where the head
                has a rule for it; the metrics of the stage then go by the new one.
        """
        self._batches.clear()
        self._samples = 0
        self._values = None
        for metric in self.losses.values():
            metric.reset()
        rule = self.head.threshold_rule
        self._choice = ThresholdChoice(rule) if choose and rule is not None else None
        if self._threshold == self.head.threshold:
            self.metrics.reset()
        else:
            self.metrics = self._new_metrics()

    def values(self) -> dict[str, Tensor]:
        """Return name -> value over all samples of all processes so far."""
        if self._values is None:
            self._update()
            if self._choice is not None:
                self._choose(self._choice)
            values = {name: metric.compute() for name, metric in self.losses.items()}
            values.update(self.metrics.compute())
            for name, value in values.items():
                if not isinstance(value, Tensor) or value.numel() != 1:
                    shape = tuple(value.shape) if isinstance(value, Tensor) else type(value)
                    raise InputError(
                        f"the metric {name} gives {shape}, and one number can be logged: give it "
                        "an average (such as average='macro'), or put it into a ClasswiseWrapper."
                    )
            self._values = values
        return self._values

    def compute(self) -> dict[str, Tensor]:
        """Return name -> value over all samples of all processes, and start anew."""
        values = self.values()
        self.reset()
        return values
