"""``dlp compare``: runs drawn together, with a table; quick, since it needs no torch."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NoReturn

from dlp.directions import direction
from dlp.errors import InputError, suggestion, unknown
from dlp.files import check_place
from dlp.runs.finding import find_runs
from dlp.runs.folders import ROOT
from dlp.runs.record import RunRecord, Setting
from dlp.text_table import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTIONS = ("--metric", "--monitor_mode", "--against", "--output")
FORMATS = ("png", "svg", "pdf")
#: Settings that may differ between runs of one label: they repeat it, or change no result.
_REPEATS = ("seed_everything", "split_seed", "fold", "repeat", "init_from")
_HARMLESS = (
    *("data_dir", "eval_batch_size", "monitor", "monitor_mode", "output", "smoothing"),
    *("threads", "accelerator", "devices", "default_root_dir", "log_every_n_steps", "logger"),
    *("enable_checkpointing", "enable_model_summary", "enable_progress_bar", "profiler"),
    "test_after_fit",
)
HELP = """Draws runs together, and prints a table of their best values.

A RUN is a run's folder, a folder of runs (all of them), or the name of a config (its newest run).
Runs that differ in the seed alone share a colour: thin lines, their mean bold."""

EXAMPLES = """examples:
  dlp compare imdb imdb+bigger                         original against bigger (section 4.4)
  dlp compare imdb imdb+dropout --metric val_loss --metric val_acc
  dlp compare runs/imdb runs/imdb+l2                   all runs of both, with their means
  dlp compare runs/imdb --metric val_acc --against data.train_size
                                                       what more data would bring"""


def compare(options: Sequence[str]) -> None:
    """Run ``dlp compare RUN ...`` with its options.

    Raises:
        InputError: There is no such run, metric or setting, or the figure cannot be written.
    """
    parser = _parser()
    given, others = parser.parse_known_intermixed_args(options)
    if others:
        name = others[0].partition("=")[0]
        raise InputError(
            f"compare: unknown option {name!r}.{suggestion(name, OPTIONS)} Accepted: "
            f"{', '.join(OPTIONS)}."
        )
    output = Path(given.output or ROOT / "compare.png")
    suffix = output.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise InputError(f"output must end in .{', .'.join(FORMATS)}; got {output}.")
    check_place(output)
    runs = find_runs(given.runs)
    metrics = _metrics(runs, given.metric)
    if given.monitor_mode:  # it counts for all runs, whatever they recorded
        for run in runs:
            run.epochs.directions.update(dict.fromkeys(metrics, given.monitor_mode))
    _say_unknown(runs, metrics)
    key, runs = _against(runs, given.against) if given.against else (None, runs)
    groups = labelled(runs, key)
    print(table(groups, metrics, key))
    figure = _by_setting(groups, metrics, key) if key else _by_epoch(groups, metrics)
    from dlp.visualization.files import save_drawing  # Matplotlib: not for the help

    save_drawing(figure, output, suffix, dpi=150)
    print(f"wrote {output}", flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise the error that the command line prints as one sentence."""
        raise InputError(f"compare: {message}. See dlp compare --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dlp compare",
        usage="dlp compare RUN [RUN ...] [--metric NAME] [--against KEY] [--output FILE]",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="Runs to draw, the original first.")
    parser.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="Any logged metric (default: val_loss); may be given several times.",
    )
    parser.add_argument(
        "--monitor_mode",
        choices=("min", "max"),
        help="Whether less or more of these metrics is better (default: what the runs recorded).",
    )
    parser.add_argument(
        "--against",
        metavar="KEY",
        help="Draw each run's best value against this setting of its config.yaml, instead of "
        "curves by epoch: data.train_size, model.hidden, model.dropout, ...",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help=f"The figure: .{', .'.join(FORMATS)} (default: {ROOT / 'compare.png'}).",
    )
    return parser


# What belongs together -------------------------------------------------------------------------


def labelled(runs: Sequence[RunRecord], against: str | None = None) -> dict[str, list[RunRecord]]:
    """Return label -> runs that are the same but for the seed (and the setting `against`).

    The label is the name of the config; where runs of one name differ in settings given on the
    command line, it says these too, but for those that are null.
    """
    groups: list[list[RunRecord]] = []
    for run in runs:
        for group in groups:
            same_name = against is not None or run.name == group[0].name
            if same_name and not _differences([run, group[0]], against):
                group.append(run)
                break
        else:
            groups.append([run])
    named = [
        group[0].name if len({run.name for run in group}) == 1 else group[0].name.partition("+")[0]
        for group in groups
    ]
    labels: dict[str, list[RunRecord]] = {}
    for name, group in zip(named, groups, strict=True):
        others = [other[0] for other, of in zip(groups, named, strict=True) if of == name]
        label = name
        if keys := _differences(others, against):
            given = [(key.rpartition(".")[2], group[0].settings[key]) for key in keys]
            settings = [f"{key} {value}" for key, value in given if value is not None]
            label = ", ".join([name, *settings])
            if len(keys) > 3:
                label = f"{name} {group[0].folder.name}"
        labels[label if label not in labels else str(group[0].folder)] = group
    return labels


def _differences(runs: Sequence[RunRecord], against: str | None) -> list[str]:
    """Return the settings that all of these runs have, and not all alike."""
    ignored = {*_REPEATS, *_HARMLESS}
    return [
        key
        for key, value in runs[0].settings.items()
        if key != against
        and key.rpartition(".")[2] not in ignored
        and all(key in run.settings for run in runs)
        and any(run.settings[key] != value for run in runs)
    ]


