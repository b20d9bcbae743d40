"""Mistakes of a model: confused classes, scores per class, calibration, threshold, worst rows.

The lower the probability of the true class or label, the worse is a row. That is also the order in
which labels are in doubt, the self-confidence of Northcutt et al. 2021, "Confident Learning:
Estimating Uncertainty in Dataset Labels".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dlp.console import digits
from dlp.datamodules.rows import Array
from dlp.reader.answer import decide
from dlp.reader.encoder import PlainValues
from dlp.reader.transforms import TargetTransform

#: Names of the classes, labels or target columns.
Names = Sequence[str]
#: Content of ``mistakes.json``.
Report = PlainValues

_NUM_BINS = 10
_NUM_CUTS = 101
#: Points of the scatter of values, spread evenly over the rows.
_MAX_POINTS = 2000


class Mistakes(NamedTuple):
    """Mistakes on the rows of a part: the content of two files.

    ``mistakes.json`` has the report, whose ``summary`` says in plain words how good the model is;
    ``worst.csv`` the first of the wrong rows, the worst first: ``row`` (its position in the part),
    ``true``, ``predicted`` and, for classes, the ``probability`` of the true one.
    """

    report: Report
    worst: pd.DataFrame


def class_mistakes(
    probabilities: Array, targets: Array, names: Names, threshold: float = 0.5, guess: int = 0
) -> Mistakes:
    """Analyse probabilities (N, C) of one class (N,) per row.

    Class 1 of two is predicted above the threshold. The model is compared with a constant guess,
    the number of the commonest class in training.
    """
    predicted = decide(probabilities, threshold)
    is_class = np.eye(len(names), dtype=bool)
    confusion = np.zeros(is_class.shape, np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    report = {
        "task": "classification",
        **_report(is_class[targets], is_class[predicted], names),
        "confusion": confusion.tolist(),
        "calibration": calibration(probabilities, targets),
    }
    if len(names) == 2:
        report["threshold"] = threshold
        report["wrong_at_0.5"] = int((decide(probabilities) != targets).sum())
    report["summary"] = _class_summary(report, guess)
    if len(names) == 2 and len(np.unique(targets)) == 2:
        report["roc"] = _roc(probabilities[:, 1], targets)
    index = np.arange(len(targets))
    columns = {
        "row": index,
        "true": np.array(names)[targets],
        "predicted": np.array(names)[predicted],
        "probability": probabilities[index, targets],
    }
    return Mistakes(report, _worst(columns, predicted != targets))


def _class_summary(report: Report, guess: int) -> str:
    """Return the scores of class 1 of two, and those of the model next to a constant answer."""
    num_rows = report["rows"]
    classes = report["classes"]
    summary = ""
    if len(classes) == 2:
        sought = classes[1]
        found = round(sought["recall"] * sought["support"])
        summary += f"finds {found:,} of {sought['support']:,} “{sought['name']}”"
        summary += f" at the threshold {report['threshold']:.3g}"
        if found:
            summary += f" and is right in {sought['precision']:.1%} of those that it names"
        summary += "; "
    right = 1 - report["wrong"] / num_rows
    summary += f"{right:.1%} of {num_rows:,} rows are right{_at_half(report)}; "
    common = classes[guess]
    share = common["support"] / num_rows
    return f"{summary}always saying “{common['name']}” is right in {share:.1%}"


def _at_half(report: Report) -> str:
    """Return the share of rows that are right at the threshold 0.5, if the threshold is another."""
    if report.get("threshold", 0.5) == 0.5:
        return ""
    return f" ({1 - report['wrong_at_0.5'] / report['rows']:.1%} at the threshold 0.5)"


def label_mistakes(
    probabilities: Array, targets: Array, names: Names, threshold: float = 0.5
) -> Mistakes:
    """Analyse labels; in a row the one with the least probable truth counts."""
    has_label = targets > 0.5
    predicted = probabilities > threshold
    is_wrong = predicted != has_label
    report = {
        "task": "multilabel",
        **_report(has_label, predicted, names),
        "threshold": threshold,
        "wrong_at_0.5": int(((probabilities > 0.5) != has_label).any(axis=1).sum()),
        "calibration": calibration(probabilities, targets),
    }
    report["summary"] = f"finds {(has_label & predicted).sum():,} of {has_label.sum():,} labels"
    if threshold != 0.5:
        report["summary"] += f" at the threshold {threshold:.3g}"
    report["summary"] += (
        f"; {1 - report['wrong'] / report['rows']:.1%} of {report['rows']:,} rows are all right"
        f"{_at_half(report)}"
    )
    errors = np.where(is_wrong, abs(probabilities - has_label), 0)
    index = np.arange(len(targets))
    label = errors.argmax(axis=1)
    answers = np.array([(f"not {name}", name) for name in names])
    columns = {
        "row": index,
        "true": answers[label, has_label[index, label].astype(int)],
        "predicted": answers[label, predicted[index, label].astype(int)],
        "probability": 1 - errors[index, label],
    }
    return Mistakes(report, _worst(columns, is_wrong.any(axis=1)))


def value_mistakes(
    values: Array,
    targets: Array,
    names: Names,
    median: Sequence[float] | Array | None = None,
    transform: TargetTransform = "none",
) -> Mistakes:
    """Analyse predicted values.

    The rows with the largest errors, in deviations of their target, are the worst.

    Args:
        values: Predicted values (N, T) in the unit of the targets.
        targets: True values (N, T).
        names: Names of the targets.
        median: Constant guess of each target that the model is compared with, the median in
            training; None is the median of these rows.
        transform: Logarithm of the targets that the model learned, which the figure shows.
    """
    if median is None:
        median = np.median(targets, axis=0)
    errors = abs(values.astype(np.float64) - targets)
    scores = {
        "name": names,
        "mae": errors.mean(axis=0),
        "mae_of_median": abs(targets - median).mean(axis=0),
    }
    step = len(targets) // _MAX_POINTS + 1
    report = {
        "task": "regression",
        "rows": len(targets),
        "transform": transform,
        "targets": pd.DataFrame(scores).to_dict("records"),
        "true": targets[::step].T.tolist(),
        "predicted": values[::step].T.tolist(),
    }
    report["summary"] = "; ".join(map(_value_summary, report["targets"]))
    deviation = targets.std(axis=0)
    deviation[deviation == 0] = 1
    errors /= deviation
    index = np.argsort(-errors.max(axis=1), kind="stable")
    target = errors[index].argmax(axis=1)
    worst = {"row": index, "true": targets[index, target], "predicted": values[index, target]}
    if len(names) > 1:
        worst["target"] = np.array(names)[target]
    return Mistakes(report, pd.DataFrame(worst))


def _value_summary(target: PlainValues) -> str:
    """Return the mean error of a target, next to that of a constant answer."""
    error = digits(target["mae"])
    guess = digits(target["mae_of_median"])
    return f"misses {target['name']} by {error} on average, always guessing the median by {guess}"


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
        is_true = targets > 0.5
    elif probabilities.shape[1] == 2:
        is_true = targets == 1
        probabilities = probabilities[:, 1]
    else:
        is_true = targets == probabilities.argmax(axis=1)
        probabilities = probabilities.max(axis=1)
    frame = pd.DataFrame({"probability": probabilities.ravel(), "frequency": is_true.ravel()})
    bins = frame.groupby(np.ceil(frame["probability"] * _NUM_BINS).clip(1))
    means = bins.mean()
    distances = abs(means["frequency"] - means["probability"])
    return {
        "probability": means["probability"].tolist(),
        "frequency": means["frequency"].tolist(),
        "count": bins.size().tolist(),
        "error": float(np.average(distances, weights=bins.size())),
    }


def _roc(probabilities: Array, targets: Array) -> list[list[float]]:
    """Return the shares of the rows of class 0 and of class 1 from each of some thresholds on."""
    cuts = np.append(np.inf, np.quantile(probabilities, np.linspace(1, 0, _NUM_CUTS)))
    shares = []
    for number in (0, 1):
        of_class = np.sort(probabilities[targets == number])
        share = 1 - np.searchsorted(of_class, cuts) / len(of_class)
        shares.append(share.tolist())
    return shares


def best_threshold(probabilities: Array, targets: Array) -> float:
    """Return the threshold with the best balanced accuracy; choose it on the validation part.

    Args:
        probabilities: Probability of class 1, (N,).
        targets: 0 or 1, (N,).
    """
    from sklearn.metrics import roc_curve  # it takes a second to import

    false_share, true_share, cuts = roc_curve(targets, probabilities, drop_intermediate=False)
    cut = cuts[1:][(true_share - false_share)[1:].argmax()]  # the first one is infinite
    below = probabilities[probabilities < cut].max(initial=0.0)
    return float(cut + below) / 2


def _report(is_true: Array, is_predicted: Array, names: Names) -> Report:
    """Return the scores of each class, which are scikit-learn's: its import takes a second.

    Truth and predictions are (N, C).
    """
    support = is_true.sum(axis=0)
    num_predicted = is_predicted.sum(axis=0)
    hits = (is_true & is_predicted).sum(axis=0)
    scores = {
        "name": names,
        "support": support,
        "precision": hits / np.maximum(num_predicted, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(num_predicted + support, 1),
    }
    return {
        "rows": len(is_true),
        "wrong": int((is_true != is_predicted).any(axis=1).sum()),
        "classes": pd.DataFrame(scores).to_dict("records"),
    }


def _worst(columns: dict[str, Array], is_wrong: Array) -> pd.DataFrame:
    """Return the wrong rows, those whose truth is the least probable first."""
    worst = pd.DataFrame(columns)[is_wrong]
    return worst.sort_values("probability", kind="stable", ignore_index=True)
