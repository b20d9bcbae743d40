"""The folder of a cross-validation: what is done there, what is being trained, what can go."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.directions import Mode
from dlp.errors import InputError
from dlp.folds.identity import made_of
from dlp.folds.plan import Fold, Plan
from dlp.folds.results import CrossValidation, FoldResult
from dlp.runs.folders import Run
from dlp.runs.json_files import read_json

#: The file that says which folds there are.
PROTOCOL = "crossval.yaml"
#: The file whose lock says that a fold is being trained.
LOCK = ".lock"


def read_folds(folder: Path) -> CrossValidation:
    """Return the cross-validation that lies in a folder.

    Raises:
        InputError: Its folds cannot be read.
    """
    try:
        record = read_json(folder / "crossval.json")
        places = [folder / f"repeat_{f['repeat']}/fold_{f['fold']}" for f in record["folds"]]
        folds = [found for place in places if (found := FoldResult.read(place)) is not None]
        known = {name: record[name] for name in ("monitor", "smoothing", "refit")}
        mode: Mode | None = record.get("monitor_mode")  # older ones have none
    except InputError:  # it names the file
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the files of the folds in {folder} cannot be read: {error}.") from error
    if not folds:
        raise InputError(f"{folder} has a crossval.json, and none of its folds.")
    return CrossValidation(folds, len(places), **known, monitor_mode=mode)


def num_done(folder: Path) -> int:
    """Return how many folds are done in the folder of a cross-validation."""
    return sum((place / "results.json").is_file() for place in folder.glob("repeat_*/fold_*"))


def forget_empty(run: Run) -> None:
    """Remove the folder of a cross-validation that has just begun, if nobody trains in it."""
    used = ("**/history.json", f"**/{LOCK}", "stack_*", "job_*")
    if any(next(run.folder.glob(name), None) for name in used):
        return
    for path in run.folder.glob("repeat_*"):
        shutil.rmtree(path)
    for path in (run.config, run.folder / PROTOCOL):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # something else lies there
        run.folder.rmdir()


def done(plan: Plan, fold: Fold) -> FoldResult | None:
    """Return the result of a fold whose files say that it is done.

    Raises:
        InputError: Its files are those of another cross-validation.
    """
    found = None if plan.root is None else FoldResult.read(plan.folder(fold))
    if found is None:
        return None
    here = plan.protocol(fold)
    differing = [name for name in found.protocol if found.protocol[name] != here.get(name)]
    if differing:
        theirs, ours = (
            ", ".join(f"{name} {protocol.get(name)}" for name in differing)
            for protocol in (found.protocol, here)
        )
        raise InputError(
            f"{plan.folder(fold)} holds a fold of another cross-validation ({theirs}; here: "
            f"{ours}). Choose another folder."
        )
    return found


def check_done(plan: Plan, data: SupervisedDataModule) -> None:
    """Refuse to go on with folds of other data or another model, by the first that is done.

    Raises:
        InputError: It is of others.
    """
    found = next(((fold, it) for fold in plan.folds if (it := done(plan, fold))), None)
    if found is None or not found[1].made_of:
        return
    fold, result = found
    now = made_of(plan.models(data, fold.split, fold.seed), data)
    for what, words in (("data", "other data"), ("structure", "another model")):
        if result.made_of.get(what, now[what]) != now[what]:  # older folds have no structure
            raise InputError(
                f"{plan.folder(fold)} is a fold of {words}, and folds of both cannot be "
                "averaged. Choose another folder (--new in the command line)."
            )


@contextmanager
def claimed(plan: Plan, folds: Sequence[Fold]) -> Iterator[list[Fold]]:
    """Hold the locks of folds; yield those that no other process trains or has trained."""
    if plan.root is None:
        yield list(folds)
        return
    mine = []
    with ExitStack() as locks:
        for fold in folds:
            home = plan.folder(fold)
            home.mkdir(parents=True, exist_ok=True)
            try:
                locks.enter_context(FileLock(home / LOCK, timeout=0))
            except Timeout:
                say(f"{fold} is being trained by another process")
                continue
            if done(plan, fold) is None:
                mine.append(fold)
        yield mine
        for fold in mine:
            (plan.folder(fold) / LOCK).unlink(missing_ok=True)
