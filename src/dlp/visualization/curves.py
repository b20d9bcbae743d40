"""Learning curves: the loss and each metric by epoch, training beside validation."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlp.runs.epochs import Epochs
from dlp.runs.folders import run_title
from dlp.smoothing import smooth as smooth
from dlp.visualization.files import save_figure

#: What is drawn in a panel: the stage, its name in words, its colour.
STAGES = (("train", "training", "tab:blue"), ("val", "validation", "tab:orange"))


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
) -> Figure:
    """Return a figure with one panel for the loss and one for each metric.

    Args:
        history: Metric name (``train_loss``, ``val_acc``, ...) -> one number an epoch.
        best_epoch: The epoch, from 1, to mark with a line.
        smoothing: Factor of the moving average drawn over the faint raw curve; 0 draws raw alone.
        title: Of the figure.
    """
    panels = panels_of(history)
    figure = Figure(figsize=(5.2 * len(panels), 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for stage, label, colour in STAGES:
            values = history.get(f"{stage}_{name}")
            if not values:
                continue
            marker = "o" if len(points(values)[0]) <= 40 else ""
            if smoothing:
                axes.plot(*points(values), color=colour, alpha=0.25)
                axes.plot(*points(smooth(values, smoothing)), color=colour, label=label)
            else:
                axes.plot(*points(values), color=colour, marker=marker, markersize=4, label=label)
        finish_panel(axes, name, best_epoch)
    if title:
        figure.suptitle(title)
    return figure


def finish_panel(axes: Axes, name: str, best_epoch: int | None) -> None:
    """Name what stands along the axes of a panel and its curves, and mark the best epoch."""
    if best_epoch is not None:
        axes.axvline(best_epoch, color="grey", linestyle="--", label=f"best: epoch {best_epoch}")
    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()


def write_curves(folder: Path, epochs: Epochs, monitor: str, smoothing: float = 0.0) -> None:
    """Draw ``curves.png`` of a fit into its run's folder."""
    if epochs.num_epochs:
        best = epochs.best_epoch(monitor)
        figure = learning_curves(epochs.metrics, best, smoothing, run_title(folder))
        save_figure(figure, folder / "curves.png")


def panels_of(logged: Iterable[str]) -> list[str]:
    """Return the metrics of training and validation, a panel for each, losses first."""
    names = {name.partition("_")[2] for name in logged if name.startswith(("train_", "val_"))}
    panels = sorted(names - {"data_loss"}, key=lambda name: (not name.endswith("loss"), name))
    return panels or ["loss"]