def _metrics(runs: Sequence[RunRecord], given: Sequence[str] | None) -> list[str]:
    """Return the metrics to draw.

    Raises:
        InputError: No run has one of them.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.epochs.metrics))
    if not given:
        given = ["val_loss" if "val_loss" in known else "train_loss"]
    for metric in given:
        if metric not in known:
            raise unknown("metric", metric, known)
        lacking = [str(run.folder) for run in runs if metric not in run.epochs.metrics]
        if lacking:
            print(f"without {metric}: {', '.join(lacking)}")
    return list(dict.fromkeys(given))


def _say_unknown(runs: Sequence[RunRecord], metrics: Sequence[str]) -> None:
    """Say which metrics have no best value, since nobody knows which one that is."""
    for metric in metrics:
        having = [run.epochs for run in runs if metric in run.epochs.metrics]
        if any(direction(metric, epochs.directions) is None for epochs in having):
            print(
                f"whether less or more {metric} is better was not recorded: no best value. Say so "
                "by --monitor_mode min or --monitor_mode max"
            )


def _against(runs: Sequence[RunRecord], given: str) -> tuple[str, list[RunRecord]]:
    """Return the key that ``--against`` means, and the runs that have it.

    Raises:
        InputError: No run has it.
    """
    key = given.replace(".init_args", "").removesuffix(".class_path")
    known = list(dict.fromkeys(name for run in runs for name in run.settings))
    if key not in known:
        raise InputError(
            f"no run has the setting {given!r}.{suggestion(key, known)} Any key of a run's "
            "config.yaml is accepted, such as data.batch_size or model.dropout."
        )
    lacking = [str(run.folder) for run in runs if key not in run.settings]
    if lacking:
        print(f"left out, without {key}: {', '.join(lacking)}")
    return key, [run for run in runs if key in run.settings]


# What is shown ---------------------------------------------------------------------------------


def _by_epoch(groups: Mapping[str, Sequence[RunRecord]], metrics: Sequence[str]) -> "Figure":
    from dlp.visualization.comparison import compare_runs  # Matplotlib: not for the help

    named = {
        _counted(label, runs): [run.epochs.metrics for run in runs]
        for label, runs in groups.items()
    }
    return compare_runs(named, metrics)


def _by_setting(
    groups: Mapping[str, Sequence[RunRecord]], metrics: Sequence[str], key: str
) -> "Figure":
    from dlp.visualization.comparison import compare_settings

    points: dict[str, dict[str, list[tuple[Setting, float]]]] = {name: {} for name in metrics}
    for metric, series in points.items():
        for label, runs in groups.items():
            found = [(run.setting(key), run.best(metric)) for run in runs]
            numbers = [(value, best[0]) for value, best in found if best is not None]
            if numbers:
                series[label] = numbers
        if not series:
            raise InputError(f"no run with the setting {key} has a number for {metric}.")
    return compare_settings(points, key, "all" if key == "data.train_size" else "null")


def _counted(label: str, runs: Sequence[RunRecord]) -> str:
    if len(runs) == 1:
        return label
    seeds = {run.results.get("seed") for run in runs}
    return f"{label} ({len(runs)} {'seeds' if len(seeds) == len(runs) else 'runs'})"


def table(
    groups: Mapping[str, Sequence[RunRecord]],
    metrics: Sequence[str],
    against: str | None = None,
) -> str:
    """Return the best and last values of labelled runs as aligned text.

    Several runs of a label give mean and standard deviation (n - 1); each value of the setting
    `against` has a line of its own.
    """
    everything = [run for runs in groups.values() for run in runs]
    tests = list(dict.fromkeys(name for run in everything for name in run.test_scores))
    head = ["run", *([against] if against else []), "runs", "parameters"]
    for metric in metrics:
        head += [f"best {metric}", "at epoch", "last"]
    lines = [[*head, *tests]]
    for label, runs in groups.items():
        for value, members in _by_value(runs, against).items():
            said = ["null" if value is None else str(value)] if against else []
            line = [label, *said, str(len(members)), _parameters(members)]
            for metric in metrics:
                best = [found for run in members if (found := run.best(metric))]
                epochs = [epoch for _, epoch in best]
                histories = [run.epochs.metrics.get(metric) for run in members]
                last = [values[-1] for values in histories if values]
                line += [_mean([number for number, _ in best]), _range(epochs), _mean(last)]
            line += [
                _mean([run.test_scores[name] for run in members if name in run.test_scores])
                for name in tests
            ]
            lines.append(line)
    return "\n".join(aligned(lines, left=1))


def _by_value(runs: Sequence[RunRecord], key: str | None) -> dict[Setting, list[RunRecord]]:
    found: dict[Setting, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(run.setting(key) if key else None, []).append(run)
    numbers = [value for value in found if isinstance(value, int | float)]
    others = [value for value in found if value not in numbers]
    return {value: found[value] for value in [*sorted(numbers), *others]}


def _parameters(runs: Sequence[RunRecord]) -> str:
    counts = {tuple(run.results.get("parameters", {}).values()) for run in runs}
    if len(counts) != 1 or counts == {()}:
        return "-"
    total, trainable = counts.pop()
    return f"{total:,}" if total == trainable else f"{total:,} ({trainable:,} trained)"


def _mean(numbers: Sequence[float]) -> str:
    if not numbers:
        return "-"
    spread = f" ± {_number(stdev(numbers))}" if len(numbers) > 1 else ""
    return f"{_number(fmean(numbers))}{spread}"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.5g}"


def _range(epochs: Sequence[int]) -> str:
    if not epochs:
        return "-"
    low, high = min(epochs), max(epochs)
    return str(low) if low == high else f"{low} to {high}"
