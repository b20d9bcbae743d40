"""Curves over the epochs: of one fit, of the mean over folds, and of several runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

#: Values, one per epoch, by the name under which they were logged.
Curves = Mapping[str, Sequence[float]]

_STAGES = (("train", "training"), ("val", "validation"))
#: Colours that colour-blind readers can distinguish (Okabe and Ito 2008). Each curve also gets one
#: of the line styles.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":")
#: Number of epochs at the beginning that a smoothed curve leaves out, as in section 3.6. Their
#: values are so large that changes in later epochs would be invisible.
SKIPPED_EPOCHS = 10


def smooth(curve: ArrayLike, factor: float) -> "pd.Series[float]":
    """Return the exponential moving average of a curve, as in section 3.6 of the book.

    Args:
        curve: Value per epoch. NaN, for an epoch without a value, stays NaN.
        factor: Weight of the previous average, from 0 (no smoothing) to less than 1.
    """
    import pandas as pd  # slow to import, and not needed without smoothing

    curve = pd.Series(curve, dtype=float)
    average = curve.ewm(alpha=1 - factor, adjust=False, ignore_na=True).mean()
    return average.where(curve.notna())


def draw_curves(
    history: Curves,
    best_epoch: int | None = None,
    smoothing: float = 0.0,
) -> Figure:
    """Draw the curves of a fit, one panel per metric.

    Args:
        history: Value per epoch by logged name (``train_loss``, ``val_acc``, ...).
        best_epoch: Epoch, counted from 1, to mark with a vertical line; None marks no epoch.
        smoothing: Factor of the moving average, see `smooth`. The average is drawn over the curve,
            which becomes faint. 0 draws no average.
    """
    panels = panel_names(history)
    figure, grid = _panels(len(panels))
    for axes, name in zip(grid[0], panels, strict=True):
        for number, (stage, label) in enumerate(_STAGES):
            curve = history.get(f"{stage}_{name}", [])
            _plot(axes, curve, number, smoothing, marker=".", label=label)
        _finish(axes, name, best_epoch)
    return figure


def draw_folds(
    mean: Curves,
    std: Curves,
    best_epoch: int | None = None,
    smoothing: float = 0.9,
) -> Figure:
    """Draw the mean over the folds and its standard deviation per epoch, one column per metric.

    If there are 30 epochs or more, a second row of panels shows the mean without the first 10
    epochs, together with its moving average (section 3.6).

    Args:
        mean: Mean over the folds per epoch, by logged name.
        std: Standard deviation over the folds per epoch, by logged name.
        best_epoch: Epoch, counted from 1, to mark with a vertical line; None marks no epoch.
        smoothing: Factor of the moving average, see `smooth`.
    """
    panels = panel_names(mean)
    num_epochs = max(map(len, mean.values()))
    is_smoothed = num_epochs >= 3 * SKIPPED_EPOCHS
    figure, grid = _panels(len(panels), num_rows=2 if is_smoothed else 1)
    for axes_of_metric, name in zip(grid.T, panels, strict=True):
        for number, (stage, label) in enumerate(_STAGES):
            logged = f"{stage}_{name}"
            if logged not in mean:
                continue
            curve = np.array(mean[logged], float)
            spread = np.array(std[logged], float)
            epochs = np.arange(len(curve)) + 1
            colour = _COLOURS[number]
            axes_of_metric[0].fill_between(
                epochs, curve - spread, curve + spread, color=colour, alpha=0.15, linewidth=0
            )
            _plot(axes_of_metric[0], curve, number, label=f"{label}, mean of folds")
            if is_smoothed:
                curve[:SKIPPED_EPOCHS] = np.nan
                _plot(axes_of_metric[1], curve, number, smoothing, label=f"{label}, smoothed")
        for axes in axes_of_metric:
            _finish(axes, name, best_epoch)
    return figure


def draw_runs(
    runs: Mapping[str, Sequence["pd.DataFrame"]],
    metrics: Sequence[str],
) -> Figure:
    """Draw the curves of several runs together, one panel per metric.

    Runs with the same label have the same colour and line style. A bold line shows their mean over
    the epochs that all of them have.

    Args:
        runs: Histories of the runs by label. A history is a data frame with the epoch as its index
            and a column per metric. A run without a metric is left out of that metric's panel.
        metrics: Names of the logged metrics to draw, such as ``val_loss``.
    """
    import pandas as pd

    figure, grid = _panels(len(metrics))
    for axes, metric in zip(grid[0], metrics, strict=True):
        for number, (label, histories) in enumerate(runs.items()):
            curves = [history[metric] for history in histories if metric in history]
            for curve in curves:
                _plot(axes, curve, number, linewidth=0.8, alpha=0.4)
            if len(curves) > 1:
                label = f"{label} ({len(curves)} runs)"
            if curves:
                mean = pd.concat(curves, axis=1, join="inner").mean(axis=1)
                _plot(axes, mean, number, linewidth=2, label=label)
        _finish(axes, metric)
    return figure


def panel_names(names: Iterable[str]) -> list[str]:
    """Return the names of the metrics without ``train_`` and ``val_``, the loss first."""
    panels = {name.partition("_")[2] for name in names if name.startswith(("train_", "val_"))}
    panels.discard("data_loss")
    return sorted(panels, key=lambda name: (name != "loss", name))


def _panels(num_columns: int, num_rows: int = 1) -> tuple[Figure, NDArray[np.object_]]:
    """Return a figure and its axes, (num_rows, num_columns)."""
    figure = Figure(figsize=(5.2 * num_columns, 3.8 * num_rows), layout="constrained")
    return figure, figure.subplots(num_rows, num_columns, squeeze=False)


def _plot(
    axes: Axes,
    curve: ArrayLike,
    number: int,
    smoothing: float = 0.0,
    **style: Any,
) -> None:
    """Plot a curve over its epochs, which are counted from 1.

    The number of the curve determines its colour and line style. An epoch without a value does not
    interrupt the line. If `smoothing` is given, the curve is faint, and its moving average is drawn
    over it.
    """
    if smoothing:
        _plot(axes, curve, number, alpha=0.25)
        curve = smooth(curve, smoothing)
    values = np.asarray(curve, float)
    measured = np.flatnonzero(np.isfinite(values))
    colour = _COLOURS[number % len(_COLOURS)]
    line = _LINES[number % len(_LINES)]
    if len(values):
        axes.plot(measured + 1, values[measured], color=colour, linestyle=line, **style)


def _finish(axes: Axes, name: str, best_epoch: int | None = None) -> None:
    """Label the axes, mark the best epoch, and add a grid and a legend."""
    if best_epoch is not None:
        axes.axvline(best_epoch, color="grey", linestyle=":", label=f"best: epoch {best_epoch}")
    axes.set(xlabel="epoch", ylabel=name)
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    axes.legend()
