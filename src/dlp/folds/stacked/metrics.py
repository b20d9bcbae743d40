"""What the folds of a stack log for a stage, all rows at once."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torchmetrics import MeanAbsoluteError
from torchmetrics import classification as C

from dlp.modules.base import SupervisedModule
from dlp.modules.meters import Stage

_Formula = Callable[[Tensor, Tensor, Any], Tensor]


def _shares_right(scores: Tensor, targets: Tensor, metric: Any) -> Tensor:
    threshold: float = metric.threshold
    return ((scores > threshold) == targets).float().mean()


def _classes_right(scores: Tensor, targets: Tensor, metric: Any) -> Tensor:
    return (scores.argmax(1) == targets).float().mean()


def _absolute_error(scores: Tensor, targets: Tensor, metric: Any) -> Tensor:
    return (scores - targets).abs().mean()


#: Metrics of the heads as one formula, and the settings that it holds for: torchmetrics takes a
#: millisecond a fold for them, and folds in a loop 60 microseconds, as long as all of 40 at once.
_FORMULAS: dict[type, tuple[_Formula, dict[str, object]]] = {
    MeanAbsoluteError: (_absolute_error, {"num_outputs": 1}),
    C.BinaryAccuracy: (_shares_right, {"multidim_average": "global", "ignore_index": None}),
    C.MultilabelAccuracy: (
        _shares_right,
        {"multidim_average": "global", "ignore_index": None, "average": "micro"},
    ),
    C.MulticlassAccuracy: (
        _classes_right,
        {"multidim_average": "global", "ignore_index": None, "average": "micro", "top_k": 1},
    ),
}


class StackMeter:
    """What the folds of a stack log for a stage; by one call for all where metrics have a formula.

    Args:
        models: Of the folds, equal but for their weights and the buffers of their heads.
        stage: The stage.
    """

    def __init__(self, models: Sequence[SupervisedModule], stage: Stage) -> None:
        self._models = models
        self._stage = stage
        heads = [dict(model.head.named_buffers()) for model in models]
        self._scaling = {name: torch.stack([head[name] for head in heads]) for name in heads[0]}
        self._head = deepcopy(models[0].head)
        self._losses = list(models[0].meters[stage].losses)
        self._metrics = dict(models[0].meters[stage].metrics.items())

    def measure(
        self, folds: Sequence[int], logits: Tensor, targets: Sequence[Tensor], penalty: Tensor
    ) -> dict[str, Tensor]:
        """Return name -> one number for each of some folds, float32.

        Args:
            folds: Their numbers, (n).
            logits: Of all folds, (F, N, C); what is beyond the targets of a fold does not count.
            targets: Of all folds, prepared, each (N, ...) with an N of its own.
            penalty: Of all folds, (F,).
        """
        groups: dict[int, list[int]] = {}
        for fold in folds:
            groups.setdefault(len(targets[fold]), []).append(fold)
        if all(map(_has_formula, self._metrics.values())):
            parts = [
                vmap(self._by_formula)(
                    {name: values[group] for name, values in self._scaling.items()},
                    logits[group, :rows],
                    torch.stack([targets[fold] for fold in group]),
                    penalty[group],
                )
                for rows, group in groups.items()
            ]
        else:
            parts = [
                self._by_meter(fold, logits[fold, :rows], targets[fold], penalty[fold])
                for rows, group in groups.items()
                for fold in group
            ]
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        measured = [fold for group in groups.values() for fold in group]
        if measured == list(folds):
            return found
        places = [measured.index(fold) for fold in folds]
        return {name: values[places] for name, values in found.items()}

    def _by_meter(
        self, fold: int, logits: Tensor, targets: Tensor, penalty: Tensor
    ) -> dict[str, Tensor]:
        """Return name -> number of a fold, (1,), as its own fit gathers and computes it."""
        model = self._models[fold]
        meter, data_loss = model.meters[self._stage], model.head.loss(logits, targets)
        meter.add(data_loss + penalty, data_loss, logits, targets)
        return {name: value.unsqueeze(0) for name, value in meter.compute().items()}

    def _by_formula(
        self, scaling: dict[str, Tensor], logits: Tensor, targets: Tensor, penalty: Tensor
    ) -> dict[str, Tensor]:
        """Return name -> number of a fold, whose head has the buffers `scaling`."""
        for name, value in scaling.items():
            setattr(self._head, name, value)
        data_loss = self._head.loss(logits, targets)
        losses = (data_loss + penalty).float(), data_loss.float()
        scores, expected = self._head.scores(logits.float()), self._head.metric_targets(targets)
        return dict(zip(self._losses, losses, strict=False)) | {
            name: _FORMULAS[type(metric)][0](scores, expected, metric).float()
            for name, metric in self._metrics.items()
        }


def _has_formula(metric: object) -> bool:
    """Whether a metric is one of those above, with the settings of its formula."""
    if type(metric) not in _FORMULAS:
        return False
    _, settings = _FORMULAS[type(metric)]
    return all(getattr(metric, name) == value for name, value in settings.items())
