"""Figures of mistakes: confusion matrix, ROC curve, reliability diagram, predicted values."""

from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from dlp.evaluation.mistakes import Mistakes, Report

_MAX_NUMBERED = 15  # number of classes; the cells of larger matrices show no numbers
#: Scale of the axes by the transform of the targets. Targets with ``log1p`` may be zero, which a
#: logarithmic axis cannot show.
_SCALES = {"none": "linear", "log": "log", "log1p": "symlog"}
_REFERENCE: dict[str, Any] = {"color": "grey", "linestyle": "--"}


def draw_mistakes(mistakes: Mistakes) -> dict[str, Figure]:
    """Draw the figures of a model's mistakes.

    Returns:
        Figures by name. A model of values has the figure ``values``. A model of classes or labels
        has ``reliability``, and also ``confusion`` and ``roc`` if the report contains them.
    """
    report = mistakes.report
    if report["task"] == "regression":
        return {"values": draw_values(report)}
    figures = {"reliability": draw_reliability(report["calibration"])}
    if "confusion" in report:
        figures["confusion"] = draw_confusion(report)
    if "roc" in report:
        figures["roc"] = draw_roc(report)
    return figures


def draw_confusion(report: Report) -> Figure:
    """Draw the confusion matrix. The colour of a cell is its share of the true class."""
    counts = np.array(report["confusion"])
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    names = [_short(entry["name"]) for entry in report["classes"]]
    is_numbered = len(names) <= _MAX_NUMBERED
    cell = 0.55 if is_numbered else 0.12  # inches
    side = 2.7 + cell * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    # The square root makes a cell visible that contains only one row in a hundred.
    axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=90)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    title = f"{report['wrong']:,} of {report['rows']:,} rows are wrong"
    if report.get("threshold", 0.5) != 0.5:
        title += f"\nat the threshold {report['threshold']:.3g}"
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for (row, column), count in np.ndenumerate(counts) if is_numbered else ():
        colour = "white" if shares[row, column] > 0.3 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    return figure


def draw_roc(report: Report) -> Figure:
    """Draw the ROC curve of a binary classifier, whose positive class is class 1."""
    other, name = [_short(entry["name"]) for entry in report["classes"]]
    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*report["roc"])
    axes.axline((0, 0), slope=1, **_REFERENCE)
    axes.set(xlabel=f"share of “{other}” taken for “{name}”", ylabel=f"share of “{name}” found")
    return figure


def draw_reliability(calibration: Report) -> Figure:
    """Draw the reliability diagram of a classifier.

    The upper panel shows the observed frequency over the predicted probability. The lower panel
    shows the number of rows in each bin.
    """
    figure = Figure(figsize=(5.4, 5.4), layout="constrained")
    curve, bars = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    probability = calibration["probability"]
    frequency = np.array(calibration["frequency"])
    count = calibration["count"]
    error = np.sqrt(frequency * (1 - frequency) / count)
    curve.axline((0, 0), slope=1, label="perfectly calibrated", **_REFERENCE)
    curve.errorbar(probability, frequency, error, fmt="-o", label="model, standard error")
    curve.set(ylabel="frequency", ylim=(-0.03, 1.03))
    curve.legend(loc="upper left")
    bars.bar(probability, count, 0.06, alpha=0.6)
    bars.set(xlabel="predicted probability", ylabel="rows", xlim=(-0.03, 1.03))
    figure.suptitle(f"expected calibration error {calibration['error']:.3f}")
    return figure


def draw_values(report: Report) -> Figure:
    """Draw the predicted values over the true values, one panel per target.

    Both axes of a panel have the same range. They are logarithmic if the model learned the
    logarithm of the targets.
    """
    targets = report["targets"]
    figure = Figure(figsize=(4.6 * len(targets), 4.6), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False)[0]
    for number, axes in enumerate(panels):
        true = report["true"][number]
        predicted = report["predicted"][number]
        name = _short(targets[number]["name"])
        axes.scatter(true, predicted, 16, alpha=0.6, linewidth=0)
        ends = [min(true + predicted), max(true + predicted)]
        axes.plot(ends, ends, **_REFERENCE)
        axes.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted")
        axes.set_box_aspect(1)
        scale = _SCALES[report.get("transform", "none")]
        if scale == "linear":
            axes.locator_params(axis="x", nbins=6)  # labels of large values are long
        else:
            axes.set(xscale=scale, yscale=scale)
        limits = [*axes.get_xlim(), *axes.get_ylim()]
        axes.set(xlim=(min(limits), max(limits)), ylim=(min(limits), max(limits)))
    return figure


def _short(name: str) -> str:
    """Shorten a name, and escape dollar signs, between which Matplotlib expects a formula."""
    if len(name) > 24:
        name = f"{name[:23]}…"
    return name.replace("$", r"\$")
