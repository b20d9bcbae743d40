"""Studies on disk: folders ``runs/<config name>/study_N`` that several processes may share."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

import optuna
import yaml
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from dlp.errors import InputError
from dlp.files import write_text
from dlp.runs.folders import ROOT
from dlp.search.journal import open_journal
from dlp.search.method import Search
from dlp.search.space import Space

#: Trials that count: they ended with a value, or were stopped as hopeless.
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
#: How often a trial is begun again after its process died: it may be what kills them.
MAX_RETRIES = 2


@dataclass(frozen=True)
class Definition:
    """What makes two studies equal, so that one may go on with the other.

    Args:
        name: What runs of the config are called.
        recipe: The complete config, as YAML; None where no config is searched.
        space: The space and how a trial is judged, as YAML.
        direction: ``minimize`` or ``maximize``.
        data: A word for the rows that are read; empty where nobody has looked.
    """

    name: str
    recipe: str | None
    space: str
    direction: Literal["minimize", "maximize"]
    data: str = ""

    @property
    def files(self) -> dict[str, str]:
        """Name -> text of the files that say it in a study's folder."""
        recipe = {} if self.recipe is None else {"config.yaml": self.recipe}
        return {**recipe, "space.yaml": self.space}

    def kept_in(self, folder: Path) -> "Definition | None":
        """Return this definition in the words of the study in `folder`; None if that is another.

        Configs are equal by content: a later release may write their keys in another order.
        """
        kept = {
            name: (folder / name).read_text("utf-8")
            for name in ("config.yaml", "space.yaml")
            if (folder / name).is_file()
        }
        if kept.keys() != self.files.keys() or kept["space.yaml"] != self.space:
            return None
        recipe = kept.get("config.yaml")
        is_same = recipe == self.recipe or yaml.safe_load(recipe or "") == yaml.safe_load(
            self.recipe or ""
        )
        return replace(self, recipe=recipe) if is_same else None

    @property
    def hash(self) -> str:
        """One word for all of it."""
        return hashlib.sha256(f"{self.recipe}\n---\n{self.space}".encode()).hexdigest()


