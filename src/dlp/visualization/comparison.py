"""Curves of several runs in one figure, and their best values against a setting."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: Label -> history of each of its runs, a value per epoch by metric.
Histories = Mapping[str, Sequence[Mapping[str, Sequence[float]]]]


def draw_runs(runs: Histories, metrics: Sequence[str]) -> Figure:
    """Draw one panel per metric; runs of one label share a colour, their mean is bold.

    Args:
        runs: Histories by label.
        metrics: Logged names, such as ``val_loss``.
    """
    figure = Figure(figsize=(5.6 * len(metrics), 4.2), layout="constrained")
    for axes, metric in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True
    ):
        for number, (label, histories) in enumerate(runs.items()):
            curves = [np.asarray(h[metric], float) for h in histories if metric in h]
            if not curves:
                continue
            style: dict[str, Any] = {
                "color": f"C{number % 10}",
                "linestyle": "-" if number < 10 else "--",
            }
            for curve in curves if len(curves) > 1 else ():
                axes.plot(np.arange(1, len(curve) + 1), curve, linewidth=0.8, alpha=0.4, **style)
            length = min(map(len, curves))  # the epochs that all runs have
            mean = np.mean([curve[:length] for curve in curves], axis=0)
            name = f"{label} ({len(curves)} runs)" if len(curves) > 1 else label
            axes.plot(np.arange(1, length + 1), mean, linewidth=2, label=name, **style)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def draw_against(
    values: Mapping[str, Mapping[Any, Sequence[float]]], setting: str, metric: str
) -> Figure:
    """Draw the best values of runs against a setting, with their mean.

    Args:
        values: Best value of each run, by label and setting.
        setting: Key of the setting.
        metric: Name of the values.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    settings = [*dict.fromkeys(key for series in values.values() for key in series)]
    is_numeric = all(isinstance(key, int | float) for key in settings)
    places = {key: key if is_numeric else n for n, key in enumerate(settings)}
    for number, (label, series) in enumerate(values.items()):
        keys = sorted(series, key=places.__getitem__)
        for key in keys:
            axes.plot(
                [places[key]] * len(series[key]), series[key], "o", color=f"C{number}", alpha=0.4
            )
        means = [float(np.mean(series[key])) for key in keys]
        axes.plot([places[key] for key in keys], means, color=f"C{number}", label=label)
    if not is_numeric:
        axes.set_xticks(range(len(settings)), [str(key) for key in settings])
    elif min(settings) > 0 and max(settings) >= 10 * min(settings):
        axes.set_xscale("log")
    axes.set(xlabel=setting, ylabel=f"best {metric}")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
