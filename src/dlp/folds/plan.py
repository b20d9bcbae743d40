"""Which folds there are, a pure function of their numbers, and how each of them is trained."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast
from weakref import ref

import torch
import xxhash
from filelock import FileLock, Timeout
from lightning import LightningModule, seed_everything
from torch import nn

from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split, Splitter
from dlp.directions import Mode, directions_of
from dlp.errors import InputError
from dlp.evaluation.baselines import baselines_on
from dlp.evaluation.fitted_baselines import as_baselines, fitted_baselines
from dlp.folds.results import FoldResult
from dlp.folds.trainers import FoldTrainers
from dlp.imports import imported
from dlp.modules.base import SupervisedModule
from dlp.runs.results import count_parameters
from dlp.seeds import derived_seed

#: From the data, fitted on a fold's training part, to a new model.
MakeModel = Callable[[SupervisedDataModule], LightningModule]

_OTHERS = {"data": "other data", "model": "another model"}

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
        splitter: Gives the folds in place of K-fold.
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


def make_splitter(given: str | dict[str, Any] | None) -> Splitter | None:
    """Return the object that an option names.

    Args:
        given: Import path of an object or of a class to be made without arguments, or a dict of
            ``class_path`` and ``init_args``.

    Raises:
        InputError: There is no such object, or it takes other arguments.
    """
    if given is None:
        return None
    if isinstance(given, dict) and not {"class_path"} <= given.keys() <= {
        "class_path",
        "init_args",
    }:
        raise InputError(
            f"splitter takes class_path and init_args, got {', '.join(map(str, given)) or 'none'}."
        )
    path = given if isinstance(given, str) else given["class_path"]
    arguments = {} if isinstance(given, str) else given.get("init_args") or {}
    found = imported("splitter", path)
    if not inspect.isclass(found):
        return cast(Splitter, found)
    try:
        return cast(Splitter, found(**arguments))
    except (TypeError, ValueError) as error:
        raise InputError(f"the splitter {path} cannot be made: {error}.") from error


def made_of(model: LightningModule, data: SupervisedDataModule) -> dict[str, str]:
    """Return a word for the data and one for the model of a fold: what else its numbers are of."""
    parts = [type(model).__qualname__, repr(model)]
    if isinstance(model, SupervisedModule):
        loss = model.head.loss
        parts += [getattr(loss, "__qualname__", repr(loss)), repr((model.l1, model.l2))]
        with suppress(Exception):  # one that is made for certain parameters alone
            optimizer = model.make_optimizer([nn.Parameter(torch.zeros(1, 1))])
            groups = [{**group, "params": None} for group in optimizer.param_groups]
            parts += [type(optimizer).__qualname__, repr(groups)]
    words = re.sub(r" at 0x[0-9a-f]+", "", "\n".join(parts))
    rows = data.labelled_rows()[1].fingerprint()
    return {"data": rows, "model": xxhash.xxh3_64_hexdigest(words.encode())}


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
    _trained: dict[int, tuple[ref[nn.Parameter], int]] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def given_directions(self) -> dict[str, Mode]:
        """What `monitor_mode` says, as a `History` takes it."""
        return {} if self.monitor_mode is None else {self.monitor: self.monitor_mode}

    def done(self, fold: Fold) -> FoldResult | None:
        """Return the result of a fold whose files say that it is done.

        Raises:
            InputError: Its files are those of another cross-validation.
        """
        found = None if self.root is None else FoldResult.read(self.folder(fold))
        if found is not None and found.protocol != self.protocol(fold):
            raise InputError(
                f"{self.folder(fold)} holds a fold of another cross-validation "
                f"({found.protocol}; here: {self.protocol(fold)}). Choose another folder."
            )
        return found

    def protocol(self, fold: Fold) -> str:
        """Return what a fold's numbers depend on, beside data and model, in words."""
        split = re.sub(r" at 0x[0-9a-f]+", "", str(fold.split))  # a splitter's place in memory
        return f"{self.max_epochs} epochs, seed {fold.seed}, {split}"

    def folder(self, fold: Fold) -> Path:
        """Return the folder of a fold."""
        assert self.root is not None
        return fold_folder(self.root, fold.repeat, fold.fold)

    def model(self, fold: Fold, data: SupervisedDataModule) -> LightningModule:
        """Return the new model of a fold, to whose split `data` is set.

        Raises:
            InputError: It has weights of another fold's model.
        """
        return self.new_model(data, fold.split, fold.seed, fold.number)

    def new_model(
        self, data: SupervisedDataModule, split: Split, seed: int, number: int = -1
    ) -> LightningModule:
        """Return a new model, to whose split `data` is set; see `model`."""
        seed_everything(seed, workers=False, verbose=False)
        data.resplit(split)
        model = self.make_model(data)
        for weight in (each for each in model.parameters() if each.requires_grad):
            found, owner = self._trained.setdefault(id(weight), (ref(weight), number))
            if found() is weight and owner != number:
                raise InputError(
                    "make_model gave a model whose weights are another fold's too, so that they "
                    "would have seen the rows it is validated on: make a new network in it each "
                    "time."
                )
            self._trained[id(weight)] = ref(weight), number
        return model

    def result(
        self,
        fold: Fold,
        data: SupervisedDataModule,
        model: LightningModule,
        history: dict[str, list[float]],
        engine: Literal["serial", "stacked"],
    ) -> FoldResult:
        """Return the result of a fold, to whose split `data` is set."""
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
            made_of=made_of(model, data),
        )

    def check_done(self, data: SupervisedDataModule) -> None:
        """Refuse to go on with folds of other data or another model, by the first that is done.

        Raises:
            InputError: It is of others.
        """
        done = next((fold for fold in self.folds if self.done(fold) is not None), None)
        if done is None or not (found := cast(FoldResult, self.done(done)).made_of):
            return
        now = made_of(self.model(done, data), data)
        for what, word in now.items():
            if found.get(what) != word:
                raise InputError(
                    f"{self.folder(done)} is a fold of {_OTHERS[what]}, and folds of both cannot "
                    "be averaged. Choose another folder (--new in the command line)."
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
