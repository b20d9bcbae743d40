"""Curves per epoch: of a fit, of the mean over folds, and of several runs together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd

_STAGES = (("train", "training", "tab:blue"), ("val", "validation", "tab:orange"))
#: Epochs left out of a smoothed curve, as in section 3.6: their values dwarf all others.
SKIPPED_EPOCHS = 10


def smooth(values: Sequence[float], factor: float) -> list[float]:
    """Return the exponential moving average of section 3.6; a gap (NaN) stays a gap."""
    import pandas as pd

    series = pd.Series(values, dtype=float)
    average = series.ewm(alpha=1 - factor, adjust=False, ignore_na=True).mean()
    return average.where(series.notna()).tolist()


def draw_curves(
    history: Mapping[str, Sequence[float]], best_epoch: int | None = None, smoothing: float = 0.0
) -> Figure:
    """Draw one panel per metric.

    Args:
        history: Value per epoch by logged name (``train_loss``, ``val_acc``, ...).
        best_epoch: Epoch, from 1, that a line marks.
        smoothing: Factor of the moving average, drawn over the faint curve; 0 draws no average.
    """
    panels = panel_names(history)
    figure = Figure(figsize=(5.2 * len(panels), 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for stage, label, colour in _STAGES:
            if (values := history.get(f"{stage}_{name}")) is None:
                continue
            if smoothing:
                _plot(axes, values, color=colour, alpha=0.25)
                _plot(axes, smooth(values, smoothing), color=colour, label=label)
            else:
                marker = "o" if len(values) <= 40 else ""
                _plot(axes, values, color=colour, marker=marker, markersize=4, label=label)
        _finish(axes, name, best_epoch)
    return figure


def draw_folds(
    mean: Mapping[str, Sequence[float]],
    std: Mapping[str, Sequence[float]],
    best: tuple[str, int] | None = None,
    smoothing: float = 0.9,
) -> Figure:
    """Draw the mean over folds per epoch with its standard deviation, one column per metric.

    From 30 epochs on, a second row shows the mean without its first 10 epochs and its moving
    average (section 3.6).

    Args:
        mean: Mean over the folds per epoch by logged name.
        std: Standard deviation over the folds, likewise.
        best: Logged name, and the epoch, from 1, at which its mean is best.
        smoothing: Factor of the moving average.
    """
    panels = panel_names(mean)
    rows = 2 if max(map(len, mean.values()), default=0) >= 3 * SKIPPED_EPOCHS else 1
    figure = Figure(figsize=(5.2 * len(panels), 3.6 * rows), layout="constrained")
    grid = figure.subplots(rows, len(panels), squeeze=False)
    for column, name in zip(grid.T, panels, strict=True):
        for stage, label, colour in _STAGES:
            if (logged := f"{stage}_{name}") not in mean:
                continue
            values, spread = np.asarray(mean[logged], float), np.asarray(std[logged], float)
            epochs = np.arange(1, len(values) + 1)
            band = values - spread, values + spread
            column[0].fill_between(epochs, *band, color=colour, alpha=0.15, linewidth=0)
            _plot(column[0], values, color=colour, label=f"{label}, mean of folds")
            if rows == 2:
                late, first = values[SKIPPED_EPOCHS:], SKIPPED_EPOCHS + 1
                average = smooth(late.tolist(), smoothing)
                _plot(column[1], late, first, color=colour, alpha=0.25)
                _plot(column[1], average, first, color=colour, label=f"{label}, smoothed")
        epoch = best[1] if best is not None and best[0].endswith(f"_{name}") else 0
        for axes, skipped in zip(column, (0, SKIPPED_EPOCHS), strict=False):
            _finish(axes, name, epoch if epoch > skipped else None)
    return figure


def draw_runs(runs: Mapping[str, Sequence["pd.DataFrame"]], metrics: Sequence[str]) -> Figure:
    """Draw one panel per metric; runs of one label share a colour, their mean is bold.

    Args:
        runs: Histories of the runs by label: frames with the epoch as index, a column per metric.
        metrics: Logged names, such as ``val_loss``.
    """
    import pandas as pd

    figure = Figure(figsize=(5.6 * len(metrics), 4.2), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        for number, (label, histories) in enumerate(runs.items()):
            curves = [history[metric] for history in histories if metric in history]
            if not curves:
                continue
            for curve in curves:
                _plot(axes, curve, color=f"C{number}", linewidth=0.8, alpha=0.4)
            mean = pd.concat(curves, axis=1, join="inner").mean(axis=1)  # of the common epochs
            name = label if len(curves) == 1 else f"{label} ({len(curves)} runs)"
            _plot(axes, mean, color=f"C{number}", linewidth=2, label=name)
        _finish(axes, metric)
    return figure


def panel_names(names: Iterable[str]) -> list[str]:
    """Return the metrics of training and validation without their stage, losses first."""
    panels = {name.partition("_")[2] for name in names if name.startswith(("train_", "val_"))}
    return sorted(panels - {"data_loss"}, key=lambda name: (not name.endswith("loss"), name))


def _plot(axes: Axes, values: ArrayLike, first: int = 1, **style: Any) -> None:
    """Plot the measured values; an epoch without one breaks no line."""
    numbers = np.asarray(values, float)
    is_finite = np.isfinite(numbers)
    epochs = np.arange(first, first + len(numbers))
    axes.plot(epochs[is_finite], numbers[is_finite], **style)


def _finish(axes: Axes, name: str, best_epoch: int | None = None) -> None:
    if best_epoch is not None:
        axes.axvline(best_epoch, color="grey", linestyle="--", label=f"best: epoch {best_epoch}")
    axes.set(xlabel="epoch", ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
