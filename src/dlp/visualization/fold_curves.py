"""The mean curves of a cross-validation, raw and as the book smooths them."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from dlp.smoothing import FIRST_POINTS, smooth
from dlp.visualization.curves import STAGES, finish_panel, panels_of, points


def fold_curves(
    curves: Mapping[str, Sequence[float]],
    spreads: Mapping[str, Sequence[float]],
    best: tuple[str, int] | None = None,
    smoothing: float = 0.9,
    title: str = "",
) -> Figure:
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
    panels = panels_of(curves)
    epochs = max(map(len, curves.values()), default=0)
    rows = 2 if epochs >= 3 * FIRST_POINTS else 1
    size = (5.2 * len(panels), 3.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, len(panels), squeeze=False)
    for column, name in enumerate(panels):
        for stage, label, colour in STAGES:
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
            finish_panel(axes, name, marked if marked > skipped else None)
    if title:
        figure.suptitle(title)
    return figure
