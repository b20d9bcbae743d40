"""Metrics by name, import path, class, object or plain function, one table for each problem."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection
from torchmetrics import classification as C

from dlp.directions import Mode
from dlp.errors import InputError
from dlp.imports import configured, imported
from dlp.modules.balanced_accuracy import BalancedAccuracy
from dlp.modules.explained_variance import R2

Metrics = Sequence[str | Callable[..., Any]]


class SampleMean(Metric):
    """The mean over the samples of all processes.

    A NaN stays one: torchmetrics's ``MeanMetric`` leaves it out, and a loss that has blown up
    would look finite.
    """

    higher_is_better: bool | None = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, means: Tensor, counts: Tensor) -> None:
        """Add batches: their means and their numbers of samples, of one shape."""
        self.total += (means * counts).where(counts > 0, 0.0).sum()  # an empty batch has no mean
        self.count += counts.sum()

    def compute(self) -> Tensor:
        """Return the mean, a scalar."""
        return self.total / self.count


class FunctionMetric(SampleMean):
    """The mean over samples of a plain function ``f(predictions, targets)``.

    Args:
        function: Gives one number, the mean over the samples it got, or one for each sample. It may
            have an attribute `higher_is_better`, as torchmetrics's classes have.
    """

    higher_is_better = None

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add a batch."""
        value = torch.as_tensor(self.function(predictions, targets)).float().mean()
        super().update(value, torch.tensor(len(targets), device=value.device))


def make_metrics(chosen: Metrics, known: dict[str, Callable[[], Metric]]) -> MetricCollection:
    """Return new metrics by log name, for names of `known`, import paths and callables.

    A collection gives each of its metrics. Those of one name are numbered in their order:
    ``f1``, ``f1_2``. Each is computed by itself: torchmetrics's compute groups join metrics whose
    states are equal after the first update, and then they stay equal.

    Raises:
        InputError: No such name or object, or it makes no metric, or it is called as a loss is.
    """
    found: dict[str, Metric | MetricCollection] = {}
    again = {number for number, one in enumerate(chosen) if _was_named(one, chosen[:number])}
    for number, metric in enumerate(chosen):
        for name, made in [] if number in again else _named(metric, known):
            if name in ("loss", "data_loss"):
                raise InputError(
                    f"a metric cannot be called {name}: the loss is logged by that name. Rename "
                    "the function or class."
                )
            alike = [other for other in found if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other)]
            found[f"{name}_{len(alike) + 1}" if name in found else name] = made
    return MetricCollection(found, compute_groups=False)


def _was_named(metric: str | Callable[..., Any], before: Metrics) -> bool:
    return isinstance(metric, str) and metric in [one for one in before if isinstance(one, str)]


def _named(
    metric: str | Callable[..., Any], known: dict[str, Callable[[], Metric]]
) -> list[tuple[str, Metric]]:
    if isinstance(metric, str):
        if metric in known:
            return [(metric, known[metric]())]
        metric = cast(Callable[..., Any], imported("metric", metric, known))
    metric = cast(Callable[..., Any], configured("metric", metric))
    if isinstance(metric, MetricCollection):
        return [(_words(name), item) for name, item in metric.items(copy_state=False)]
    return [(metric_name(metric), make_metric(metric))]


def mode_of(metric: Metric) -> Mode | None:
    """Return whether less or more of a metric is better, as torchmetrics says; None if it does not.

    A function says it for its metric, and a metric for the wrapper that gives its number.
    """
    inner = metric
    for name in ("function", "wrapped_metric", "base_metric"):
        inner = getattr(inner, name, inner)
    higher: bool | None = getattr(inner, "higher_is_better", None)
    return None if higher is None else "max" if higher else "min"


