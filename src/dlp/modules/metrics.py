"""Metrics by name, import path, class, object or plain function, one table for each problem."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torchmetrics import (
    AUROC,
    Accuracy,
    AveragePrecision,
    ConfusionMatrix,
    F1Score,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    MetricCollection,
    Precision,
    Recall,
)
from torchmetrics.metric import CompositionalMetric
from torchmetrics.utilities import dim_zero_cat

from dlp.directions import Mode
from dlp.errors import InputError
from dlp.imports import configured, imported

Metrics = Sequence[str | Callable[..., Any]]
Task = Literal["binary", "multiclass", "multilabel"]


class SampleMean(Metric):
    """The mean over the samples of all processes.

    A NaN stays one: torchmetrics's ``MeanMetric`` leaves it out, and a loss that has blown up
    would look finite; where it is told to keep it (``nan_strategy="disable"``), it forgets the
    weights.
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


class BalancedAccuracy(CompositionalMetric):
    """The mean recall of the classes, each counting alike (scikit-learn's balanced accuracy).

    Classes without a row do not count; in torchmetrics's macro recall, one that is predicted does.
    Labels that do not exclude each other are two classes each: off and on.

    Args:
        task: The kind of problem, as torchmetrics calls it.
        outputs: The number of probabilities in a row.
        threshold: What the probability of class 1 or of a label must exceed; None of classes.
    """

    higher_is_better = True

    def __init__(self, task: Task, outputs: int, threshold: float | None) -> None:
        matrix = ConfusionMatrix(
            task,
            threshold=0.5 if threshold is None else threshold,
            num_classes=outputs,
            num_labels=outputs,
            validate_args=False,
        )
        super().__init__(_mean_recall, matrix, None)


def _mean_recall(matrix: Tensor) -> Tensor:
    """Return the mean over the true classes of a confusion matrix, (..., C, C), that have rows."""
    rows = matrix.sum(-1)
    return (matrix.diagonal(dim1=-2, dim2=-1) / rows)[rows > 0].mean()


