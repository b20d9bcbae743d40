"""What a model gets wrong, drawn: confusion matrix, reliability, residuals, the worst mistakes.

scikit-learn's displays would save a few lines of each and show less: no rows beside shares, no
interval nor number of rows at a probability, no largest errors; and its confusion matrix of 10,000
classes takes 10 s and 800 MB, ours, of the cells that hold rows, less than a millisecond.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from dlp.evaluation.calibration import BINS, wilson_interval
from dlp.evaluation.mistakes import (
    ClassificationMistakes,
    MultilabelMistakes,
    RegressionMistakes,
    WrongClass,
    WrongValue,
)
from dlp.number_words import in_words
from dlp.visualization.comparison import COLOURS
from dlp.visualization.image_grids import image_grid

BLUE, ORANGE, GREEN = COLOURS[:3]
#: Cells of larger matrices hold no numbers, and the pairs most often confused are listed instead.
_NUMBERED = 15
#: Of more classes only those with most mistakes are drawn.
_MATRIX = 200
#: So many classes are named; of more, every second or third one and so on.
_NAMED = 60
_PAIRS = 12
#: Targets that are drawn, of many.
_TARGETS = 6


def confusion_figure(
    mistakes: ClassificationMistakes | MultilabelMistakes, title: str = ""
) -> Figure:
    """Return the confusion matrix, coloured by the share of each true class.

    Up to 15 classes have the number of rows in each cell; beyond, the pairs most often confused
    are listed beside it, and beyond 200 only the 60 with most mistakes are drawn. Labels that do
    not exclude each other have a bar each instead: found, missed, and given wrongly; of many those
    that are found worst.

    Args:
        mistakes: What was predicted.
        title: Of the figure.
    """
    if isinstance(mistakes, MultilabelMistakes):
        return _label_bars(mistakes, title)
    found, total = mistakes.confusion, len(mistakes.class_names)
    drawn = np.arange(total) if total <= _MATRIX else found.most_mistaken(_NAMED)
    names = [_short(mistakes.class_names[number]) for number in drawn]
    count = len(names)
    numbers = found.matrix(drawn)
    with np.errstate(invalid="ignore"):  # a class without rows
        shares = numbers / found.counts.sum(axis=1)[drawn, None]
    is_large = count > _NUMBERED
    side = 7.6 if is_large else 2.4 + 0.55 * max(count, 3)
    pairs = _pairs(mistakes) if is_large else []
    listed = 0.4 + 0.09 * max(map(len, pairs), default=0) if is_large else 0.0  # inches
    width = side + 0.9 + listed
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1 - listed / width, 1))
    figure = Figure(figsize=(width, side), layout=layout)
    axes = figure.subplots()
    if is_large:
        place = 1 - (listed - 0.1) / width
        figure.text(place, 0.9, "\n".join(pairs), va="top", fontsize=9, linespacing=1.7)
    # The square root lets a class that is taken for another one in a hundred times be seen.
    norm = PowerNorm(0.5, 0, 1)
    image = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", norm=norm)
    axes.set_facecolor("0.9")
    step = -(-count // _NAMED)
    points = max(5.0, min(9.0, 330 * step / count)) if is_large else 10
    turned = is_large or max(map(len, names)) > 5
    axes.set_xticks(range(0, count, step), names[::step], fontsize=points, rotation=90 * turned)
    axes.set_yticks(range(0, count, step), names[::step], fontsize=points)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_xticks(np.arange(count - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(count - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.4 if is_large else 1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(numbers.shape) if not is_large else ():
        share, number = shares[row, column], f"{numbers[row, column]:,}"
        colour = "white" if share > 0.3 else "black" if share else "0.6"
        axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02, label="share of the true class")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    bar.set_ticks([0, 0.01, 0.1, 0.25, 0.5, 1])
    right = 1 - mistakes.num_wrong / mistakes.rows
    part = "" if count == total else f"; the {count} of {total:,} classes with most mistakes"
    figure.suptitle(_title(title, f"{right:.1%} of {mistakes.rows:,} right{part}"))
    return figure


def reliability_figure(
    mistakes: ClassificationMistakes | MultilabelMistakes, title: str = ""
) -> Figure:
    """Return how often predicted probabilities came true, above how many there were.

    Each frequency has its 95 % interval: that of few rows says little.

    Args:
        mistakes: What was predicted.
        title: Of the figure.
    """
    calibration = mistakes.calibration
    figure = Figure(figsize=(5.6, 6.0), layout="constrained")
    curve, bars = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    counts = np.array(calibration.counts)
    probability = np.array(calibration.probability, np.float64)[counts > 0]
    frequency = np.array(calibration.frequency, np.float64)[counts > 0]
    low, high = wilson_interval(frequency, counts[counts > 0])
    curve.plot([0, 1], [0, 1], "--", color="grey", linewidth=1, label="perfectly calibrated")
    curve.plot(probability, frequency, "-o", color=BLUE, markersize=6, label="this model")
    curve.vlines(probability, low, high, color=BLUE, alpha=0.4, linewidth=3, label="95 % interval")
    curve.set_ylabel("how often it came true")
    curve.set_ylim(-0.03, 1.03)
    handles, labels = curve.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    bars.bar((np.arange(BINS) + 0.5) / BINS, calibration.counts, 0.92 / BINS, color=BLUE, alpha=0.6)
    bars.set_ylabel("how many")
    bars.set_xlabel(_plain(calibration.of))
    bars.set_xlim(-0.03, 1.03)
    for axes in (curve, bars):
        _lighten(axes)
    figure.suptitle(_title(title, f"expected calibration error {calibration.error:.3f}"))
    return figure


def residual_figure(mistakes: RegressionMistakes, title: str = "") -> Figure:
    """Return predicted against true values, the largest errors ringed, and their residuals.

    Args:
        mistakes: What was predicted; of many targets the first 6 are drawn.
        title: Of the figure.
    """
    scores = mistakes.scores[:_TARGETS]
    size = (9.6, 4.2 * len(scores) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(scores), 2, squeeze=False, width_ratios=[1, 1.1])
    for (points, bars), of, true, predicted in zip(
        grid, scores, mistakes.true, mistakes.predicted, strict=False
    ):
        name = f"{_plain(of.name)}, " if of.name else ""
        dots = 12 if len(true) > 500 else 22
        points.scatter(true, predicted, dots, color=BLUE, alpha=0.6, linewidth=0)
        worst = [wrong for wrong in mistakes.worst if wrong.target == of.name]
        points.scatter(
            [wrong.true for wrong in worst],
            [wrong.predicted for wrong in worst],
            60,
            facecolor="none",
            edgecolor=ORANGE,
            label="largest errors",
        )
        low, high = min(*true, *predicted), max(*true, *predicted)
        points.axline((low, low), (high, high + (high == low)), color="grey", linestyle="--")
        points.set_xlabel(f"{name}true")
        points.set_ylabel(f"{name}predicted")
        points.set_aspect("equal", adjustable="datalim")
        points.legend(loc="upper left", frameon=False)
        residuals = np.subtract(predicted, true)
        bars.hist(residuals, bins=min(40, max(20, len(true) // 8)), color=BLUE, alpha=0.6)
        bars.axvline(0, color="grey", linestyle="--")
        bars.axvline(of.mean_residual, color=ORANGE, label=f"mean {in_words(of.mean_residual)}")
        bars.set_xlabel(f"{name}predicted - true")
        bars.set_ylabel("rows")
        bars.legend(frameon=False)
        explained = "" if of.r2 is None else f", R² {of.r2:.3f}"
        error, root = in_words(of.mae), in_words(of.rmse)
        bars.set_title(f"MAE {error}, RMSE {root}{explained}", fontsize=10)
        for axis, values in ((points.xaxis, true), (points.yaxis, predicted)):
            _legible(axis, np.append(values, [low, high]))
        _legible(bars.xaxis, residuals)
        for axes in (points, bars):
            _lighten(axes)
    figure.suptitle(_title(title, f"{mistakes.rows:,} rows"))
    return figure


def _legible(axis: Axis, values: NDArray[np.float64]) -> None:
    """Let the numbers along an axis be few and short, whatever the unit: 150k, 2M, 3µ.

    Where values differ by little of what they are (times in seconds since 1970), Matplotlib's own
    way stays: it takes away what they have in common.
    """
    axis.set_major_locator(MaxNLocator(5))
    largest = float(abs(values).max(initial=0))
    if largest and np.ptp(values) > largest / 100 and not 1e-2 <= largest < 1e4:
        axis.set_major_formatter(EngFormatter(sep=""))


def worst_figure(
    worst: Sequence[WrongClass | WrongValue], images: Tensor, title: str = ""
) -> Figure:
    """Return the images of the worst mistakes, each under what it is and was taken for.

    Args:
        worst: The mistakes.
        images: The image of each, (n, 1 or 3, H, W) in [0, 1].
        title: Of the figure.
    """
    figure = image_grid(images, [_caption(wrong) for wrong in worst])
    figure.suptitle(_title(title, "true → predicted"))
    return figure


def _label_bars(mistakes: MultilabelMistakes, title: str) -> Figure:
    """Return a bar for each label: found, missed and given wrongly."""
    scores, total = mistakes.scores, len(mistakes.class_names)
    # The lowest F1 of those that occur; a label that nothing has says little.
    by_f1 = sorted(range(total), key=lambda label: (not scores[label].support, scores[label].f1))
    labels = sorted(by_f1[:_NAMED])
    names = [_short(mistakes.class_names[label]) for label in labels]
    figure = Figure(figsize=(7.5, 1.6 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots()
    found, wrong, missed, _ = np.array(mistakes.counts)[labels].T
    places = range(len(names))
    axes.barh(places, found, color=BLUE, label="has it, found")
    axes.barh(places, missed, left=found, color=COLOURS[5], label="has it, missed")
    axes.barh(places, -wrong, color=ORANGE, label="lacks it, given")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes.set_xlabel("rows")
    right = axes.secondary_yaxis("right")
    right.set_yticks(places, [f"F1 {scores[label].f1:.2f}" for label in labels])
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    _lighten(axes)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    part = "" if len(labels) == total else f"; the {len(labels)} of {total:,} labels found worst"
    figure.suptitle(_title(title, f"{mistakes.rows:,} rows{part}"))
    return figure


def _pairs(mistakes: ClassificationMistakes) -> list[str]:
    support = {scores.name: scores.support for scores in mistakes.scores}
    lines = [
        f"{_short(true)} → {_short(taken)}  {number:,} of {support[true]:,}"
        for true, taken, number in mistakes.most_confused(_PAIRS)
    ]
    return ["most often confused:", *lines] if lines else ["nothing was confused"]


def _caption(wrong: WrongClass | WrongValue) -> str:
    if isinstance(wrong, WrongValue):
        return _plain(wrong.caption)
    names = f"{_short(wrong.true)} → {_short(wrong.predicted)}"
    probability = wrong.caption.rpartition(f"{wrong.predicted} ")[2]
    return f"{names}\n{probability}"


def _title(*parts: str) -> str:
    return ": ".join(_plain(part) for part in parts if part)


def _short(name: str) -> str:
    return _plain(name if len(name) <= 24 else f"{name[:23]}…")


def _plain(text: str) -> str:
    """Return a text that Matplotlib takes as it is: a pair of dollars would be mathematics."""
    return text.replace("$", r"\$")


def _lighten(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