def make_metric(metric: Callable[..., Any]) -> Metric:
    """Return the torchmetrics object for an object, a class, a partial class or a function.

    Raises:
        InputError: A class that cannot be made without arguments, or that is no metric.
    """
    if isinstance(metric, Metric):
        return metric
    made = metric.func if isinstance(metric, partial) else metric
    if not callable(made):
        raise InputError(
            f"the metric {metric!r} cannot be called. Accepted: names, import paths, torchmetrics "
            "classes or objects, and functions (predictions, targets)."
        )
    if not isinstance(made, type):
        return FunctionMetric(metric)
    if not issubclass(made, Metric):
        raise InputError(
            f"the metric {made.__name__} is no torchmetrics class. Accepted: such classes or "
            "objects of them, and functions (predictions, targets)."
        )
    try:
        return made(*metric.args, **metric.keywords) if isinstance(metric, partial) else made()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the metric {made.__name__} cannot be made: {error}. Give an object, made with the "
            "arguments it needs."
        ) from error


def metric_name(metric: Callable[..., Any]) -> str:
    """Return the name to log it by: ``binary_auroc`` for ``BinaryAUROC``."""
    made = metric.func if isinstance(metric, partial) else metric
    return _words(getattr(made, "__name__", type(made).__name__))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def binary_metrics(threshold: float) -> dict[str, Callable[[], Metric]]:
    """Return name -> maker for probabilities (N,).

    f1, precision, recall and average precision are of class 1: probabilities above `threshold`.
    """
    return {
        "acc": lambda: C.BinaryAccuracy(threshold, validate_args=False),
        "balanced_acc": lambda: BalancedAccuracy(1, threshold),
        "f1": lambda: C.BinaryF1Score(threshold, validate_args=False),
        "precision": lambda: C.BinaryPrecision(threshold, validate_args=False),
        "recall": lambda: C.BinaryRecall(threshold, validate_args=False),
        "auroc": lambda: C.BinaryAUROC(validate_args=False),
        "average_precision": lambda: C.BinaryAveragePrecision(validate_args=False),
    }


def multiclass_metrics(classes: int) -> dict[str, Callable[[], Metric]]:
    """Return name -> maker for probabilities (N, classes).

    Accuracies are over samples, the others means over classes.
    """
    return {
        "acc": lambda: C.MulticlassAccuracy(classes, average="micro", validate_args=False),
        "f1": lambda: C.MulticlassF1Score(classes, average="macro", validate_args=False),
        "precision": lambda: C.MulticlassPrecision(classes, average="macro", validate_args=False),
        "recall": lambda: C.MulticlassRecall(classes, average="macro", validate_args=False),
        "auroc": lambda: C.MulticlassAUROC(classes, average="macro", validate_args=False),
        "balanced_acc": lambda: BalancedAccuracy(classes),
        "average_precision": lambda: C.MulticlassAveragePrecision(
            classes, average="macro", validate_args=False
        ),
        "top5_acc": lambda: C.MulticlassAccuracy(
            classes, top_k=5, average="micro", validate_args=False
        ),
    }


def multilabel_metrics(labels: int, threshold: float) -> dict[str, Callable[[], Metric]]:
    """Return name -> maker for probabilities (N, labels), where above `threshold` is given.

    The accuracy is over all labels of all samples, the others are means over labels.
    """

    def made(kind: Callable[..., Metric], average: str = "macro") -> Callable[[], Metric]:
        return partial(kind, labels, threshold, average=average, validate_args=False)

    return {
        "acc": made(C.MultilabelAccuracy, "micro"),
        "balanced_acc": lambda: BalancedAccuracy(labels, threshold),
        "f1": made(C.MultilabelF1Score),
        "precision": made(C.MultilabelPrecision),
        "recall": made(C.MultilabelRecall),
        "auroc": lambda: C.MultilabelAUROC(labels, average="macro", validate_args=False),
        "average_precision": lambda: C.MultilabelAveragePrecision(
            labels, average="macro", validate_args=False
        ),
    }


def value_metrics() -> dict[str, Callable[[], Metric]]:
    """Return name -> maker for values (N, T): means over all of them, `r2` over targets."""
    return {
        "mae": MeanAbsoluteError,
        "mse": MeanSquaredError,
        "rmse": partial(MeanSquaredError, squared=False),
        "r2": R2,
    }
