"""Runs that are meant by words: folders, checkpoints, names of configs; nothing needs torch."""

import re
from collections.abc import Sequence
from pathlib import Path

from dlp.errors import InputError, MissingInputError, suggestion
from dlp.named_configs import run_name
from dlp.runs.folders import ROOT, Run, existing_checkpoint, run_of, runs_of
from dlp.runs.origin import is_of
from dlp.runs.record import RunRecord, read_run


def find_run(given: str) -> tuple[Run, Path | None]:
    """Return the run that is meant, and the checkpoint if one was named.

    Args:
        given: A run's folder, a checkpoint, or the name of a config (several joined by ``+``) or
            its path: then its newest run.

    Raises:
        InputError: There is no such run, or it has recorded nothing.
    """
    path = Path(given)
    if path.suffix == ".ckpt" or (path.is_dir() and (len(path.parts) > 1 or _is_recorded(path))):
        checkpoint = existing_checkpoint(given) if path.suffix == ".ckpt" else None
        run = Run(path) if checkpoint is None else run_of(checkpoint)
        if run is None:
            raise InputError(f"{given} lies in no run's folder (no config.yaml beside it).")
        if not _is_recorded(run.folder):
            raise MissingInputError(
                f"{run.folder} holds neither history.json nor crossval.json: it is no run's "
                "folder, or no epoch of it has ended."
            )
        return run, checkpoint
    named = runs_of(given) if len(path.parts) == 1 else []
    name = given if named else run_name([given] if path.is_file() else given.split("+"))
    for run in named or runs_of(name):
        if _is_recorded(run.folder) and (not path.is_file() or is_of(run, [given])):
            print(f"the newest run of {name} is {run.folder}", flush=True)
            return run, None
    configs = " --config ".join([given] if path.is_file() else name.split("+"))
    raise MissingInputError(
        f"no run of {name!r} below ./runs has recorded an epoch: train one by dlp fit --config "
        f"{configs}, or give a run's folder."
    )


def find_runs(given: Sequence[str]) -> list[RunRecord]:
    """Return the runs meant by folders, folders of runs and names of configs, each once.

    Raises:
        InputError: There is no such run, or its files cannot be read.
    """
    if not given:
        raise InputError(f"give the runs to draw. {_there_is()}")
    found = {name: _folders(name) for name in given}
    folders = {folder.resolve(): folder for each in found.values() for folder in each}
    if empty := ", ".join(name for name, each in found.items() if not each):
        if not folders:
            raise InputError(f"no run in {empty} has a history.json. {_there_is()}")
        print(f"left out, without history.json: {empty}")
    return [read_run(folder) for folder in folders.values()]


def _is_recorded(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("history.json", "crossval.json"))


def _folders(given: str) -> list[Path]:
    """Return the folders with a ``history.json`` that one argument means."""
    path = Path(given)
    if len(path.parts) == 1:
        runs = (_histories(run.folder) for run in runs_of(given))
        if newest := next(filter(None, runs), []):
            return newest
    path = path if path.exists() else ROOT / given
    if not path.exists():
        near = suggestion(path.name, _names())
        raise InputError(f"there is no run {given!r}.{near} {_there_is()}")
    return _histories(path) or _sorted(path, "**")


def _histories(folder: Path) -> list[Path]:
    """Return the folder of a run, those of the folds of a cross-validation, or nothing."""
    if (folder / "crossval.json").is_file():
        return _sorted(folder, "*/*")
    return [folder] if (folder / "history.json").is_file() else []


def _sorted(folder: Path, where: str) -> list[Path]:
    """Return the folders below with a ``history.json``, by their numbers."""

    def order(found: Path) -> tuple[Path, list[int]]:
        return found.parent, [int(number) for number in re.findall(r"\d+", found.name)]

    return sorted((file.parent for file in folder.glob(f"{where}/history.json")), key=order)


def _names() -> list[str]:
    return sorted({file.parents[1].name for file in ROOT.glob("*/*/history.json")})


def _there_is() -> str:
    names = _names()
    if not names:
        return f"There are none below ./{ROOT}: train one by dlp fit --config NAME."
    return f"Below ./{ROOT} are runs of {', '.join(names)}."
