"""Which folds there are, a pure function of their numbers, and how each of them is made."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from lightning import LightningModule, seed_everything
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split, Splitter
from dlp.directions import Mode, directions_of
from dlp.errors import InputError
from dlp.evaluation.baselines import baselines_on
from dlp.evaluation.fitted_baselines import as_baselines, fitted_baselines
from dlp.folds.identity import made_of, plain
from dlp.folds.results import FoldResult
from dlp.folds.trainers import FoldTrainers
from dlp.runs.record import count_parameters
from dlp.seeds import derived_seed

#: From the data, fitted on a fold's training part, to a new model.
MakeModel = Callable[[SupervisedDataModule], LightningModule]

#: The file whose lock says that a fold is being trained.
LOCK = ".lock"


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation.

    Args:
        number: Its number among all of them, from 0: ``repeat * num_folds + fold``.
        repeat: The repetition, from 0.
        fold: The fold that validates, from 0.
        seed: Of its weights, its order of batches and its dropout.
        split: The parts of the rows.
    """

    number: int
    repeat: int
    fold: int
    seed: int
    split: Split

    def __str__(self) -> str:
        """Return what people call it."""
        return f"repeat {self.repeat} fold {self.fold}"


def fold_folder(root: Path, repeat: int, fold: int) -> Path:
    """Return the folder of a fold in that of its cross-validation."""
    return root / f"repeat_{repeat}" / f"fold_{fold}"


def plan_folds(
    data: SupervisedDataModule,
    num_folds: int,
    repeats: int,
    splitter: Splitter | None,
    seed: int,
) -> list[Fold]:
    """Return all folds, repeat by repeat.

    Args:
        data: Its split says how rows are shuffled, stratified, grouped or kept in order.
        num_folds: K; not used with a splitter, which has a number of its own.
        repeats: P.
        splitter: Gives the folds instead of K-fold.
        seed: The seed of each fold is derived from it.

    Raises:
        InputError: A number is out of range, or a splitter is to be repeated.
    """
    if repeats < 1:
        raise InputError(f"repeats must be 1 or more, got {repeats}.")
    split = replace(data.split, num_folds=num_folds, fold=0, repeat=0, splitter=None)
    if splitter is not None:
        if repeats > 1:
            raise InputError("a splitter says itself how often it repeats: leave out repeats.")
        split = replace(split, num_folds=None, splitter=splitter)
        data.resplit(split)
        num_folds = data.num_splits
    return [
        Fold(
            repeat * num_folds + fold,
            repeat,
            fold,
            derived_seed(seed, repeat, fold) % 2**32,  # what seed_everything takes
            replace(split, fold=fold, repeat=repeat),
        )
        for repeat in range(repeats)
        for fold in range(num_folds)
    ]


def chosen(folds: Sequence[Fold], numbers: Sequence[int] | None) -> list[Fold]:
    """Return the folds of these numbers, or all of them.

    Raises:
        InputError: There is no fold of a number.
    """
    if numbers is None:
        return list(folds)
    for number in numbers:
        if not 0 <= number < len(folds):
            raise InputError(f"fold must be 0 to {len(folds) - 1}, got {number}.")
    return [folds[number] for number in numbers]


