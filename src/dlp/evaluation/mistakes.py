"""Mistakes of a model: confused classes, scores per class, calibration, and the worst rows.

The lower the probability of the true class or label, the worse is a row. That is also the order in
which labels are in doubt, the self-confidence of Northcutt et al. 2021, "Confident Learning:
Estimating Uncertainty in Dataset Labels".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dlp.datamodules.rows import Array
from dlp.reader.answer import decide

#: Names of the classes, labels or target columns.
Names = Sequence[str]
#: Content of ``mistakes.json``.
Report = dict[str, Any]

_NUM_BINS = 10
_NUM_CUTS = 101
#: Most points of the scatter of values, spread evenly over the rows.
_NUM_POINTS = 2000


@dataclass(frozen=True)
class Mistakes:
    """Mistakes on the rows of a part: the largest one in a clause, and the content of two files.

    ``mistakes.json`` has the report; ``worst.csv`` the first of the wrong rows, the worst first:
    ``row`` (its position in the part), ``true``, ``predicted`` and, for classes, the
    ``probability`` of the true one.
    """

    summary: str
    report: Report
    worst: dict[str, Any]


def class_mistakes(
    probabilities: Array,
    targets: Array,
    names: Names,
    threshold: float = 0.5,
) -> Mistakes:
    """Analyse probabilities (N, C) of one class (N,) per row.

    Class 1 of two is predicted above the threshold.
    """
    count = len(names)
    is_binary = count == 2
    predicted = decide(probabilities, threshold)
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    wrong = np.flatnonzero(predicted != targets)
    scores = _scores(confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1), names)
    report = {
        "task": "classification",
        "rows": len(targets),
        "wrong": len(wrong),
        "threshold": threshold if is_binary else None,
        "classes": scores,
        "confusion": confusion.tolist(),
        "calibration": calibration(probabilities, targets),
    }
    if is_binary:
        report["roc"] = _roc(probabilities[:, 1], targets)
    given = probabilities[np.arange(len(targets)), targets]
    worst = _worst(wrong, -given)
    columns = {
        "row": worst,
        "true": np.array(names)[targets[worst]],
        "predicted": np.array(names)[predicted[worst]],
        "probability": given[worst],
    }
    summary = f"{len(wrong):,} of {len(targets):,} rows are wrong"
    if threshold != 0.5:
        summary += f" at the threshold {threshold:.3g}"
    if len(wrong):
        np.fill_diagonal(confusion, 0)
        true, other = divmod(int(confusion.argmax()), count)
        summary += f", most often {names[true]} predicted as {names[other]} ({confusion.max():,})"
    return Mistakes(summary, report, columns)


def label_mistakes(
    probabilities: Array,
    targets: Array,
    names: Names,
    threshold: float = 0.5,
) -> Mistakes:
    """Analyse labels; in a row the one with the least probable truth counts."""
    has_label = targets > 0.5
    predicted = probabilities > threshold
    is_wrong = predicted != has_label
    wrong = np.flatnonzero(is_wrong.any(axis=1))
    hits = (predicted & has_label).sum(axis=0)
    scores = _scores(hits, predicted.sum(axis=0), has_label.sum(axis=0), names)
    report = {
        "task": "multilabel",
        "rows": len(targets),
        "wrong": len(wrong),
        "threshold": threshold,
        "classes": scores,
        "calibration": calibration(probabilities, targets),
    }
    errors = np.where(is_wrong, abs(probabilities - has_label), 0)
    worst = _worst(wrong, errors.max(axis=1))
    label = errors[worst].argmax(axis=1)
    answers = np.array([(f"not {name}", name) for name in names])
    columns = {
        "row": worst,
        "true": answers[label, has_label[worst, label].astype(int)],
        "predicted": answers[label, predicted[worst, label].astype(int)],
        "probability": 1 - errors[worst, label],
    }
    lowest = min(scores, key=lambda entry: entry["f1"])
    summary = f"the label with the lowest F1 is {lowest['name']} ({lowest['f1']:.2f})"
    return Mistakes(summary, report, columns)


def value_mistakes(values: Array, targets: Array, names: Names) -> Mistakes:
    """Analyse predicted values; values and targets are (N, T) in the unit of the targets.

    The rows with the largest errors, in deviations of their target, are the worst.
    """
    residuals = values.astype(np.float64) - targets
    scores = {
        "mae": abs(residuals).mean(axis=0),
        "rmse": np.sqrt((residuals**2).mean(axis=0)),
        "mean_residual": residuals.mean(axis=0),  # above 0: predictions are too high
    }
    step = 1 + len(targets) // _NUM_POINTS
    report = {
        "task": "regression",
        "rows": len(targets),
        "targets": _by_name(names, scores),
        "true": targets[::step].T.tolist(),
        "predicted": values[::step].T.tolist(),
    }
    deviation = targets.std(axis=0)
    deviation[deviation == 0] = 1
    errors = abs(residuals) / deviation
    worst = _worst(np.arange(len(targets)), errors.max(axis=1))
    target = errors[worst].argmax(axis=1)
    true = targets[worst, target]
    predicted = values[worst, target]
    columns = {"row": worst, "true": true, "predicted": predicted}
    if len(names) > 1:
        columns["target"] = np.array(names)[target]
    summary = f"the worst row has target {true[0]:.6g} and prediction {predicted[0]:.6g}"
    return Mistakes(summary, report, columns)


def calibration(probabilities: Array, targets: Array) -> Report:
    """Compare probabilities (N, C) with the observed frequency in bins of equal width.

    They are those of class 1 of two, of the likeliest of more classes, or of each label.
    ``error`` is the expected calibration error: the mean distance of both over the bins, weighted
    by their counts (Naeini et al. 2015, "Obtaining Well Calibrated Probabilities").

    Args:
        probabilities: Predicted probabilities, (N, C).
        targets: Classes (N,) or labels (N, C).
    """
    if targets.ndim == 2:
        is_true = targets.ravel() > 0.5
        probabilities = probabilities.ravel()
    elif probabilities.shape[1] == 2:
        is_true = targets == 1
        probabilities = probabilities[:, 1]
    else:
        is_true = targets == probabilities.argmax(axis=1)
        probabilities = probabilities.max(axis=1)
    bins = np.ceil(probabilities * _NUM_BINS).clip(1)
    _, number, counts = np.unique(bins, return_inverse=True, return_counts=True)
    frequency = np.bincount(number, is_true) / counts
    probability = np.bincount(number, probabilities) / counts
    return {
        "probability": probability.tolist(),
        "frequency": frequency.tolist(),
        "count": counts.tolist(),
        "error": float(np.average(abs(frequency - probability), weights=counts)),
    }


def _roc(probabilities: Array, targets: Array) -> list[Any]:
    """Return the shares of the rows of class 0 and of class 1 above each of some thresholds."""
    cuts = np.quantile(probabilities, np.linspace(1, 0, _NUM_CUTS))
    shares = []
    for number in (0, 1):
        rows = np.sort(probabilities[targets == number])
        share = 1 - np.searchsorted(rows, cuts) / max(1, len(rows))
        shares.append(share.tolist())
    return shares


def _scores(
    hits: Array,
    predicted: Array,
    support: Array,
    names: Names,
) -> list[Any]:
    """Return the scores of each class, which are scikit-learn's: its import takes a second."""
    columns = {
        "support": support,
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(predicted + support, 1),
    }
    return _by_name(names, columns)


def _by_name(names: Names, columns: dict[str, Array]) -> list[Any]:
    """Return a dictionary per name, which has the name's value of each column."""
    return list(pd.DataFrame({"name": names, **columns}).to_dict("records"))


def _worst(rows: Array, errors: Array) -> Array:
    """Return some rows, those with the largest errors first."""
    order = np.argsort(-errors[rows], kind="stable")
    return rows[order]
