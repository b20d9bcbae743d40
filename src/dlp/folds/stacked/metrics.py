"""What one fold logs for a stage, all of its rows at once."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
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


#: Metrics of the heads as one formula (torchmetrics takes a millisecond a fold for them), and the
#: settings that the formula holds for.
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


def losses_and_metrics(
    model: SupervisedModule, stage: Stage, logits: Tensor, targets: Tensor, penalty: Tensor
) -> dict[str, Tensor]:
    """Return what a model logs for a stage, given all of its logits (N, C) and targets at once."""
    meter = model.meters[stage]
    data_loss = model.head.loss(logits, targets)
    loss = data_loss + penalty
    metrics = dict(meter.metrics.items())
    if not all(map(_has_formula, metrics.values())):
        meter.add(loss, data_loss, logits, targets)
        return meter.compute()
    values = dict(zip(meter.losses, (loss.float(), data_loss.float()), strict=False))
    scores, expected = model.head.scores(logits.float()), model.head.metric_targets(targets)
    return values | {
        name: _FORMULAS[type(metric)][0](scores, expected, metric).float()
        for name, metric in metrics.items()
    }


def _has_formula(metric: object) -> bool:
    """Whether a metric is one of those above, with the settings of its formula."""
    if type(metric) not in _FORMULAS:
        return False
    _, settings = _FORMULAS[type(metric)]
    return all(getattr(metric, name) == value for name, value in settings.items())