@dataclass(frozen=True)
class Plan:
    """Which folds there are, how they are trained, and where their files go.

    Args:
        folds: All folds, in order.
        make_model: From the data, fitted on a fold's training part, to a new model.
        trainers: Makes the Trainer of each fold.
        max_epochs: Epochs of each fold.
        monitor: The metric that says which epoch is best.
        monitor_mode: Whether less or more of it is better; None asks the model.
        root: The folder of the cross-validation; None writes nothing.
        baselines: Fit a linear model and gradient boosting on each fold, too.
    """

    folds: Sequence[Fold]
    make_model: MakeModel
    trainers: FoldTrainers
    max_epochs: int
    monitor: str
    monitor_mode: Mode | None = None
    root: Path | None = None
    baselines: bool = False
    _owners: MutableMapping[Tensor, int] = field(
        default_factory=WeakTensorKeyDictionary, init=False, repr=False
    )
    _made: list[tuple[Fold, LightningModule]] = field(default_factory=list, init=False, repr=False)

    @property
    def given_directions(self) -> dict[str, Mode]:
        """What `monitor_mode` says, as a `History` takes it."""
        return {} if self.monitor_mode is None else {self.monitor: self.monitor_mode}

    def folder(self, fold: Fold) -> Path:
        """Return the folder of a fold."""
        assert self.root is not None
        return fold_folder(self.root, fold.repeat, fold.fold)

    # Making models -----------------------------------------------------------------------------

    def look(self, fold: Fold, data: SupervisedDataModule) -> LightningModule:
        """Return the model of a fold, which the next call of `model` gives again, if of that fold.

        The first model says which engine goes with it, and is then trained.
        """
        model = self.model(fold, data)
        self._made.append((fold, model))
        return model

    def model(self, fold: Fold, data: SupervisedDataModule) -> LightningModule:
        """Return the new model of a fold, to whose split `data` is set.

        Raises:
            InputError: It has weights of another fold's model.
        """
        while self._made:
            of, model = self._made.pop()
            if of is fold:
                return model
        return self.new_model(data, fold.split, fold.seed, fold.number)

    def new_model(
        self, data: SupervisedDataModule, split: Split, seed: int, number: int = -1
    ) -> LightningModule:
        """Return a new model, to whose split `data` is set; see `model`."""
        seed_everything(seed, workers=False, verbose=False)
        data.resplit(split)
        model = self.make_model(data)
        for weight in (each for each in model.parameters() if each.requires_grad):
            if self._owners.setdefault(weight, number) != number:
                raise InputError(
                    "make_model gave a model whose weights are another fold's too, so that they "
                    "would have seen the rows it is validated on: make a new network in it each "
                    "time."
                )
        return model

    # What is done ------------------------------------------------------------------------------

    def result(
        self,
        fold: Fold,
        data: SupervisedDataModule,
        model: LightningModule,
        history: dict[str, list[float]],
        engine: Literal["serial", "stacked"],
        of: dict[str, str],
    ) -> FoldResult:
        """Return the result of a fold, to whose split `data` is set.

        Args:
            fold: The fold.
            data: Its data.
            model: Its model, trained or about to be.
            history: Metric -> one number an epoch.
            engine: How it is trained.
            of: What `made_of` said of the new model.
        """
        baseline = baselines_on(model, data, "val")
        if self.baselines:
            baseline |= as_baselines(fitted_baselines(model, data, ["val"]), "val")
        return FoldResult(
            fold.repeat,
            fold.fold,
            len(data.inputs("train")),
            len(data.inputs("val")),
            history,
            baseline,
            engine,
            fold.seed,
            count_parameters(model),
            self.protocol(fold),
            directions_of(model) | self.given_directions,
            made_of=of,
        )

    def protocol(self, fold: Fold) -> dict[str, Any]:
        """Return what a fold's numbers depend on beside data and model, as JSON has it."""
        parts = {part.name: getattr(fold.split, part.name) for part in fields(fold.split)}
        parts["split_seed"] = parts.pop("seed")
        split = {name: plain(value, inside=True) for name, value in parts.items()}
        return {"max_epochs": self.max_epochs, "seed": fold.seed, **split}

    def done(self, fold: Fold) -> FoldResult | None:
        """Return the result of a fold whose files say that it is done.

        Raises:
            InputError: Its files are those of another cross-validation.
        """
        found = None if self.root is None else FoldResult.read(self.folder(fold))
        if found is None:
            return None
        here = self.protocol(fold)
        differing = [name for name in found.protocol if found.protocol[name] != here.get(name)]
        if differing:
            theirs, ours = (
                ", ".join(f"{name} {protocol.get(name)}" for name in differing)
                for protocol in (found.protocol, here)
            )
            raise InputError(
                f"{self.folder(fold)} holds a fold of another cross-validation ({theirs}; here: "
                f"{ours}). Choose another folder."
            )
        return found

    def check_done(self, data: SupervisedDataModule) -> None:
        """Refuse to go on with folds of other data or another model, by the first that is done.

        Raises:
            InputError: It is of others.
        """
        found = next(((fold, it) for fold in self.folds if (it := self.done(fold))), None)
        if found is None or not found[1].made_of:
            return
        fold, result = found
        now = made_of(self.model(fold, data), data)
        for what, words in (("data", "other data"), ("structure", "another model")):
            if result.made_of.get(what, now[what]) != now[what]:  # older folds have no structure
                raise InputError(
                    f"{self.folder(fold)} is a fold of {words}, and folds of both cannot be "
                    "averaged. Choose another folder (--new in the command line)."
                )

    @contextmanager
    def claimed(self, folds: Sequence[Fold]) -> Iterator[list[Fold]]:
        """Hold the locks of folds; yield those that no other process trains or has trained."""
        if self.root is None:
            yield list(folds)
            return
        mine = []
        with ExitStack() as locks:
            for fold in folds:
                home = self.folder(fold)
                home.mkdir(parents=True, exist_ok=True)
                try:
                    locks.enter_context(FileLock(home / LOCK, timeout=0))
                except Timeout:
                    say(f"{fold} is being trained by another process")
                    continue
                if self.done(fold) is None:
                    mine.append(fold)
            yield mine
            for fold in mine:
                (self.folder(fold) / LOCK).unlink(missing_ok=True)
