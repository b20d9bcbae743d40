"""Command ``compare``: several runs in one figure and one table. It does not import torch."""

from collections.abc import Hashable, Sequence
from pathlib import Path

import pandas as pd

from dlp.configs import read_config
from dlp.console import say
from dlp.errors import check_choice, reading
from dlp.files import save_figure
from dlp.runs.folder import Run
from dlp.runs.places import ROOT

#: Settings that may differ between runs with the same label. They make a run a repetition of
#: another run, or have no influence on the result.
_REPEATS = [
    "seed_everything",
    "split_seed",
    "fold",
    "repeat",
    "run_dir",
    "threads",
    "smoothing",
    "data_dir",
    "test_after_fit",
    "baselines",
    "accelerator",
    "devices",
]


def compare(
    runs: list[str],
    metric: list[str] | None = None,
    output: Path = ROOT / "compare.png",
) -> pd.DataFrame:
    """Draw the curves of several runs in one figure and print their scores.

    The command reads the metrics and results that ``dlp fit`` and ``dlp test`` wrote. The printed
    table contains the scores of the best epoch and of the test. The label of a run is the name of
    its config, followed by the settings in which the runs differ. Runs that differ only in the seed
    share a label, and the table shows their mean and standard deviation.

    Args:
        runs: Folders of runs, folders that contain several runs, or names of configs, which mean
            their newest fit.
        metric: Logged metrics to draw and print. None means ``val_loss``, or ``train_loss`` if no
            run was validated.
        output: File to which the figure is written.
    """
    from dlp.visualization.curves import draw_runs

    records = []
    for name in runs:
        records += _runs(name)
    histories = []
    for run in records:
        path = run.folder / "metrics.csv"
        with reading(path, "the history of a run"):
            histories.append(pd.read_csv(path, index_col="epoch", dtype=float))
    columns = list(map(str, pd.concat(histories)))
    metrics = metric or ["val_loss" if "val_loss" in columns else "train_loss"]
    for name in metrics:
        check_choice("metric", name, columns)
    labels = _labels(records)
    curves: dict[str, list[pd.DataFrame]] = {}
    rows = []
    for run, label, history in zip(records, labels, histories, strict=True):
        curves.setdefault(label, []).append(history)
        results = run.results()
        values = results.get("best") or results.get("last", {})
        scores = {"best epoch": results.get("best_epoch")}
        scores |= {name: values.get(name) for name in metrics}
        test = results.get("test", {})
        scores |= {name: value for name, value in test.items() if name.startswith("test_")}
        rows.append(scores)
    by_label = pd.DataFrame(rows).groupby(labels, sort=False)
    deviations = by_label.std().dropna(axis=1, how="all")
    table = by_label.mean().join(deviations.add_suffix(" std"))
    table.insert(0, "runs", by_label.size())
    say(table.to_string(na_rep="-", float_format="{:.6g}".format))
    save_figure(draw_runs(curves, metrics), output)
    say(f"wrote {output}")
    return table


def _runs(word: str) -> list[Run]:
    """Return the run in folder `word`, else all runs below it, else the newest run of that name."""
    folder = Path(word)
    if (folder / "metrics.csv").is_file():
        return [Run(folder)]
    below = [Run(path.parent) for path in sorted(folder.rglob("metrics.csv"))]
    return below or [Run.find(word, "metrics")]


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return the label of each run: its config's name, and settings in which such runs differ."""
    names = [run.folder.resolve().parent.name for run in runs]
    configs = []
    for run in runs:
        has_config = run.config.is_file()  # a run from Python has none
        configs.append(read_config(run.config) if has_config else {})
    settings = pd.json_normalize(configs).map(str, na_action="ignore")
    settings.columns = [str(name).rpartition(".")[2] for name in settings]
    settings = settings.drop(columns=_REPEATS, errors="ignore")
    labels: dict[Hashable, str] = dict(enumerate(names))
    for _, same in settings.groupby(names):
        differing = same.loc[:, same.nunique(dropna=False) > 1]
        for row, texts in differing.iterrows():
            for key, text in texts.dropna().items():
                labels[row] += f" {key}={text}"
    return list(labels.values())
