"""Run folders: ``runs/<config name>/version_N``, made anew for each fit and never overwritten."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlp.errors import InputError, MissingInputError

#: The folder of all runs, below the working directory.
ROOT = Path("runs")
#: The file whose lock says that a process trains in the folder; it is gone when the process ends.
LOCK = ".fit.lock"
#: What says that a folder holds a run, or a part of one.
_TRACES = ("config.yaml", "history.json", "results.json", "crossval.yaml", "checkpoints")
#: Folders that number the runs of what their parent is named after.
_NUMBERED = re.compile(r"((version|seed|repeat|fold|study|trial)(_\d+)+_?)+")


@dataclass(frozen=True)
class Run:
    """One run's folder and what lies in it.

    Args:
        folder: The folder, ``runs/<name>/version_N``.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The name of the config, or of the folder where that was chosen by hand."""
        return config_name(self.folder)

    @property
    def config(self) -> Path:
        """The complete recipe of this run."""
        return self.folder / "config.yaml"

    @property
    def is_crossval(self) -> bool:
        """Whether it is a cross-validation."""
        return (self.folder / "crossval.json").is_file()

    @property
    def recorded_at(self) -> int | None:
        """When an epoch was last recorded, in ns of the file system; None before the first."""
        path = self.folder / "history.json"
        return path.stat().st_mtime_ns if path.exists() else None

    def is_in(self, folder: str) -> bool:
        """Whether `folder` is this run's, by whatever path."""
        return self.folder.resolve() == Path(folder).resolve()

    def checkpoint(self, which: str | None = None) -> Path | None:
        """Return a checkpoint there is: ``best``, ``last``, or None for the best, else the last."""
        names = [which] if which else ["best", "last"]
        paths = [self.folder / "checkpoints" / f"{name}.ckpt" for name in names]
        return next((path for path in paths if path.is_file()), None)


def config_name(folder: Path) -> str:
    """Return the name of the config that a run's folder, or one below it, is of."""
    folder = folder.resolve()
    while _NUMBERED.fullmatch(folder.name):
        folder = folder.parent
    return folder.name


def run_title(folder: Path) -> str:
    """Return what stands above the figures of a run: its config and version."""
    return f"{folder.resolve().parent.name} {folder.name}"


def new_run(name: str) -> Run:
    """Make the next ``version_N`` folder of `name` and return it; two processes get two.

    Raises:
        InputError: It cannot be made.
    """
    parent = ROOT / name
    _make(parent)
    number = max((_version(path) for path in parent.glob("version_*")), default=-1) + 1
    while True:
        folder = parent / f"version_{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _unmade(folder, error) from error
        else:
            return Run(folder)


def newest_run(name: str, which: str | None = None) -> Run | None:
    """Return the newest run of `name` that has a checkpoint (of that kind); None if none has."""
    return next((run for run in runs_of(name) if run.checkpoint(which)), None)


def runs_of(name: str) -> list[Run]:
    """Return the runs of `name`, the newest first."""
    folders = sorted((ROOT / name).glob("version_*"), key=_version, reverse=True)
    return [Run(folder) for folder in folders]


def run_of(checkpoint: Path) -> Run | None:
    """Return the run whose folder `checkpoint` lies in; None if it lies elsewhere."""
    for folder in (checkpoint.parent, checkpoint.parent.parent):
        if (folder / "config.yaml").is_file():
            return Run(folder)
    return None


def existing_checkpoint(given: str, which: Literal["last"] | None = None) -> Path:
    """Return the path of a checkpoint, or of one in a run's folder.

    Args:
        given: A checkpoint, or the folder of a run.
        which: The ``last`` one of a folder; None for the best, else the last.

    Raises:
        MissingInputError: There is none.
    """
    path = Path(given)
    if path.is_dir():
        found = Run(path).checkpoint(which)
        if found is None:
            names = "last.ckpt" if which else "best.ckpt or last.ckpt"
            raise MissingInputError(f"the folder {given} holds no checkpoints/{names}.")
        return found
    if not path.is_file():
        raise MissingInputError(
            f"there is no checkpoint {given}. Accepted: a .ckpt file, a run's folder, best or last."
        )
    return path


@contextmanager
def claimed(given: str | None, name: str) -> Iterator[Run]:
    """Give a new run's folder to this process alone, until the block ends.

    Where nothing came of the run, all that was made for it is gone afterwards; what lay in the
    folder before stays.

    Args:
        given: The folder the user chose; None makes the next ``version_N`` of `name`.
        name: What runs of the config are called.

    Raises:
        InputError: A run lies in the folder already, another process trains in it, or it cannot
            be made.
    """
    made: list[Path] = []
    if given is None:
        run = new_run(name)
        made.append(run.folder)
    else:
        run = Run(Path(given))
        made += _make(run.folder)
    try:
        with locked(run):
            if any((run.folder / trace).exists() for trace in _TRACES):
                raise InputError(
                    f"{given} holds a run already, and runs are never overwritten. Choose another "
                    f"--run_dir, or go on with this one by --ckpt_path last --run_dir {given}."
                )
            before = set(run.folder.iterdir())
            try:
                yield run
            finally:
                if set(run.folder.iterdir()) - before == {run.config}:  # nothing was trained
                    run.config.unlink()
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # the run lies in it
                folder.rmdir()


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Let this process alone train in a run's folder; the lock of a process that died is free.

    Raises:
        InputError: Another process trains in it, or nothing can be written there.
    """
    from filelock import FileLock, Timeout  # commands that only read runs do without

    lock = FileLock(run.folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another process is training in {run.folder}: wait for its end, or choose another "
            "--run_dir."
        ) from error
    except OSError as error:
        raise InputError(f"cannot write to {run.folder}: {error.strerror}.") from error
    try:
        yield
    finally:
        with suppress(OSError):
            (run.folder / LOCK).unlink()
        lock.release()


def _make(folder: Path) -> Sequence[Path]:
    """Make a folder and those above it; return what was made, the outermost first.

    Raises:
        InputError: It cannot be made.
    """
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unmade(folder, error) from error
    return absent[::-1]


def _unmade(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot make the folder {folder}: {error.strerror}. Choose a place that you can write to: "
        "--run_dir, or another working directory."
    )


def _version(path: Path) -> int:
    number = path.name.removeprefix("version_")
    return int(number) if number.isdigit() else -1
