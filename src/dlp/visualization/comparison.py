"""Several runs in one figure: by epoch, as in section 4.4, or against one of their settings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from dlp.errors import InputError
from dlp.runs.record import Setting
from dlp.visualization.curves import points

#: Told apart with any kind of colour vision (Okabe and Ito, 2008); its yellow is too pale a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
Dashes = Literal["-", "--", ":", "-."]
_DASHES: tuple[Dashes, ...] = ("-", "--", ":", "-.")  # where there are more runs than colours
_STAGES = {"train": "training", "val": "validation", "test": "test"}
_WORDS = {"acc": "accuracy", "mae": "mean absolute error", "auroc": "AUROC", "f1": "F1"}
#: Marker -> its size in points: both look equally large.
_SIZE = {"X": 8.5, "o": 6.5}
#: More markers than this on one curve hide it.
_MARKERS = 25
#: More values than this are not all written below the axis.
_TICKS = 12

Curves = Mapping[str, Sequence[float]]


def compare_runs(
    histories: Mapping[str, Sequence[Curves]],
    metrics: Sequence[str] = ("val_loss",),
    title: str = "",
) -> Figure:
    """Return a figure with a row for each metric: validation, and training beside it.

    The first label has crosses, the others dots, as in the book. Several histories of one label
    (seeds) are thin lines, and their mean is the bold one, over the epochs that all of them have.

    Args:
        histories: Label for the legend -> the histories of its runs: metric -> number by epoch.
        metrics: Metrics to draw; one such as ``val_loss`` has ``train_loss`` beside it, where that
            was recorded.
        title: Of the figure.

    Raises:
        InputError: A metric that no history has.
    """
    known = {name for runs in histories.values() for history in runs for name in history}
    for metric in metrics:
        if metric not in known:
            raise InputError(f"no run has the metric {metric!r}; they have {', '.join(known)}.")
    pairs = [(metric, f"train_{metric.removeprefix('val_')}") for metric in metrics]
    rows = [[name for name in dict.fromkeys(pair) if name in known] for pair in pairs]
    columns = max(map(len, rows))
    figure, grid = _panels(len(rows), columns, title)
    for panels, names in zip(grid, rows, strict=True):
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        for axes, name in zip(panels, names, strict=False):
            for number, (label, runs) in enumerate(histories.items()):
                _draw_curves(axes, number, label, [run[name] for run in runs if name in run])
            axes.set_xlabel("epoch")
            axes.set_ylabel(metric_words(name))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _add_legend(figure, list(histories))
    return figure


def compare_settings(
    points: Mapping[str, Mapping[str, Sequence[tuple[Setting, float]]]],
    setting: str,
    open_label: str = "null",
    title: str = "",
) -> Figure:
    """Return a figure with a panel for each metric: every run's number against a setting.

    Numbers stand at their place (on a log axis, if they span a factor of 10), names and lists side
    by side; a run that left the setting open stands at the right end. Lines join the means.

    Args:
        points: Metric -> label for the legend -> the setting and the number of each run.
        setting: Name of the setting, below the axis.
        open_label: What to write where the setting is None.
        title: Of the figure.
    """
    figure, grid = _panels(1, len(points), title)
    labels = list(dict.fromkeys(label for series in points.values() for label in series))
    for axes, (metric, series) in zip(grid[0], points.items(), strict=True):
        every = [value for runs in series.values() for value, _ in runs]
        places = _place(axes, every, open_label)
        for label, runs in series.items():
            number = labels.index(label)
            at = [(places[value], result) for value, result in runs]
            means = sorted((x, fmean(y for other, y in at if other == x)) for x in dict(at))
            colour, dash, _ = _style(number)
            axes.plot(
                *zip(*means, strict=True),
                dash,
                color=colour,
                linewidth=1.8,
                marker="o",
                markersize=8,
                markerfacecolor="white",
                label=label,
            )
            axes.plot(*zip(*at, strict=True), "o", color=colour, markersize=3.5)
        axes.set_xlabel(setting)
        axes.set_ylabel(f"best {metric_words(metric)}")
    _add_legend(figure, labels)
    return figure


def metric_words(metric: str) -> str:
    """Return a metric in words: ``validation accuracy`` for ``val_acc``."""
    stage, _, name = metric.partition("_")
    if stage not in _STAGES or not name:
        return metric
    return f"{_STAGES[stage]} {_WORDS.get(name, name.replace('_', ' '))}"


def _panels(rows: int, columns: int, title: str) -> tuple[Figure, list[list[Axes]]]:
    """Return an empty figure and its axes, by row and column."""
    figure = Figure(figsize=(max(5.2 * columns, 6.0), 3.8 * rows + 0.4), layout="constrained")
    grid: list[list[Axes]] = figure.subplots(rows, columns, squeeze=False).tolist()
    for axes in (axes for panels in grid for axes in panels):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title)
    return figure, grid


def _style(number: int) -> tuple[str, Dashes, str]:
    """Return colour, dashes and marker of the label `number`, from 0."""
    dash = _DASHES[number // len(COLOURS) % len(_DASHES)]
    return COLOURS[number % len(COLOURS)], dash, "o" if number else "X"


def _draw_curves(axes: Axes, number: int, label: str, runs: Sequence[Sequence[float]]) -> None:
    """Draw the curves of one label and their mean."""
    if not runs:
        return
    colour, dash, marker = _style(number)
    several = len(runs) > 1
    for values in runs if several else ():
        axes.plot(*points(values), dash, color=colour, linewidth=0.8, alpha=0.5)
    epochs, mean = points([fmean(epoch) for epoch in zip(*runs, strict=False)])
    axes.plot(
        epochs,
        mean,
        dash,
        color=colour,
        linewidth=2.2 if several else 1.4,
        marker=marker,
        markersize=_SIZE[marker],
        markeredgecolor="white",
        markeredgewidth=0.7,
        markevery=math.ceil(len(mean) / _MARKERS) or 1,
        label=label,
    )


def _add_legend(figure: Figure, labels: Sequence[str]) -> None:
    """Put one legend for all panels above them."""
    lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
    columns = min(len(labels), max(1, round(100 / max(map(len, labels)))), 4)
    figure.legend(
        handles=[lines[label] for label in labels if label in lines],
        loc="outside upper center",
        ncols=columns,
        frameon=False,
    )


def _place(axes: Axes, values: Iterable[Setting], open_label: str) -> dict[Setting, float]:
    """Return where each value stands on the axis, which is scaled and labelled accordingly."""
    distinct = list(dict.fromkeys(values))
    numbers = sorted(value for value in distinct if isinstance(value, int | float))
    named = any(isinstance(value, str) for value in distinct)
    if named or not numbers:
        names = [open_label if value is None else _short(value) for value in distinct]
        axes.set_xticks(range(len(distinct)), names)
        axes.set_xlim(-0.5, len(distinct) - 0.5)
        return {value: float(place) for place, value in enumerate(distinct)}
    places: dict[Setting, float] = {value: float(value) for value in numbers}
    low, high = numbers[0], numbers[-1]
    logarithmic = low > 0 and high >= 10 * low
    if None in distinct:
        places[None] = 2 * high if logarithmic else high + ((high - low) / 6 or 1)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    if len(places) <= _TICKS or None in places:
        shown = numbers if len(places) <= _TICKS else [low, high]
        ticks = [places[value] for value in shown] + ([places[None]] if None in places else [])
        names = [_short(value) for value in shown] + ([open_label] if None in places else [])
        axes.set_xticks(ticks, names)
    return places


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
