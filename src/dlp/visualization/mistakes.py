"""Figures of mistakes: confusion matrix, reliability diagram, residuals."""

from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from dlp.evaluation.mistakes import Mistakes

_MAX_NUMBERED = 15  # cells of larger matrices hold no numbers


def draw_mistakes(mistakes: Mistakes) -> dict[str, Figure]:
    """Draw ``residuals`` of values; ``reliability`` of classes and labels, and ``confusion``."""
    if mistakes.report["task"] == "regression":
        return {"residuals": draw_residuals(mistakes.report)}
    figures = {"reliability": draw_reliability(mistakes.report["calibration"])}
    if "confusion" in mistakes.report:
        figures["confusion"] = draw_confusion(mistakes.report)
    return figures


def draw_confusion(report: dict[str, Any]) -> Figure:
    """Draw the confusion matrix, coloured by the share of each true class."""
    counts = np.array(report["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [_plain(row["name"]) for row in report["classes"]]
    has_numbers = len(names) <= _MAX_NUMBERED
    side = 2.4 + 0.55 * max(len(names), 3) if has_numbers else max(8.0, 0.12 * len(names))
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
    # The square root makes one confusion in a hundred visible.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    size = 10 if has_numbers else 6
    is_turned = not has_numbers or max(map(len, names)) > 5
    axes.set_xticks(range(len(names)), names, fontsize=size, rotation=90 * is_turned)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="predicted", ylabel="true")
    for row, column in np.ndindex(counts.shape) if has_numbers else ():
        colour = "white" if shares[row, column] > 0.3 else "black"
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    figure.suptitle(f"{report['wrong']:,} of {report['rows']:,} rows are wrong")
    return figure


def draw_reliability(calibration: dict[str, Any]) -> Figure:
    """Draw frequencies over predicted probabilities, above the number of rows per bin."""
    figure = Figure(figsize=(5.4, 5.4), layout="constrained")
    curve, bars = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    names = ("probability", "frequency", "count")
    probability, frequency, count = (np.array(calibration[name]) for name in names)
    error = np.sqrt(frequency * (1 - frequency) / count)
    curve.plot([0, 1], [0, 1], "--", color="grey", label="perfectly calibrated")
    curve.errorbar(probability, frequency, error, fmt="-o", label="model, standard error")
    curve.set_ylabel("frequency")
    curve.legend(loc="upper left")
    bars.bar(probability, count, 0.06, alpha=0.6)
    bars.set(xlabel="predicted probability", ylabel="rows", xlim=(-0.03, 1.03))
    for axes in (curve, bars):
        axes.grid(alpha=0.3)
    figure.suptitle(f"expected calibration error {calibration['error']:.3f}")
    return figure


def draw_residuals(report: dict[str, Any]) -> Figure:
    """Draw predicted over true values and the distribution of residuals, a row per target."""
    columns = report["targets"]
    figure = Figure(figsize=(9.6, 4.2 * len(columns)), layout="constrained")
    grid = figure.subplots(len(columns), 2, squeeze=False)
    pairs = zip(report["true"], report["predicted"], strict=True)
    for (points, bars), column, (true, predicted) in zip(grid, columns, pairs, strict=True):
        name = _plain(column["name"])
        points.scatter(true, predicted, 16, alpha=0.6, linewidth=0)
        points.axline((true[0], true[0]), slope=1, color="grey", linestyle="--")
        points.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted")
        bars.hist(np.subtract(predicted, true), bins=30, alpha=0.6)
        bars.axvline(0, color="grey", linestyle="--")
        bars.set(xlabel=f"{name}, predicted - true", ylabel="rows")
        bars.set_title(f"MAE {column['mae']:.4g}, mean residual {column['mean_residual']:.3g}")
        for axes in (points, bars):
            axes.grid(alpha=0.3)
    figure.suptitle(f"{report['rows']:,} rows")
    return figure


def _plain(text: str) -> str:
    """Shorten a name; a pair of dollars would be mathematics."""
    return (text if len(text) <= 24 else f"{text[:23]}…").replace("$", r"\$")
