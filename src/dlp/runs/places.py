"""Numbered folders of runs: ``runs/<name>/version_N``, or ``study_N``."""

from contextlib import suppress
from itertools import count
from pathlib import Path

from dlp.console import command_text
from dlp.errors import InputError

ROOT = Path("runs")


def numbered(name: str | Path, kind: str = "version") -> list[Path]:
    """Return the numbered folders of runs with a name, the newest first.

    Args:
        name: Name of the runs, such as imdb, imdb.yaml or runs/imdb.
        kind: Prefix of the folders' names, ``version`` or ``study``.
    """
    folders = []
    name = Path(name).as_posix().removeprefix(f"{ROOT}/").removesuffix(".yaml")
    for path in (ROOT / name).glob(f"{kind}_*"):
        if path.name.removeprefix(f"{kind}_").isdigit():
            folders.append(path)
    return sorted(folders, key=_number, reverse=True)


def make(name: str, kind: str = "version", folder: str | Path | None = None) -> Path:
    """Make the folder of a run.

    Args:
        name: Name of the runs, which is a folder in ``runs``.
        kind: Prefix of the folder's name: ``version`` or ``study``.
        folder: Folder given by the user, which must be empty. None makes the folder with the next
            number.

    Raises:
        InputError: If the folder contains files, or cannot be created.
    """
    if folder is not None:
        path = Path(folder)
        create(path)
        if not is_empty(path):
            raise holds_files(path)
        return path
    numbers = [_number(path) for path in numbered(name, kind)]
    for number in count(max(numbers, default=-1) + 1):
        path = ROOT / name / f"{kind}_{number}"
        with suppress(FileExistsError):  # another process has just made it
            path.mkdir(parents=True)
            break
    return path


def is_empty(folder: Path) -> bool:
    """Return True if a folder has no files except locks and leftovers of killed processes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return all(path.name.startswith(".") for path in files)


def holds_files(folder: Path) -> InputError:
    """Return the error for a ``run_dir`` that is not empty."""
    advice = "Give a new folder"
    if (folder / "checkpoints" / "last.ckpt").is_file():
        advice += f", or continue its fit with dlp {command_text('fit', '--ckpt_path', folder)}"
    return InputError(f"run_dir {folder} contains files, and dlp never overwrites a run. {advice}.")


def create(folder: Path) -> None:
    """Create a folder that the user has given."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"run_dir {folder} cannot be created: {error.strerror}. Choose a folder in "
            "which you may write."
        ) from error


def _number(folder: Path) -> int:
    return int(folder.name.partition("_")[2])
