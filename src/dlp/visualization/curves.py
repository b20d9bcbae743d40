"""Learning curves by epoch, training beside validation: of a fit, and the mean over folds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dlp.smoothing import FIRST_POINTS
from dlp.smoothing import smooth as smooth

if TYPE_CHECKING:  # a command names these functions, and another process calls them
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What is drawn in a panel: the stage, its name in words, its colour.
_STAGES = (("train", "training", "tab:blue"), ("val", "validation", "tab:orange"))


def points(values: Sequence[float], first: int = 1) -> tuple[list[int], list[float]]:
    """Return the epochs that have a finite number, and these numbers.

    Args:
        values: One number an epoch; NaN where it was not measured.
        first: Of which epoch the first number is.
    """
    found = [(n, value) for n, value in enumerate(values, first) if math.isfinite(value)]
    return [n for n, _ in found], [value for _, value in found]


def learning_curves(
    history: Mapping[str, Sequence[float]],
    best_epoch: int | None = None,
    smoothing: float = 0.0,
    title: str = "",
) -> "Figure":
    """Return a figure with one panel for the loss and one for each metric.

    Args:
        history: Metric name (``train_loss``, ``val_acc``, ...) -> one number an epoch.
        best_epoch: The epoch, from 1, to mark with a line.
        smoothing: Factor of the moving average drawn over the faint raw curve; 0 draws raw alone.
        title: Of the figure.
    """
    from matplotlib.figure import Figure

    panels = panels_of(history)
    figure = Figure(figsize=(5.2 * len(panels), 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for stage, label, colour in _STAGES:
            values = history.get(f"{stage}_{name}")
            if not values:
                continue
            marker = "o" if len(points(values)[0]) <= 40 else ""
            if smoothing:
                axes.plot(*points(values), color=colour, alpha=0.25)
                axes.plot(*points(smooth(values, smoothing)), color=colour, label=label)
            else:
                axes.plot(*points(values), color=colour, marker=marker, markersize=4, label=label)
        _finish_panel(axes, name, best_epoch)
    if title:
        figure.suptitle(title)
    return figure


def fold_curves(
    curves: Mapping[str, Sequence[float]],
    spreads: Mapping[str, Sequence[float]],
    best: tuple[str, int] | None = None,
    smoothing: float = 0.9,
    title: str = "",
) -> "Figure":
    """Return a figure of the mean over folds by epoch; a column for each metric.

    Above: the mean with the standard deviation over folds as a band. Below, for 30 epochs or more:
    the mean without its first 10 points, and its moving average (section 3.6).

    Args:
        curves: Metric (``val_loss``, ...) -> its mean over the folds by epoch.
        spreads: The same of the standard deviation.
        best: A metric, and the epoch, from 1, at which its mean curve is best: marked by a line.
        smoothing: Factor of the moving average.
        title: Of the figure.
    """
    from matplotlib.figure import Figure

    panels = panels_of(curves)
    epochs = max(map(len, curves.values()), default=0)
    rows = 2 if epochs >= 3 * FIRST_POINTS else 1
    size = (5.2 * len(panels), 3.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, len(panels), squeeze=False)
    for column, name in enumerate(panels):
        for stage, label, colour in _STAGES:
            if not (values := curves.get(f"{stage}_{name}")):
                continue
            spread, axes = spreads[f"{stage}_{name}"], grid[0][column]
            x, means = points(values)
            low = [mean - spread[epoch - 1] for epoch, mean in zip(x, means, strict=True)]
            high = [mean + spread[epoch - 1] for epoch, mean in zip(x, means, strict=True)]
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(x, means, color=colour, linewidth=1.3, label=f"{label}, mean of folds")
            if rows == 2:
                axes, first, kept = grid[1][column], FIRST_POINTS + 1, values[FIRST_POINTS:]
                smoothed = points(smooth(kept, smoothing), first)
                axes.plot(*points(kept, first), color=colour, alpha=0.25)
                axes.plot(*smoothed, color=colour, label=f"{label}, smoothed")
        marked = best[1] if best is not None and best[0].endswith(f"_{name}") else 0
        for axes, skipped in zip(grid[:, column], (0, FIRST_POINTS), strict=False):
            _finish_panel(axes, name, marked if marked > skipped else None)
    if title:
        figure.suptitle(title)
    return figure


def _finish_panel(axes: "Axes", name: str, best_epoch: int | None) -> None:
    """Name what stands along the axes of a panel and its curves, and mark the best epoch."""
    from matplotlib.ticker import MaxNLocator

    if best_epoch is not None:
        axes.axvline(best_epoch, color="grey", linestyle="--", label=f"best: epoch {best_epoch}")
    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()


def panels_of(logged: Iterable[str]) -> list[str]:
    """Return the metrics of training and validation, a panel for each, losses first."""
    names = {name.partition("_")[2] for name in logged if name.startswith(("train_", "val_"))}
    panels = sorted(names - {"data_loss"}, key=lambda name: (not name.endswith("loss"), name))
    return panels or ["loss"]
