"""What a search found: the values of its trials, and which keys mattered.

Optuna's own figures change pyplot's style for the whole process, leave out trials that were stopped
early, and are flattened by a single trial that diverged.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def search_history(
    complete: Mapping[int, float],
    pruned: Mapping[int, float],
    monitor: str,
    falling: bool,
    title: str = "",
) -> Figure:
    """Return a figure of the value by trial, with a line for the best so far.

    Args:
        complete: Number of a trial -> its value.
        pruned: The same for trials that were stopped early, with what they had reached.
        monitor: What the values are.
        falling: Whether less is better.
        title: Of the figure.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    if pruned:
        axes.scatter(
            *zip(*sorted(pruned.items()), strict=True),
            marker="x",
            color="grey",
            alpha=0.7,
            label="stopped early",
        )
    numbers = sorted(complete)
    values = [complete[number] for number in numbers]
    axes.scatter(numbers, values, color="tab:blue", alpha=0.8, label="complete")
    best = np.minimum.accumulate(values) if falling else np.maximum.accumulate(values)
    last = max([*complete, *pruned], default=0)
    axes.step(
        [*numbers, last], [*best, *best[-1:]], where="post", color="tab:orange", label="best so far"
    )
    every = [*values, *pruned.values()]
    if (limits := _limits(every, falling)) is not None:
        axes.set_ylim(limits)
        beyond = sum(not limits[0] <= value <= limits[1] for value in every)
        axes.plot([], [], " ", label=f"{beyond} worse than shown")
    axes.set_xlabel("trial")
    axes.set_ylabel(monitor)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    if title:
        figure.suptitle(title)
    return figure


def _limits(values: Sequence[float], falling: bool) -> tuple[float, float] | None:
    """Return limits of the axis, if a few very bad values would flatten all others."""
    best = min(values) if falling else max(values)
    worst = max(values) if falling else min(values)
    furthest = best + 4 * (float(np.median(values)) - best)
    if abs(worst - best) <= abs(furthest - best) or furthest == best:
        return None
    margin = 0.05 * (furthest - best)
    low, high = sorted((best - margin, furthest + margin))
    return low, high


def importance_bars(importances: Mapping[str, float], monitor: str, title: str = "") -> Figure:
    """Return a figure of how much each key matters.

    Args:
        importances: Key -> share of all importance, 0 to 1.
        monitor: What the values are.
        title: Of the figure.
    """
    ordered = sorted(importances.items(), key=lambda item: item[1])
    figure = Figure(figsize=(7.2, 1.4 + 0.42 * len(ordered)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([key for key, _ in ordered], [share for _, share in ordered])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.1 * max(importances.values(), default=1.0) or 1.0)
    axes.set_xlabel(f"importance for {monitor} (all: 1)")
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title)
    return figure