class R2(Metric):
    """The coefficient of determination, as scikit-learn's ``r2_score``: a mean over the targets.

    All values are kept until the end. torchmetrics's ``R2Score`` adds up squares and takes the
    square of the sum off: in float32 nothing is left of a spread of 100 around a million.
    """

    higher_is_better = True
    full_state_update = False
    predictions: list[Tensor]
    values: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predictions", [], dist_reduce_fx="cat")
        self.add_state("values", [], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add a batch: two tensors of one shape, (N,) or (N, T)."""
        self.predictions.append(predictions)
        self.values.append(targets)

    def compute(self) -> Tensor:
        """Return a scalar; NaN of a single row, 0 where a target is the same in every row."""
        predictions, values = dim_zero_cat(self.predictions), dim_zero_cat(self.values)
        if len(values) < 2:
            return torch.full((), torch.nan, device=values.device)
        left = (values - predictions).square().sum(0)
        moved = values - values[0]  # a mean of small numbers keeps their digits
        total = (moved - moved.mean(0)).square().sum(0)
        constant = total == 0
        explained = (1 - left / total.masked_fill(constant, 1)).masked_fill(constant, 0)
        return explained.masked_fill(constant & (left == 0), 1).mean()


def make_metrics(chosen: Metrics, known: dict[str, Callable[[], Metric]]) -> MetricCollection:
    """Return new metrics by log name, for names of `known`, import paths and callables.

    A collection gives each of its metrics. Those of one name are numbered in their order:
    ``f1``, ``f1_2``. Each is computed by itself: torchmetrics's compute groups join metrics whose
    states are equal after the first update, and then they stay equal.

    Raises:
        InputError: No such name or object, or it makes no metric, or it is called as a loss is.
    """
    found: dict[str, Metric | MetricCollection] = {}
    given: set[str] = set()
    for metric in chosen:
        if isinstance(metric, str):
            if metric in given:
                continue
            given.add(metric)
        for name, made in _named(metric, known):
            if name in ("loss", "data_loss"):
                raise InputError(
                    f"a metric cannot be called {name}: the loss is logged by that name. Rename "
                    "the function or class."
                )
            alike = [other for other in found if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other)]
            found[f"{name}_{len(alike) + 1}" if name in found else name] = made
    return MetricCollection(found, compute_groups=False)


def _named(
    metric: str | Callable[..., Any], known: dict[str, Callable[[], Metric]]
) -> list[tuple[str, Metric]]:
    """Return log name -> metric: ``binary_auroc`` for ``BinaryAUROC``."""
    if isinstance(metric, str):
        if metric in known:
            return [(metric, known[metric]())]
        metric = cast(Callable[..., Any], imported("metric", metric, known))
    metric = cast(Callable[..., Any], configured("metric", metric))
    if isinstance(metric, MetricCollection):
        return [(_words(name), item) for name, item in metric.items(copy_state=False)]
    kind = metric.func if isinstance(metric, partial) else metric
    return [(_words(getattr(kind, "__name__", type(kind).__name__)), _made(metric, kind))]


def _made(metric: Callable[..., Any], kind: Callable[..., Any]) -> Metric:
    """Return the torchmetrics object for an object, a class, a partial class or a function.

    Args:
        metric: What was given.
        kind: The same; of a partial class or function that class or function.

    Raises:
        InputError: A class that cannot be made without arguments, or that is no metric.
    """
    if isinstance(metric, Metric):
        return metric
    if not callable(kind):
        raise InputError(
            f"the metric {metric!r} cannot be called. Accepted: names, import paths, torchmetrics "
            "classes or objects, and functions (predictions, targets)."
        )
    if not isinstance(kind, type):
        return FunctionMetric(metric)
    if not issubclass(kind, Metric):
        raise InputError(
            f"the metric {kind.__name__} is no torchmetrics class. Accepted: such classes or "
            "objects of them, and functions (predictions, targets)."
        )
    try:
        return cast(Metric, metric())
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the metric {kind.__name__} cannot be made: {error}. Give an object, made with the "
            "arguments it needs."
        ) from error


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def mode_of(metric: Metric) -> Mode | None:
    """Return whether less or more of a metric is better, as torchmetrics says; None if it does not.

    A function says it for its metric, and a metric for the wrapper that gives its number.
    """
    inner = metric
    for name in ("function", "wrapped_metric", "base_metric"):
        inner = getattr(inner, name, inner)
    higher: bool | None = getattr(inner, "higher_is_better", None)
    return None if higher is None else "max" if higher else "min"


def class_metrics(
    task: Task, outputs: int, threshold: float | None
) -> dict[str, Callable[[], Metric]]:
    """Return name -> maker for probabilities (N,) of class 1, (N, C) of classes or of labels.

    ``acc`` and ``top5_acc`` are over samples (of labels: over all labels of all samples), the
    others are means over classes or labels, or of class 1 alone where it is one of two.

    Args:
        task: The kind of problem, as torchmetrics calls it.
        outputs: The number of probabilities in a row.
        threshold: What the probability of class 1 or of a label must exceed; None of classes.
    """
    size: dict[str, Any] = {"num_classes": outputs, "num_labels": outputs, "validate_args": False}
    decided: dict[str, Any] = {**size, "threshold": threshold, "average": "macro"}
    metrics: dict[str, Callable[[], Metric]] = {
        "acc": partial(Accuracy, task, **decided | {"average": "micro"}),
        "balanced_acc": partial(BalancedAccuracy, task, outputs, threshold),
        "f1": partial(F1Score, task, **decided),
        "precision": partial(Precision, task, **decided),
        "recall": partial(Recall, task, **decided),
        "auroc": partial(AUROC, task, **size),
        "average_precision": partial(AveragePrecision, task, **size),
    }
    if task == "multiclass":
        metrics["top5_acc"] = partial(Accuracy, task, top_k=5, **size)
    return metrics


def value_metrics() -> dict[str, Callable[[], Metric]]:
    """Return name -> maker for values (N, T): means over all of them, `r2` over targets."""
    return {
        "mae": MeanAbsoluteError,
        "mse": MeanSquaredError,
        "rmse": partial(MeanSquaredError, squared=False),
        "r2": R2,
    }
