"""Command ``compare``: runs in one figure and one table; it needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from dlp.console import say
from dlp.errors import unknown
from dlp.files import save_figure
from dlp.monitor import best_index, monitor_mode
from dlp.runs import ROOT, Run, find_runs

#: Settings that may differ between runs of one label: they repeat it, or change no result.
_REPEATS = {"seed_everything", "split_seed", "fold", "repeat", "run_dir", "threads", "smoothing"}
_REPEATS |= {"eval_batch_size", "data_dir", "monitor", "test_after_fit", "baselines", "init_from"}


@dataclass(frozen=True)
class Record:
    """Trained run, as its folder tells.

    Args:
        run: The run.
        settings: Plain settings of its config by dotted key, without ``init_args``.
        history: Value per epoch by metric.
        test: Test scores by metric.
    """

    run: Run
    settings: dict[str, Any]
    history: pd.DataFrame
    test: dict[str, float]

    @classmethod
    def read(cls, run: Run) -> "Record":
        """Read the files of a run."""
        config = pd.json_normalize(yaml.safe_load(run.config.read_text("utf-8")))
        settings = {
            str(key).replace(".init_args", "").removesuffix(".class_path"): value
            for key, value in config.to_dict("records")[0].items()
            if not str(key).startswith("trainer.") and str(key).rpartition(".")[2] not in _REPEATS
        }
        history = pd.read_csv(run.folder / "metrics.csv", index_col="epoch")
        test = run.results().get("test") or {}
        return cls(run, settings, history, {k: v for k, v in test.items() if isinstance(v, float)})

    def best(self, metric: str) -> tuple[int, float] | None:
        """Return the best epoch, from 1, and its value."""
        values = self.history[metric].tolist() if metric in self.history else []
        place = best_index(values, monitor_mode(metric))
        return None if place is None else (place + 1, values[place])

    def scores(self, metrics: list[str]) -> dict[str, float]:
        """Return best and last values, the epoch of the first metric's best, and test scores."""
        scores: dict[str, float] = {}
        for metric in metrics:
            if (best := self.best(metric)) is not None:
                scores[f"best {metric}"] = best[1]
                scores.setdefault("at epoch", best[0])
                scores[f"last {metric}"] = self.history[metric].dropna().iloc[-1]
        return scores | self.test


def compare(
    runs: list[str],
    metric: list[str] | None = None,
    against: str | None = None,
    output: Path = ROOT / "compare.png",
) -> pd.DataFrame:
    """Draw runs together and print their best and test values.

    Runs that differ in the seed alone share a label; of several the mean and standard deviation
    are printed.

    Args:
        runs: Folders of runs, folders of several runs, or names of configs (their newest run).
        metric: Logged metrics to draw; None is ``val_loss``.
        against: Key of a setting, such as ``data.train_size``, to draw the best values against.
        output: File of the figure.
    """
    from dlp.visualization.curves import draw_against, draw_runs

    records = [Record.read(run) for word in runs for run in find_runs(word, "metrics.csv")]
    columns = [*dict.fromkeys(str(name) for record in records for name in record.history)]
    metrics = metric or ["val_loss" if "val_loss" in columns else "train_loss"]
    for name in metrics:
        if name not in columns:
            raise unknown("metric", name, columns)
    groups = _labelled(records, against)
    table = _table(groups, metrics)
    say(table.to_string(na_rep="-", float_format="{:.4g}".format))
    if against is None:
        histories = {label: [r.history for r in group] for label, group in groups.items()}
        figure = draw_runs(histories, metrics)
    else:
        figure = draw_against(_by_setting(groups, against, metrics[0]))
    save_figure(figure, output)
    say(f"wrote {output}")
    return table


def _labelled(records: list[Record], against: str | None) -> dict[str, list[Record]]:
    """Group the runs of equal settings; a label is the name of the config, or the folder."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        settings = {k: v for k, v in record.settings.items() if k != against}
        groups.setdefault(f"{_name(record)} {settings}", []).append(record)
    names = [_name(group[0]) for group in groups.values()]
    return {
        name if names.count(name) == 1 else str(group[0].run.folder): group
        for name, group in zip(names, groups.values(), strict=True)
    }


def _name(record: Record) -> str:
    return record.run.folder.resolve().parent.name


def _table(groups: Mapping[str, list[Record]], metrics: list[str]) -> pd.DataFrame:
    pairs = [(label, record) for label, group in groups.items() for record in group]
    rows = [{"label": label} | record.scores(metrics) for label, record in pairs]
    by_label = pd.DataFrame(rows).groupby("label", sort=False)
    deviations = by_label.std().drop(columns="at epoch", errors="ignore").dropna(axis=1, how="all")
    table = by_label.mean().join(deviations.add_suffix(" std"))
    table.insert(0, "runs", by_label.size())
    return table


def _by_setting(groups: Mapping[str, list[Record]], key: str, metric: str) -> pd.DataFrame:
    """Return label, setting and best value of each run."""
    pairs = [(label, record) for label, group in groups.items() for record in group]
    rows = []
    for label, record in pairs:
        if key not in record.settings:
            raise unknown("setting", key, record.settings)
        setting, best = record.settings[key], record.best(metric)
        if best is not None:
            value = setting if isinstance(setting, int | float) else str(setting)
            rows.append({"label": label, key: value, metric: best[1]})
    return pd.DataFrame(rows)
