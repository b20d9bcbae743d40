"""Mistakes of a model: confused classes, scores per class, calibration, threshold, worst rows.

The worst rows are the rows in which the true class or label has the lowest probability. These are
also the rows whose label is most likely wrong: the probability is the self-confidence in Northcutt
et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".
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
#: Largest number of points in the scatter plot of values. They are spread evenly over the rows.
_MAX_POINTS = 2000


class Mistakes(NamedTuple):
    """Mistakes on the rows of a part: the content of two files.

    ``mistakes.json`` contains the report, whose ``summary`` says in plain words how good the model
    is. ``worst.csv`` contains the first of the wrong rows, sorted from the worst on. Its columns
    are ``row`` (the position of the row in the part), ``true``, ``predicted`` and, for classes,
    ``probability``, the predicted probability of the true class.
    """

    report: Report
    worst: pd.DataFrame


def class_mistakes(
    probabilities: Array, targets: Array, names: Names, threshold: float = 0.5, guess: int = 0
) -> Mistakes:
    """Analyse the predictions of a model for rows with one class each.

    Args:
        probabilities: Predicted probabilities, (N, C).
        targets: Numbers of the true classes, (N,).
        names: Names of the C classes.
        threshold: Probability above which class 1 of two classes is predicted. With more classes,
            the one with the largest probability is predicted.
        guess: Number of the most frequent class in training. The summary compares the model with
            always guessing this class.
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
    """Return the scores of class 1 of two, and the accuracies of model and constant guess."""
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
    """Return the share of right rows at the threshold 0.5, if the model has another threshold."""
    if report.get("threshold", 0.5) == 0.5:
        return ""
    return f" ({1 - report['wrong_at_0.5'] / report['rows']:.1%} at the threshold 0.5)"


def label_mistakes(
    probabilities: Array, targets: Array, names: Names, threshold: float = 0.5
) -> Mistakes:
    """Analyse the predictions of a model for rows with any number of labels.

    The worst label of a row, in which the truth has the lowest probability, represents the row in
    the list of the worst rows.

    Args:
        probabilities: Predicted probability of each label, (N, C).
        targets: 1 for a label that the row has and 0 for another label, (N, C).
        names: Names of the C labels.
        threshold: Probability above which a label is predicted.
    """
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

    The worst rows are the rows with the largest errors, measured in standard deviations of the
    target.

    Args:
        values: Predicted values (N, T) in the unit of the targets.
        targets: True values (N, T).
        names: Names of the targets.
        median: Median of each target in training. The model is compared with always guessing it.
            None takes the median of these rows.
        transform: Transform of the targets in training. If it is a logarithm, the axes of the
            figure are logarithmic.
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
    """Return the mean error of the model for a target, and the mean error of the median."""
    error = digits(target["mae"])
    guess = digits(target["mae_of_median"])
    return f"misses {target['name']} by {error} on average, always guessing the median by {guess}"


def calibration(probabilities: Array, targets: Array) -> Report:
    """Compare probabilities (N, C) with the observed frequency in bins of equal width.

    For two classes, the probabilities of class 1 are compared; for more classes, the probabilities
    of the predicted class of each row; and for labels, the probabilities of all labels.

    Args:
        probabilities: Predicted probabilities, (N, C).
        targets: Classes (N,) or labels (N, C).

    Returns:
        ``probability`` and ``frequency`` are the means in each bin, and ``count`` is the number of
        probabilities in it. Empty bins are left out. ``error`` is the expected calibration error:
        the mean distance between probability and frequency over the bins, weighted by their counts
        (Naeini et al. 2015, "Obtaining Well Calibrated Probabilities").
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
    """Return the shares of class 0 and of class 1 that reach each of some decreasing thresholds."""
    cuts = np.append(np.inf, np.quantile(probabilities, np.linspace(1, 0, _NUM_CUTS)))
    shares = []
    for number in (0, 1):
        of_class = np.sort(probabilities[targets == number])
        share = 1 - np.searchsorted(of_class, cuts) / len(of_class)
        shares.append(share.tolist())
    return shares


def best_threshold(probabilities: Array, targets: Array) -> float:
    """Return the threshold with the best balanced accuracy.

    Use the rows of the validation set: on the training set the threshold would be too optimistic,
    and the test set must not influence the model.

    Args:
        probabilities: Predicted probability of class 1, (N,).
        targets: True class, 0 or 1, (N,).
    """
    from sklearn.metrics import roc_curve  # takes a second to import

    false_share, true_share, cuts = roc_curve(targets, probabilities, drop_intermediate=False)
    cut = cuts[1:][(true_share - false_share)[1:].argmax()]  # the first one is infinite
    below = probabilities[probabilities < cut].max(initial=0.0)
    return float(cut + below) / 2


def _report(is_true: Array, is_predicted: Array, names: Names) -> Report:
    """Return the scores of each class, computed from truth and predictions, both (N, C).

    They equal scikit-learn's scores, but scikit-learn takes a second to import.
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
    """Return the wrong rows in increasing order of the probability of the truth."""
    worst = pd.DataFrame(columns)[is_wrong]
    return worst.sort_values("probability", kind="stable", ignore_index=True)
