"""Common-sense baselines (chapter 4): what a model must beat, from the training targets alone."""

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Literal

import torch
from lightning import LightningModule
from torch import Tensor

from dlp.datamodules.base import SupervisedDataModule
from dlp.directions import Mode
from dlp.modules.base import SupervisedModule
from dlp.modules.heads import Head
from dlp.number_words import score_in_words

Baselines = dict[str, dict[str, float]]

#: What a metric or loss of the user's may have against predictions that are all the same.
_REFUSALS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def baselines(head: Head, summary: Mapping[str, Sequence[float]], targets: Tensor) -> Baselines:
    """Return the numbers of predicting the same for every row, by the head's loss and metrics.

    - ``majority_class``: always the most frequent class (each label: on, if on in most rows).
    - ``class_frequencies``: the loss of giving every row the frequencies as probabilities, and
      ``acc``, what guessing at these frequencies would score on average: the sum over classes of
      frequency in training times frequency in `targets`.
    - ``mean`` and ``median`` of each target column.

    The loss is of the data alone, without L1 or L2. A metric that has no number for constant
    predictions is left out, and so is a baseline that the head cannot express.

    Args:
        head: The head of the model to beat.
        summary: What the training targets look like: ``frequencies`` of the classes or labels
            (C,), or ``mean`` and ``median`` (T,) in the original unit.
        targets: Targets of the evaluated part as batches hold them: (N,), (N, C) or (N, T).

    Returns:
        Name of the baseline -> metric without stage (``acc``, ``mae``, ``loss``) -> number.
    """
    if not len(targets):
        return {}
    head = deepcopy(head).cpu()
    prepared = head.prepare(targets.cpu())
    if "frequencies" in summary:
        found = _of_classes(head, list(summary["frequencies"]), prepared)
    else:
        found = {name: _scores(head, _row(summary[name]), prepared) for name in ("mean", "median")}
    return {name: numbers for name, numbers in found.items() if numbers}


def baselines_on(
    model: LightningModule, data: SupervisedDataModule, part: Literal["val", "test"]
) -> Baselines:
    """Return the baselines of a model on a part of the data it was trained on.

    Nothing for a model that is none of the project's, or the checkpoint of an older run.
    """
    summary, targets = data.target_summary, data.examples(part).targets
    if not isinstance(model, SupervisedModule) or summary is None or targets is None:
        return {}
    return baselines(model.head, summary, torch.from_numpy(data.targets.encode(targets)))


def prediction_scores(head: Head, predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return metric -> number, and the loss, of predictions by the head's own metrics.

    The metric that the threshold is chosen for comes first: models are compared by the first one. A
    metric that has no number for them is left out; all are, if the head cannot express them.

    Args:
        head: The head of a model.
        predictions: Probabilities (N, C), or values (N, T) in the original unit.
        targets: Targets as batches hold them: (N,), (N, C) or (N, T).
    """
    head = deepcopy(head).cpu()
    return _scores(head, predictions, head.prepare(targets.cpu()))


def baseline_line(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return one line that a person can read beside a model's numbers."""
    texts = [
        f"{name.replace('_', ' ')} "
        + ", ".join(f"{metric} {score_in_words(value)}" for metric, value in numbers.items())
        for name, numbers in found.items()
    ]
    return f"baseline: {'; '.join(texts)}"


def best_baseline(
    found: Mapping[str, Mapping[str, float]], metric: str, mode: Mode | None
) -> tuple[str, float] | None:
    """Return the baseline with the best number of a metric, and the number.

    None where no baseline has the metric, or nobody knows whether less or more of it is better.
    """
    known = {name: numbers[metric] for name, numbers in found.items() if metric in numbers}
    if mode is None or not known:
        return None
    best = (min if mode == "min" else max)(known, key=known.__getitem__)
    return best, known[best]


def _of_classes(head: Head, frequencies: list[float], targets: Tensor) -> Baselines:
    expected = head.metric_targets(targets)
    majority = [float(frequency > 0.5) for frequency in frequencies]
    if expected.ndim == 1:  # one class a row
        top = max(frequencies)
        majority = [0.0] * len(frequencies)
        majority[frequencies.index(top)] = 1.0
    always = _scores(head, _row(majority), targets)
    always.pop("loss", None)  # of certainty: infinite as soon as one row is of another class
    guessed = {}
    if "acc" in always:
        guessed["acc"] = _accuracy_of_guessing(frequencies, expected)
    constant = _scores(head, _row(head.constant(frequencies)), targets)
    if "loss" in constant:
        guessed["loss"] = constant["loss"]
    return {"majority_class": always, "class_frequencies": guessed}


def _accuracy_of_guessing(frequencies: Sequence[float], targets: Tensor) -> float:
    """Return the expected accuracy of drawing classes (N,), or each label (N, L), at random."""
    drawn = torch.tensor(frequencies, dtype=torch.float64)
    if targets.ndim == 1:
        counts = torch.bincount(targets, minlength=len(drawn))
        return float(drawn @ counts.double() / len(targets))
    share = targets.double().mean(dim=0)
    return float((drawn * share + (1 - drawn) * (1 - share)).mean())


def _row(prediction: Sequence[float]) -> Tensor:
    return torch.tensor([list(prediction)], dtype=torch.float64)


def _logits(head: Head, predictions: Tensor) -> Tensor | None:
    """Return logits (N, L) from which a head predicts this; None where it cannot."""
    logits = head.logits_of(predictions)
    if logits is None or logits.shape[1] != head.num_logits:
        return None
    given = head.predict(logits.float()).double()
    alike = given.shape == predictions.shape
    alike = alike and torch.allclose(given, predictions, rtol=1e-3, atol=1e-5)
    return logits.float() if alike else None


@torch.no_grad()
def _scores(head: Head, predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return metric -> number, and at last the loss, of predictions (N, K), or one for all rows."""
    logits = _logits(head, predictions.double())
    if logits is None:
        return {}
    # Scored before it is spread over the rows: vectorised functions round a row by where it
    # stands, and a ranking by such differences is no ranking by a constant.
    given = head.scores(logits)
    given = given.expand(len(targets), *given.shape[1:]).contiguous()
    logits = logits.expand(len(targets), -1)
    scores: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metrics, about classes that are never predicted
        metrics = head.make_metrics().items()  # by the alphabet
        # Called, not computed: a call never waits for other processes.
        for name, metric in sorted(metrics, key=lambda item: item[0] != head.threshold_rule):
            with suppress(*_REFUSALS):
                scores[name] = float(metric(given, head.metric_targets(targets)))
        with suppress(*_REFUSALS):
            scores["loss"] = float(head.loss(logits, targets).mean())
    return {name: value for name, value in scores.items() if math.isfinite(value)}
