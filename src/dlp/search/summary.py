"""What people read of a study: its trials as a table, its best ones, its figures."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import optuna
from matplotlib.axes import Axes
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dlp.console import say
from dlp.files import write_csv, written
from dlp.search.studies import FINISHED, Study
from dlp.text_table import aligned
from dlp.visualization.files import save_drawing

#: Complete trials below which importances are noise.
ENOUGH = 10


def write_trials(study: Study, keys: Sequence[str]) -> None:
    """Write ``trials.csv``: a row for each trial that has begun."""
    rows: list[list[Any]] = [["number", "state", "value", "best_epoch", *keys, "seconds"]]
    for trial in study.trials():
        if trial.state != TrialState.WAITING:
            row = [trial.number, trial.state.name.lower(), trial.value]
            row += [trial.user_attrs.get("best_epoch"), *(trial.params.get(key) for key in keys)]
            rows.append([*row, _seconds(trial)])
    write_csv(study.folder / "trials.csv", rows)


def table(study: Study, monitor: str, keys: Sequence[str], number: int = 5) -> str:
    """Return the best trials as aligned text."""
    rows = [["trial", monitor, "epoch", *keys, "seconds"]]
    for trial in study.best(number):
        values = [_short(trial.params.get(key)) for key in keys]
        epoch = trial.user_attrs.get("best_epoch")
        cells = [str(trial.number), f"{trial.value:.4f}", str(epoch or "")]
        rows.append([*cells, *values, str(_seconds(trial) or "")])
    return "\n".join(aligned(rows, left=0))


def say_summary(study: Study, monitor: str, keys: Sequence[str], best_config: Path) -> None:
    """Draw a study, print its best trials and say what to do with them.

    Args:
        study: The study.
        monitor: What its values are.
        keys: What was searched.
        best_config: The config of its best trial.
    """
    if not study.best():
        say("no trial is complete yet")
        return
    with plt.rc_context():  # Optuna changes the style of all figures that are drawn after its own
        _draw(study, monitor)
    counts = ", ".join(
        f"{count} {state.name.lower()}"
        for state in (*FINISHED, TrialState.FAIL)
        if (count := len(study.trials([state])))
    )
    say(f"\nthe best of {counts}:\n{table(study, monitor, keys)}\n")
    names = [name for name in written(study.folder) if not name.endswith("/")]
    say(f"wrote {study.folder}: {', '.join(names)}, and a folder for each trial")
    say(
        f"to train the best of them and test it, if the recipe does: dlp fit --config {best_config}"
    )


def _draw(study: Study, monitor: str) -> None:
    draw = optuna.visualization.matplotlib
    complete = study.trials([TrialState.COMPLETE])
    values = [trial.value for trial in complete if trial.value is not None]
    axes = draw.plot_optimization_history(study.optuna, target_name=monitor)
    if (near := limits(values, study.optuna.direction == StudyDirection.MINIMIZE)) is not None:
        axes.set_ylim(near)
    _save(axes, study.folder / "history.png")
    if len(complete) < ENOUGH:
        say(f"importances.png needs {ENOUGH} complete trials or more")
    else:
        axes = draw.plot_param_importances(study.optuna, target_name=monitor)
        _save(axes, study.folder / "importances.png")


def _save(axes: Axes, path: Path) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None  # Optuna draws each figure by pyplot, which keeps it open
    figure.set_layout_engine("tight")  # with the legend beside the axes
    save_drawing(figure, path)
    plt.close(figure)


def limits(values: Sequence[float], falling: bool) -> tuple[float, float] | None:
    """Return limits of an axis, if a few very bad values would flatten all others."""
    best, worst = (min(values), max(values)) if falling else (max(values), min(values))
    furthest = best + 4 * (statistics.median(values) - best)
    if abs(worst - best) <= abs(furthest - best) or furthest == best:
        return None
    margin = 0.05 * (furthest - best)
    low, high = sorted((best - margin, furthest + margin))
    return low, high


def _seconds(trial: FrozenTrial) -> float | None:
    duration = trial.duration
    return None if duration is None else round(duration.total_seconds(), 1)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
