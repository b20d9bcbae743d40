"""Which folds there are, a pure function of their numbers, and how they are trained."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split, Splitter
from dlp.directions import Mode
from dlp.errors import InputError
from dlp.folds.identity import plain
from dlp.folds.making import FoldModels, FoldTrainers
from dlp.seeds import derived_seed


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
        models: Makes the model of each fold.
        trainers: Makes the Trainer of each fold.
        max_epochs: Epochs of each fold.
        monitor: The metric that says which epoch is best.
        monitor_mode: Whether less or more of it is better; None asks the model.
        root: The folder of the cross-validation; None writes nothing.
        baselines: Fit a linear model and gradient boosting on each fold, too.
        processes: Most processes that share folds which are trained all at once.
    """

    folds: Sequence[Fold]
    models: FoldModels
    trainers: FoldTrainers
    max_epochs: int
    monitor: str
    monitor_mode: Mode | None = None
    root: Path | None = None
    baselines: bool = False
    processes: int = 1

    @property
    def given_directions(self) -> dict[str, Mode]:
        """What `monitor_mode` says, as a `History` takes it."""
        return {} if self.monitor_mode is None else {self.monitor: self.monitor_mode}

    def folder(self, fold: Fold) -> Path:
        """Return the folder of a fold."""
        assert self.root is not None
        return fold_folder(self.root, fold.repeat, fold.fold)

    def protocol(self, fold: Fold) -> dict[str, Any]:
        """Return what a fold's numbers depend on beside data and model, as JSON has it."""
        parts = {part.name: getattr(fold.split, part.name) for part in fields(fold.split)}
        parts["split_seed"] = parts.pop("seed")
        split = {name: plain(value, inside=True) for name, value in parts.items()}
        return {"max_epochs": self.max_epochs, "seed": fold.seed, **split}
