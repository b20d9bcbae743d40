"""Mistakes of a model: confused classes, scores per class, calibration, and the worst rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.evaluation.threshold import decide

NUM_BINS = 10
#: Points of the scatter of values, spread evenly over the rows.
_NUM_POINTS = 2000


@dataclass(frozen=True)
class Mistakes:
    """Mistakes on the rows of a part.

    Args:
        task: ``classification``, ``multilabel`` or ``regression``.
        summary: The largest mistake in a clause.
        report: Numbers as plain values, the content of ``mistakes.json``.
        worst: The worst rows, each a dictionary with ``row`` (its position in the part), ``true``,
            ``predicted`` and, for classes, ``probability`` of the predicted one.
    """

    task: str
    summary: str
    report: dict[str, Any]
    worst: list[dict[str, Any]]


def class_mistakes(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    names: Sequence[str],
    threshold: float = 0.5,
    num_worst: int = 16,
) -> Mistakes:
    """Analyse predictions of one class per row.

    Args:
        probabilities: Probabilities (N, C).
        targets: Class numbers (N,).
        names: Names of the classes.
        threshold: Probability that class 1 of two must exceed.
        num_worst: Number of the most confident wrong rows that are listed.
    """
    predicted = decide(probabilities, threshold)
    rows = np.arange(len(targets))
    confidence = probabilities[rows, predicted]
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    is_wrong = predicted != targets
    wrong = rows[is_wrong]
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:num_worst]
    summary = f"{len(wrong):,} of {len(rows):,} rows are wrong"
    off_diagonal = confusion - np.diag(np.diag(confusion))
    if len(wrong):
        true, other = divmod(int(off_diagonal.argmax()), len(names))
        count = off_diagonal[true, other]
        summary += f", most often {names[true]} predicted as {names[other]} ({count:,})"
    if len(names) == 2:
        curve = calibration(probabilities[:, 1], targets == 1)
    else:
        curve = calibration(confidence, ~is_wrong)
    report = {
        "task": "classification",
        "rows": len(rows),
        "wrong": len(wrong),
        "threshold": threshold if len(names) == 2 else None,
        **_class_scores(np.diag(confusion), confusion.sum(0), confusion.sum(1), names),
        "confusion": confusion.tolist(),
        "calibration": curve,
    }
    return Mistakes(
        "classification",
        summary,
        report,
        [
            {
                "row": int(row),
                "true": names[targets[row]],
                "predicted": names[predicted[row]],
                "probability": float(confidence[row]),
            }
            for row in worst
        ],
    )


def label_mistakes(
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    names: Sequence[str],
    threshold: float = 0.5,
    num_worst: int = 16,
) -> Mistakes:
    """Analyse predictions of any number of labels per row; probabilities and targets are (N, C)."""
    has, predicted = targets > 0.5, probabilities > threshold
    # The most confident wrong label of each row.
    error = np.where(predicted != has, abs(probabilities - has), 0)
    label = error.argmax(axis=1)
    largest = error.max(axis=1)
    worst = np.argsort(-largest, kind="stable")[: min(num_worst, int((largest > 0).sum()))]
    scores = _class_scores(
        (has & predicted).sum(0), predicted.sum(0), has.sum(0), names, is_macro_of_all=True
    )
    lowest = min(scores["classes"], key=lambda entry: entry["f1"])
    report = {
        "task": "multilabel",
        "rows": len(targets),
        "wrong": int((predicted != has).any(axis=1).sum()),
        "threshold": threshold,
        **scores,
        "calibration": calibration(probabilities.ravel(), has.ravel()),
    }
    return Mistakes(
        "multilabel",
        f"the label with the lowest F1 is {lowest['name']} ({lowest['f1']:.2f})",
        report,
        [
            {
                "row": int(row),
                "true": ("" if has[row, n] else "not ") + names[n],
                "predicted": ("not " if has[row, n] else "") + names[n],
                "probability": float(abs(probabilities[row, n] - (not predicted[row, n]))),
            }
            for row, n in zip(worst, label[worst], strict=True)
        ],
    )


def value_mistakes(
    values: NDArray[Any], targets: NDArray[Any], names: Sequence[str], num_worst: int = 16
) -> Mistakes:
    """Analyse predicted values; values and targets are (N, T) in the unit of the targets."""
    residuals = values.astype(np.float64) - targets
    deviation = targets.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    columns = [
        {
            "name": name,
            "mae": float(abs(residual).mean()),
            "rmse": float(np.sqrt((residual**2).mean())),
            "mean_residual": float(residual.mean()),  # above 0: predictions are too high
        }
        for name, residual in zip(names, residuals.T, strict=True)
    ]
    error = abs(residuals) / deviation
    column = error.argmax(axis=1)
    worst = np.argsort(-error.max(axis=1), kind="stable")[:num_worst]
    points = np.unique(np.linspace(0, len(targets) - 1, _NUM_POINTS).astype(np.int64))
    report = {
        "task": "regression",
        "rows": len(targets),
        "targets": columns,
        "true": targets[points].T.tolist(),
        "predicted": values[points].T.tolist(),
    }
    rows = [
        {"row": int(row), "true": float(targets[row, n]), "predicted": float(values[row, n])}
        | ({"target": names[n]} if len(names) > 1 else {})
        for row, n in zip(worst, column[worst], strict=True)
    ]
    summary = f"the largest error is {rows[0]['true']:.4g} predicted as {rows[0]['predicted']:.4g}"
    return Mistakes("regression", summary, report, rows)


def calibration(probabilities: NDArray[Any], came_true: NDArray[np.bool_]) -> dict[str, Any]:
    """Compare probabilities with frequencies in bins of equal width.

    ``error`` is the expected calibration error: the mean distance of both over the bins, weighted
    by their counts (Naeini et al. 2015, "Obtaining Well Calibrated Probabilities").

    Args:
        probabilities: Predicted probabilities, (N,).
        came_true: Whether each prediction was right, (N,).
    """
    edges = np.linspace(0, 1, NUM_BINS + 1)
    number = np.searchsorted(edges[1:-1], probabilities)
    counts = np.bincount(number, minlength=NUM_BINS)
    total = np.maximum(counts, 1)
    frequency = np.bincount(number, came_true, NUM_BINS) / total
    probability = np.bincount(number, probabilities, NUM_BINS) / total
    is_used = counts > 0
    return {
        "probability": probability[is_used].tolist(),
        "frequency": frequency[is_used].tolist(),
        "count": counts[is_used].tolist(),
        "error": float((abs(frequency - probability) * counts).sum() / counts.sum()),
    }


def _class_scores(
    right: NDArray[Any],
    predicted: NDArray[Any],
    support: NDArray[Any],
    names: Sequence[str],
    is_macro_of_all: bool = False,
) -> dict[str, Any]:
    """Return precision, recall and F1 per class, and their means, as scikit-learn has them.

    Args:
        right: Number of rows rightly predicted as each class, (C,).
        predicted: Number of rows predicted as each class, (C,).
        support: Number of rows of each class, (C,).
        names: Names of the classes.
        is_macro_of_all: Whether ``macro`` counts classes without rows.
    """
    columns = {
        "precision": right / np.maximum(predicted, 1),
        "recall": right / np.maximum(support, 1),
        "f1": 2 * right / np.maximum(predicted + support, 1),
    }
    occurs = np.ones(len(names)) if is_macro_of_all else (predicted + support > 0).astype(float)
    classes = [
        {"name": name, "support": int(support[n])} | {k: float(v[n]) for k, v in columns.items()}
        for n, name in enumerate(names)
    ]
    means = {"macro": occurs, "weighted": support}
    averages = {
        kind: {k: float(np.average(v, weights=weights)) for k, v in columns.items()}
        for kind, weights in means.items()
        if weights.sum()
    }
    return {"classes": classes, **averages}
