"""Guesses that a model must beat (chapter 4): one answer for every row, from training targets."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from dlp.console import scores_text
from dlp.datamodules.base import SupervisedDataModule
from dlp.modules.heads import Head
from dlp.modules.metrics import make_metrics
from dlp.modules.supervised import SupervisedModule

#: Name of a baseline -> metric without stage -> value.
Scores = dict[str, dict[str, float]]


def guess_scores(model: Any, data: SupervisedDataModule, part: Literal["val", "test"]) -> Scores:
    """Score constant answers on a part by the metrics of a model's head.

    - ``majority_class``: the most frequent class; of labels those that most rows have.
    - ``class_frequencies``: expected ``acc`` of classes drawn by their frequencies.
    - ``mean`` and ``median``: of each target column.

    The result is empty for a model without a `Head`.
    """
    if not isinstance(model, SupervisedModule):
        return {}
    summary, head = data.fit()["target_summary"], model.head
    targets = part_targets(head, data, part)
    if "frequencies" not in summary:
        rows = {name: torch.tensor([summary[name]]) for name in ("mean", "median")}
        return {
            name: score(head, row.expand(len(targets), -1), targets) for name, row in rows.items()
        }
    frequencies = torch.tensor(summary["frequencies"])
    is_single = head.task in ("binary", "multiclass")
    majority = (frequencies == frequencies.max()) if is_single else frequencies > 0.5
    always = score(head, majority.float().expand(len(targets), -1), targets)
    if not is_single:
        return {"majority_class": always}
    guessed = float(frequencies[targets].mean())
    return {"majority_class": always, "class_frequencies": {"acc": guessed}}


def score(head: Head, predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the metrics of a head's `predict` and `metric_targets`."""
    if head.task == "binary":
        predictions = predictions[:, 1]
    metrics = make_metrics(head).cpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchmetrics, about classes never predicted
        values = metrics(predictions.contiguous(), targets)
    return {name: float(value) for name, value in values.items()}


def part_targets(
    head: Head, data: SupervisedDataModule, part: Literal["train", "val", "test"]
) -> Tensor:
    """Return the targets of a part as metrics take them."""
    targets = data.examples(part).targets
    assert targets is not None  # of a labelled part
    encoded = torch.from_numpy(data.targets.encode(targets))
    return head.metric_targets(head.prepare(encoded)).cpu()


def baseline_lines(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line per baseline."""
    return [f"baseline {n.replace('_', ' ')}: {scores_text(each)}" for n, each in scores.items()]
