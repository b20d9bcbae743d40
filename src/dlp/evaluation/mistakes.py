"""Mistakes of a model: confused classes, scores per class, calibration, and the worst rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.evaluation.threshold import decide

_NUM_WORST = 16
_NUM_BINS = 10
#: Points of the scatter of values, spread evenly over the rows.
_NUM_POINTS = 2000


@dataclass(frozen=True)
class Mistakes:
    """Mistakes on the rows of a part: the largest one in a clause, and the content of two files.

    ``mistakes.json`` has the report; ``worst.csv`` the columns of the 16 worst rows: ``row`` (its
    position in the part), ``true``, ``predicted`` and, for classes, the ``probability`` of that.
    """

    summary: str
    report: dict[str, Any]
    worst: dict[str, Any]


def class_mistakes(
    probabilities: NDArray[Any], targets: NDArray[Any], names: Sequence[str], threshold: float = 0.5
) -> Mistakes:
    """Analyse probabilities (N, C) of one class (N,) per row.

    The most confident wrong rows are the worst. Class 1 of two is predicted above the threshold.
    """
    count, predicted = len(names), decide(probabilities, threshold)
    confidence = np.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0]
    confusion = np.bincount(targets * count + predicted, minlength=count**2).reshape(count, count)
    wrong = (predicted != targets).nonzero()[0]
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:_NUM_WORST]
    summary = f"{len(wrong):,} of {len(targets):,} rows are wrong"
    if len(wrong):
        errors = confusion - np.diag(np.diag(confusion))
        true, other = divmod(int(errors.argmax()), count)
        summary += f", most often {names[true]} predicted as {names[other]} ({errors.max():,})"
    report = {
        "task": "classification",
        "rows": len(targets),
        "wrong": len(wrong),
        "threshold": threshold if count == 2 else None,
        **_scores(np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1), names),
        "confusion": confusion.tolist(),
        "calibration": (
            calibration(probabilities[:, 1], targets == 1)
            if count == 2
            else calibration(confidence, predicted == targets)
        ),
    }
    columns = {
        "row": worst,
        "true": [names[number] for number in targets[worst]],
        "predicted": [names[number] for number in predicted[worst]],
        "probability": confidence[worst],
    }
    return Mistakes(summary, report, columns)


def label_mistakes(
    probabilities: NDArray[Any], targets: NDArray[Any], names: Sequence[str], threshold: float = 0.5
) -> Mistakes:
    """Analyse labels; the rows with the most confident wrong labels are the worst."""
    has, predicted = targets > 0.5, probabilities > threshold
    error = np.where(predicted != has, abs(probabilities - has), 0)
    label, largest = error.argmax(axis=1), error.max(axis=1)
    worst = np.argsort(-largest, kind="stable")[: min(_NUM_WORST, int((largest > 0).sum()))]
    hits = (predicted & has).sum(axis=0)
    scores = _scores(hits, predicted.sum(axis=0), has.sum(axis=0), names)
    lowest = min(scores["classes"], key=lambda entry: entry["f1"])
    report = {
        "task": "multilabel",
        "rows": len(targets),
        "wrong": int((predicted != has).any(axis=1).sum()),
        "threshold": threshold,
        **scores,
        "calibration": calibration(probabilities.ravel(), has.ravel()),
    }
    answers = np.array([(f"not {name}", name) for name in names])
    cells = worst, label[worst]
    columns = {
        "row": worst,
        "true": answers[label[worst], has[cells].astype(int)],
        "predicted": answers[label[worst], predicted[cells].astype(int)],
        "probability": np.where(predicted, probabilities, 1 - probabilities)[cells],
    }
    summary = f"the label with the lowest F1 is {lowest['name']} ({lowest['f1']:.2f})"
    return Mistakes(summary, report, columns)


def value_mistakes(values: NDArray[Any], targets: NDArray[Any], names: Sequence[str]) -> Mistakes:
    """Analyse predicted values; values and targets are (N, T) in the unit of the targets.

    The rows with the largest errors, in deviations of their target, are the worst.
    """
    residuals = values.astype(np.float64) - targets
    deviation = targets.std(axis=0)
    errors = abs(residuals) / np.where(deviation > 0, deviation, 1.0)
    target = errors.argmax(axis=1)
    worst = np.argsort(-errors.max(axis=1), kind="stable")[:_NUM_WORST]
    points = np.unique(np.linspace(0, len(targets) - 1, _NUM_POINTS).astype(np.int64))
    report = {
        "task": "regression",
        "rows": len(targets),
        "targets": [
            {
                "name": name,
                "mae": float(abs(residual).mean()),
                "rmse": float(np.sqrt((residual**2).mean())),
                "mean_residual": float(residual.mean()),  # above 0: predictions are too high
            }
            for name, residual in zip(names, residuals.T, strict=True)
        ],
        "true": targets[points].T.tolist(),
        "predicted": values[points].T.tolist(),
    }
    cells = worst, target[worst]
    columns = {"row": worst, "true": targets[cells], "predicted": values[cells]}
    if len(names) > 1:
        columns["target"] = [names[number] for number in target[worst]]
    true, predicted = columns["true"][0], columns["predicted"][0]
    summary = f"the largest error is {true:.4g} predicted as {predicted:.4g}"
    return Mistakes(summary, report, columns)


def calibration(probabilities: NDArray[Any], came_true: NDArray[np.bool_]) -> dict[str, Any]:
    """Compare probabilities (N,) with how many came true (N,) in bins of equal width.

    ``error`` is the expected calibration error: the mean distance of both over the bins, weighted
    by their counts (Naeini et al. 2015, "Obtaining Well Calibrated Probabilities").
    """
    edges = np.linspace(0, 1, _NUM_BINS + 1)
    number = np.searchsorted(edges[1:-1], probabilities)
    counts = np.bincount(number, minlength=_NUM_BINS)
    total = np.maximum(counts, 1)
    frequency = np.bincount(number, came_true, _NUM_BINS) / total
    probability = np.bincount(number, probabilities, _NUM_BINS) / total
    is_used = counts > 0
    return {
        "probability": probability[is_used].tolist(),
        "frequency": frequency[is_used].tolist(),
        "count": counts[is_used].tolist(),
        "error": float((abs(frequency - probability) * counts).sum() / counts.sum()),
    }


def _scores(
    hits: NDArray[Any], predicted: NDArray[Any], support: NDArray[Any], names: Sequence[str]
) -> dict[str, Any]:
    """Return scores per class, and their means over the classes that are true or predicted."""
    columns = {
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(predicted + support, 1),
    }
    classes = [
        {"name": name, "support": int(support[n]), **{k: float(v[n]) for k, v in columns.items()}}
        for n, name in enumerate(names)
    ]
    is_used = predicted + support > 0
    return {
        "classes": classes,
        "macro": {name: float(values[is_used].mean()) for name, values in columns.items()},
    }
