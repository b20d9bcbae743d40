"""What one fold logs for a stage, all of its rows at once."""

from collections.abc import Callable

from torch import Tensor
from torchmetrics import MeanAbsoluteError
from torchmetrics import classification as C

from dlp.modules.base import SupervisedModule
from dlp.modules.meters import Stage

#: Metrics of the heads, as one formula: torchmetrics takes a millisecond a fold for them.
_FORMULAS: dict[type, Callable[[Tensor, Tensor], Tensor]] = {
    MeanAbsoluteError: lambda scores, targets: (scores - targets).abs().mean(),
    C.BinaryAccuracy: lambda scores, targets: ((scores > 0.5) == targets).float().mean(),
    C.MultilabelAccuracy: lambda scores, targets: ((scores > 0.5) == targets).float().mean(),
    C.MulticlassAccuracy: lambda scores, targets: (scores.argmax(1) == targets).float().mean(),
}


def losses_and_metrics(
    model: SupervisedModule, stage: Stage, logits: Tensor, targets: Tensor, penalty: Tensor
) -> dict[str, Tensor]:
    """Return what a model logs for a stage, given all of its logits (N, C) and targets at once."""
    meter = model.meters[stage]
    data_loss = model.head.loss(logits, targets)
    loss = data_loss + penalty
    metrics = dict(meter.metrics.items())
    if not all(_has_formula(stage, name, metric) for name, metric in metrics.items()):
        meter.add(loss, data_loss, logits, targets)
        return meter.compute()
    values = dict(zip(meter.losses, (loss.float(), data_loss.float()), strict=False))
    scores, expected = model.head.scores(logits.float()), model.head.metric_targets(targets)
    return values | {
        name: _FORMULAS[type(metric)](scores, expected).float() for name, metric in metrics.items()
    }


def _has_formula(stage: Stage, name: str, metric: object) -> bool:
    """Whether a metric is one that a head makes of the name ``acc`` or ``mae``."""
    return name in (f"{stage}_acc", f"{stage}_mae") and type(metric) in _FORMULAS
