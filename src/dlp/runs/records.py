"""Runs as their small files record them, found by name or folder; nothing here needs torch."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dlp.config_files import read_config
from dlp.directions import Mode, best_index, direction
from dlp.errors import InputError, suggestion
from dlp.runs.folders import ROOT, runs_of
from dlp.runs.results import read_record, read_results

#: What a setting may be: a number, a name, or None where it was left open.
Setting = float | str | None

#: Folders that number the runs of what their parent is named after.
_NUMBERED = re.compile(r"((version|seed|repeat|fold|study|trial)(_\d+)+_?)+")


@dataclass(frozen=True)
class RecordedRun:
    """What the files of a run tell.

    Args:
        folder: The run's folder.
        history: Metric -> one number an epoch; NaN where it was not measured.
        results: ``results.json``.
        settings: ``config.yaml``, flat: ``data.train_size`` -> value.
    """

    folder: Path
    history: dict[str, list[float]]
    results: dict[str, Any]
    settings: dict[str, Setting]

    @property
    def name(self) -> str:
        """The name of the config, or of the folder where that was chosen by hand."""
        folder = self.folder.resolve()
        while _NUMBERED.fullmatch(folder.name):
            folder = folder.parent
        return folder.name

    @property
    def directions(self) -> dict[str, Mode]:
        """Logged name -> whether less or more of it is better, as the run recorded it."""
        found: dict[str, Mode] = dict(self.results.get("directions", {}))
        if (mode := self.settings.get("monitor_mode")) in ("min", "max"):
            found[str(self.settings.get("monitor"))] = cast(Mode, mode)
        return found

    def best(self, metric: str, mode: Mode | None = None) -> tuple[float, int] | None:
        """Return the best value of a metric and its epoch, from 1; None if it has none.

        Args:
            metric: Its name in the history.
            mode: Whether less or more of it is better; None takes what the run recorded. Where
                nobody knows, there is no best value.
        """
        mode, values = mode or direction(metric, self.directions), self.history.get(metric, [])
        place = None if mode is None else best_index(values, mode)
        return None if place is None else (values[place], place + 1)

    def setting(self, key: str) -> Setting:
        """Return a setting; the real number of training rows, where that is known."""
        if key == "data.train_size":
            rows: int | None = self.results.get("train_rows")
            return self.settings[key] if rows is None else rows
        return self.settings[key]


def find_runs(given: Sequence[str]) -> list[RecordedRun]:
    """Return the runs meant by folders, folders of runs and names of configs, each once.

    Raises:
        InputError: There is no such run, or its files cannot be read.
    """
    if not given:
        raise InputError(f"give the runs to draw. {_there_is()}")
    folders: dict[Path, Path] = {}
    empty = []
    for name in given:
        found = _folders(name)
        folders.update({folder.resolve(): folder for folder in found})
        empty += [] if found else [name]
    if empty and not folders:
        raise InputError(f"no run in {', '.join(empty)} has a history.json.")
    if empty:
        print(f"left out, without history.json: {', '.join(empty)}")
    return [read_run(folder) for folder in folders.values()]


def _folders(given: str) -> list[Path]:
    """Return the folders with a ``history.json`` that one argument means."""
    path = Path(given)
    if len(path.parts) == 1:
        runs = (_recorded(run.folder) for run in runs_of(given))
        if newest := next((found for found in runs if found), []):
            return newest
    path = path if path.exists() else ROOT / given
    if not path.exists():
        near = suggestion(path.name, _names())
        raise InputError(f"there is no run {given!r}.{near} {_there_is()}")
    if found := _recorded(path):
        return found
    below = (file.parent for file in path.rglob("history.json"))
    return sorted(below, key=_order)


def _recorded(folder: Path) -> list[Path]:
    """Return the folder of a run, those of the folds of a cross-validation, or nothing."""
    if (folder / "crossval.json").is_file():
        return sorted((file.parent for file in folder.glob("*/*/history.json")), key=_order)
    return [folder] if (folder / "history.json").is_file() else []


def _order(folder: Path) -> tuple[Path, list[int]]:
    return folder.parent, [int(number) for number in re.findall(r"\d+", folder.name)]


def _names() -> list[str]:
    found = (path.parent for path in ROOT.glob("*/*/history.json"))
    return sorted({folder.parent.name for folder in found})


def _there_is() -> str:
    names = _names()
    if not names:
        return f"There are none below ./{ROOT}: train one by dlp fit --config NAME."
    return f"Below ./{ROOT} are runs of {', '.join(names)}."


def read_run(folder: Path) -> RecordedRun:
    """Return what the files of a run tell.

    Raises:
        InputError: One of them cannot be read.
    """
    try:
        record = read_record(folder / "history.json")
        history = {
            name: [math.nan if value is None else float(value) for value in values]
            for name, values in record.items()
        }
        results = read_results(folder)
        config = folder / "config.yaml"
        read = read_config(config) if config.is_file() else {}
        return RecordedRun(folder, history, results, dict(_flat(read)))
    except InputError:  # it names the file
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"the files of the run {folder} cannot be read: {error}.") from error


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Setting]]:
    """Yield the settings of a config as people write them, without ``init_args``."""
    for name, value in node.items():
        key = f"{prefix}.{name}" if prefix else name
        if name == "class_path":
            yield prefix, str(value).rpartition(".")[2]
        elif isinstance(value, dict):
            yield from _flat(value, prefix if name == "init_args" else key)
        elif isinstance(value, float) and value.is_integer():  # train_size: 500.0
            yield key, int(value)
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield key, value
        else:
            yield key, str(value)