class Study:
    """A study and its folder; every process that works on it has one of these.

    Args:
        folder: The folder, there already.
        definition: What is searched.
        search: How: its storage, and what says which trials are hopeless.

    Raises:
        InputError: The database cannot be used, or holds another study of that name.
    """

    def __init__(self, folder: Path, definition: Definition, search: Search) -> None:
        self.folder = folder
        self.name = definition.name
        self.lock = FileLock(folder / ".lock")
        place, storage = folder.resolve(), search.storage
        try:
            self._storage = open_journal(folder) if storage is None else RDBStorage(storage)
            self.optuna = optuna.create_study(
                study_name=f"{place.parent.name}/{place.name}",
                storage=self._storage,
                direction=definition.direction,
                pruner=search.make_pruner(),
                load_if_exists=True,
            )
        except Exception as error:  # whatever the database's driver raises
            if storage is None:
                raise
            raise InputError(f"cannot use the storage {storage.split('@')[-1]}: {error}") from error
        known = self.optuna.user_attrs.get("definition")
        if known is None:
            self.optuna.set_user_attr("definition", definition.hash)
        elif known != definition.hash:
            raise InputError(
                f"the storage holds a study {self.optuna.study_name} of another config or space "
                "already: use another --run_dir or another storage."
            )
        begun_with = self.optuna.user_attrs.get("data", definition.data)
        if definition.data and begun_with != definition.data:
            raise InputError(
                f"the data have changed since the study {self.optuna.study_name} began, so that "
                "its trials cannot be compared with new ones: start another by --new."
            )
        if definition.data and "data" not in self.optuna.user_attrs:
            self.optuna.set_user_attr("data", definition.data)
        begun_to = self.optuna.direction.name.lower()
        if begun_to != definition.direction:  # the model's word has changed, or ours
            raise InputError(
                f"the study {self.optuna.study_name} was begun to {begun_to} its metric, which is "
                f"one to {definition.direction}: start another by --new."
            )

    def close(self) -> None:
        """Let go of the database, if there is one."""
        self._storage.remove_session()
        if isinstance(self._storage, RDBStorage):
            self._storage.engine.dispose()

    # Trials ------------------------------------------------------------------------------------

    def trials(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials so far, of all processes."""
        return self.optuna.get_trials(deepcopy=False, states=None if states is None else [*states])

    def num_finished(self) -> int:
        """How many trials are complete or pruned."""
        return len(self.trials(FINISHED))

    def best(self, number: int = 1) -> list[FrozenTrial]:
        """Return the best complete trials, the best first."""
        sign = 1 if self.optuna.direction == optuna.study.StudyDirection.MINIMIZE else -1
        complete = self.trials([TrialState.COMPLETE])
        ranked = sorted(complete, key=lambda trial: (sign * (trial.value or 0), trial.number))
        return ranked[:number]

    def folder_of(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / f"trial_{number:04}"

    @contextmanager
    def begin(self, space: Space, search: Search) -> Iterator[Trial | None]:
        """Begin a trial, if there is one left to begin; others see it running inside the block.

        Args:
            space: What is searched.
            search: How, and how many finished trials the study is to have in all.
        """
        with ExitStack() as held:
            with self.lock:
                self._bury()
                trial = self._next(space, search)
                if trial is not None:
                    self._set_aside(trial.number)
                    held.enter_context(self._running(trial.number))
            yield trial

    def _next(self, space: Space, search: Search) -> Trial | None:
        trials = self.trials()
        if len(self.trials([*FINISHED, TrialState.RUNNING])) >= search.wanted(space):
            return None
        if search.sampler == "grid" and not self.trials([TrialState.WAITING]):
            taken = [trial.params for trial in trials]
            left = (point for point in space.grid(search.seed) if point not in taken)
            if (point := next(left, None)) is None:
                return None
            self.optuna.enqueue_trial(point)
        # A sampler of its own for each trial: one that goes on in another process would draw
        # again what the first one drew.
        self.optuna.sampler = search.make_sampler(len(trials))
        return self.optuna.ask(space.distributions)

    def _set_aside(self, number: int) -> None:
        """Rename the folder of a trial that the storage has lost, whose number is given anew."""
        folder = self.folder_of(number)
        if folder.is_dir() and any(path.name != ".lock" for path in folder.iterdir()):
            lost = (self.folder / f"lost_{number:04}_{again}" for again in count())
            folder.rename(next(place for place in lost if not place.exists()))

    def _running(self, number: int) -> FileLock:
        folder = self.folder_of(number)
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock")

    def _bury(self) -> None:
        """Mark the trials of dead processes as failed, and queue them again."""
        for trial in self.trials([TrialState.RUNNING]):
            try:
                with self._running(trial.number).acquire(timeout=0):
                    self.fail(trial.number, "its process died")
                    self.queue_again(trial)
            except Timeout:
                continue  # it is held: its process lives

    def queue_again(self, trial: FrozenTrial) -> None:
        """Let the values of a trial that could not end be tried again."""
        retries = trial.user_attrs.get("retries", 0)
        if retries < MAX_RETRIES:
            self.optuna.enqueue_trial(trial.params, user_attrs={"retries": retries + 1})

    def fail(self, number: int, message: str) -> None:
        """End a trial that could not be done."""
        self.optuna.set_user_attr(f"error of trial {number}", message)
        self.optuna.tell(number, state=TrialState.FAIL)

    def keep_best(self) -> None:
        """Delete the checkpoints of all ended trials but the best one."""
        with self.lock:
            kept = {trial.number for trial in [*self.best(), *self.trials([TrialState.RUNNING])]}
            folders = {self.folder_of(number) for number in kept}
            for folder in self.folder.glob("trial_*"):
                if folder not in folders:
                    for checkpoints in folder.rglob("checkpoints"):
                        shutil.rmtree(checkpoints, ignore_errors=True)


def open_study(definition: Definition, given: Path | None, space: Space, search: Search) -> Study:
    """Return the study to go on with, or a new one; processes that ask together get the same.

    Args:
        definition: What makes it this study.
        given: The folder the user chose; None takes the newest ``study_N`` of the same definition
            that has fewer finished trials than are wanted.
        space: What is searched.
        search: How.

    Raises:
        InputError: Something else lies in the folder, or it cannot be made.
    """
    parent = ROOT / definition.name if given is None else given
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {parent}: {error.strerror}.") from error
    with FileLock(parent / ".lock"):
        if given is not None:
            taken = any((parent / name).exists() for name in ("config.yaml", "space.yaml"))
            if taken and (search.new or definition.kept_in(parent) is None):
                others = "something else, or a study of another config or space"
                what = "a study" if search.new else others
                raise InputError(f"{given} holds {what} already. Choose another --run_dir.")
            return _made(parent, definition, search)
        folders = sorted(parent.glob("study_*"), key=_number)
        for folder in [] if search.new else reversed(folders):
            in_file = (folder / "study.log").exists()
            kept = definition.kept_in(folder)
            if kept is not None and in_file == (search.storage is None):
                study = Study(folder, kept, search)
                if study.num_finished() < search.wanted(space):
                    return study
                study.close()
        folder = parent / f"study_{max(map(_number, folders), default=-1) + 1}"
        folder.mkdir()
        return _made(folder, definition, search)


def _made(folder: Path, definition: Definition, search: Search) -> Study:
    kept = definition.kept_in(folder)
    study = Study(folder, kept or definition, search)
    if kept is None:
        for name, text in definition.files.items():
            write_text(folder / name, text)
    return study


def _number(folder: Path) -> int:
    number = folder.name.removeprefix("study_")
    return int(number) if number.isdigit() else -1
