"""Folders of runs by their numbers: ``runs/<name>/version_N``, or ``study_N``."""

from contextlib import suppress
from itertools import count
from pathlib import Path

from dlp.console import command_text
from dlp.errors import InputError

ROOT = Path("runs")


def numbered(name: str | Path, kind: str = "version") -> list[Path]:
    """Return the folders of imdb, imdb.yaml or runs/imdb, the newest first."""
    folders = []
    name = Path(name).as_posix().removeprefix(f"{ROOT}/").removesuffix(".yaml")
    for path in (ROOT / name).glob(f"{kind}_*"):
        if path.name.removeprefix(f"{kind}_").isdigit():
            folders.append(path)
    return sorted(folders, key=_number, reverse=True)


def make(name: str, kind: str = "version", folder: str | Path | None = None) -> Path:
    """Make a folder given by the user, which has to be empty, else that of the next number."""
    if folder is not None:
        path = Path(folder)
        create(path)
        if not is_empty(path):
            raise holds_files(path)
        return path
    numbers = [_number(path) for path in numbered(name, kind)]
    for number in count(max(numbers, default=-1) + 1):
        path = ROOT / name / f"{kind}_{number}"
        with suppress(FileExistsError):  # of another process
            path.mkdir(parents=True)
            break
    return path


def is_empty(folder: Path) -> bool:
    """Return True if a folder has no files but locks and temporary files of killed processes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return all(path.name.startswith(".") for path in files)


def holds_files(folder: Path) -> InputError:
    """Return the error of a ``run_dir`` that is not empty."""
    advice = "Give a new folder"
    if (folder / "checkpoints" / "last.ckpt").is_file():
        advice += f", or go on with its fit by dlp {command_text('fit', '--ckpt_path', folder)}"
    return InputError(f"run_dir {folder} holds files, and a run is never overwritten. {advice}.")


def create(folder: Path) -> None:
    """Create a folder that the user has given."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"run_dir {folder} cannot be created: {error.strerror}. Give a folder in one that you "
            "may write to."
        ) from error


def _number(folder: Path) -> int:
    return int(folder.name.partition("_")[2])
