"""Run folders: ``runs/<config name>/version_N``, made anew for each fit and never overwritten."""

from dataclasses import dataclass
from pathlib import Path

from dlp.errors import InputError, MissingInputError

#: The folder of all runs, below the working directory.
ROOT = Path("runs")


@dataclass(frozen=True)
class Run:
    """One run's folder and what lies in it.

    Args:
        folder: The folder, ``runs/<name>/version_N``.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The name of the config, of which this is a run."""
        return self.folder.resolve().parent.name

    @property
    def config(self) -> Path:
        """The complete recipe of this run."""
        return self.folder / "config.yaml"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch by the monitored metric."""
        return self.folder / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.folder / "checkpoints" / "last.ckpt"

    def checkpoint(self, which: str | None = None) -> Path | None:
        """Return a checkpoint there is: ``best``, ``last``, or None for the best, else the last."""
        wanted = {"best": [self.best], "last": [self.last], None: [self.best, self.last]}[which]
        return next((path for path in wanted if path.is_file()), None)


def new_run(name: str) -> Run:
    """Make the next ``version_N`` folder of `name` and return it; two processes get two."""
    parent = ROOT / name
    parent.mkdir(parents=True, exist_ok=True)
    number = max((_version(path) for path in parent.glob("version_*")), default=-1) + 1
    while True:
        folder = parent / f"version_{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
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


def existing_checkpoint(given: str) -> Path:
    """Return the path of a checkpoint, or of the best one of a run's folder.

    Raises:
        MissingInputError: There is none.
    """
    path = Path(given)
    if path.is_dir():
        found = Run(path).checkpoint()
        if found is None:
            raise MissingInputError(
                f"the folder {given} holds no checkpoints/best.ckpt or last.ckpt."
            )
        return found
    if not path.is_file():
        raise MissingInputError(
            f"there is no checkpoint {given}. Accepted: a .ckpt file, a run's folder, best or last."
        )
    return path


def fresh_folder(given: str) -> Run:
    """Return the run of a folder the user chose, made if it is not there.

    Raises:
        InputError: A run lies in it already.
    """
    run = Run(Path(given))
    if run.config.exists():
        raise InputError(
            f"{given} holds a run already, and runs are never overwritten. Choose another "
            "--run_dir, or go on with it by --ckpt_path last."
        )
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {given}: {error.strerror}.") from error
    return run


def _version(path: Path) -> int:
    number = path.name.removeprefix("version_")
    return int(number) if number.isdigit() else -1
