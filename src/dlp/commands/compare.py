"""Command ``compare``: runs in one figure and one table; it needs no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from dlp.console import say
from dlp.errors import unknown
from dlp.evaluation.verdict import best_index
from dlp.files import save_figure
from dlp.modules.monitor import monitor_mode
from dlp.runs.folder import ROOT, Run, find_runs

#: Settings that may differ between runs of one label: they repeat it, or change no result.
_REPEATS = {"seed_everything", "split_seed", "fold", "repeat", "run_dir", "threads", "smoothing"}
_REPEATS |= {"eval_batch_size", "data_dir", "monitor", "test_after_fit", "baselines", "init_from"}
_REPEATS |= {"accelerator", "devices", "logger", "default_root_dir", "enable_progress_bar"}


def compare(
    runs: list[str], metric: list[str] | None = None, output: Path = ROOT / "compare.png"
) -> pd.DataFrame:
    """Draw runs together and print their best and test values.

    A label is the name of the config, with settings in which its runs differ. Runs that differ in
    the seed alone share it; of several the mean and standard deviation are printed.

    Args:
        runs: Folders of runs, folders of several runs, or names of configs (their newest run).
        metric: Logged metrics to draw; None is ``val_loss``.
        output: File of the figure.
    """
    from dlp.visualization.curves import draw_runs

    records = [run for word in runs for run in find_runs(word, "metrics.csv")]
    histories = [pd.read_csv(run.folder / "metrics.csv", index_col="epoch") for run in records]
    columns = [*dict.fromkeys(str(name) for history in histories for name in history)]
    metrics = metric or ["val_loss" if "val_loss" in columns else "train_loss"]
    for name in metrics:
        if name not in columns:
            raise unknown("metric", name, columns)
    rows, curves = [], dict[str, list[pd.DataFrame]]()
    for run, label, history in zip(records, _labels(records), histories, strict=True):
        rows.append({"label": label} | _scores(run, history, metrics))
        curves.setdefault(label, []).append(history)
    by_label = pd.DataFrame(rows).groupby("label", sort=False)
    deviations = by_label.std().drop(columns="at epoch", errors="ignore").dropna(axis=1, how="all")
    table = by_label.mean().join(deviations.add_suffix(" std"))
    table.insert(0, "runs", by_label.size())
    say(table.to_string(na_rep="-", float_format="{:.4g}".format))
    save_figure(draw_runs(curves, metrics), output)
    say(f"wrote {output}")
    return table


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return the config's name of each run, with the settings in which runs of it differ."""
    names = [run.folder.resolve().parent.name for run in runs]
    settings = [_settings(run) for run in runs]
    labels = []
    for name, own in zip(names, settings, strict=True):
        others = [each for other, each in zip(names, settings, strict=True) if other == name]
        differing = {k: v for k, v in own.items() if any(each.get(k) != v for each in others)}
        texts = {k: f"{v:g}" if isinstance(v, float) else v for k, v in differing.items()}
        labels.append(" ".join([name, *(f"{k.rpartition('.')[2]}={v}" for k, v in texts.items())]))
    return labels


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings of a config by dotted key, but for those that repeat a run."""
    config = pd.json_normalize(yaml.safe_load(run.config.read_text("utf-8")))
    return {
        str(key): value
        for key, value in config.to_dict("records")[0].items()
        if str(key).rpartition(".")[2] not in _REPEATS
    }


def _scores(run: Run, history: pd.DataFrame, metrics: Sequence[str]) -> dict[str, float]:
    """Return best and last values, the epoch of the first metric's best, and test scores."""
    scores: dict[str, float] = {}
    results = run.results()
    modes = results.get("modes") or {results.get("monitor"): results.get("mode")}
    for metric in metrics:
        values = history[metric].tolist() if metric in history else []
        place = best_index(values, monitor_mode(metric, modes))
        if place is not None:
            scores[f"best {metric}"] = values[place]
            scores.setdefault("at epoch", place + 1)
            scores[f"last {metric}"] = history[metric].dropna().iloc[-1]
    test = results.get("test") or {}
    return scores | {name: value for name, value in test.items() if isinstance(value, float)}
