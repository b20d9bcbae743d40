"""What people read of a study: its trials as a table, its best ones, its figures."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dlp.console import say
from dlp.files import write_text
from dlp.search.studies import FINISHED, Study
from dlp.text_table import aligned
from dlp.visualization.files import save_figure
from dlp.visualization.study_figures import importance_bars, search_history

#: Complete trials below which importances are noise.
ENOUGH = 10


def write_csv(study: Study, keys: Sequence[str]) -> None:
    """Write ``trials.csv``: a row for each trial that has begun."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "value", "best_epoch", *keys, "seconds"])
    for trial in study.trials():
        if trial.state == TrialState.WAITING:
            continue
        row = [trial.number, trial.state.name.lower(), trial.value]
        row += [trial.user_attrs.get("best_epoch"), *(trial.params.get(key) for key in keys)]
        writer.writerow([*row, _seconds(trial)])
    write_text(study.folder / "trials.csv", text.getvalue())


def table(study: Study, monitor: str, keys: Sequence[str], number: int = 5) -> str:
    """Return the best trials as aligned text."""
    rows = [["trial", monitor, "epoch", *keys, "seconds"]]
    for trial in study.best(number):
        values = [_short(trial.params.get(key)) for key in keys]
        epoch = trial.user_attrs.get("best_epoch")
        cells = [str(trial.number), f"{trial.value:.4f}", str(epoch or "")]
        rows.append([*cells, *values, str(_seconds(trial) or "")])
    return "\n".join(aligned(rows, left=0))


def report(study: Study, monitor: str, keys: Sequence[str], best_config: Path) -> None:
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
    complete, pruned = (_values(study, state) for state in FINISHED)
    title = str(study.folder)
    falling = study.optuna.direction == StudyDirection.MINIMIZE
    figures = {"history.png": search_history(complete, pruned, monitor, falling, title)}
    if len(complete) < ENOUGH:
        say(f"importances.png needs {ENOUGH} complete trials or more")
    else:
        shares = optuna.importance.get_param_importances(study.optuna)
        figures["importances.png"] = importance_bars(shares, monitor, title)
    for name, figure in figures.items():
        save_figure(figure, study.folder / name)
    counts = ", ".join(
        f"{count} {state.name.lower()}"
        for state in (*FINISHED, TrialState.FAIL)
        if (count := len(study.trials([state])))
    )
    say(f"\nthe best of {counts}:\n{table(study, monitor, keys)}\n")
    names = [path.name for path in sorted(study.folder.iterdir()) if path.is_file()]
    shown = [name for name in names if not name.startswith(".")]
    say(f"wrote {study.folder}: {', '.join(shown)}, and a folder for each trial")
    say(
        f"to train the best of them and test it, if the recipe does: dlp fit --config {best_config}"
    )


def _values(study: Study, state: TrialState) -> dict[int, float]:
    trials = study.trials([state])
    return {trial.number: trial.value for trial in trials if trial.value is not None}


def _seconds(trial: FrozenTrial) -> float | None:
    duration = trial.duration
    return None if duration is None else round(duration.total_seconds(), 1)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
