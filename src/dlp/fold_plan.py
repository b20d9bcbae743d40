"""Which folds there are: each a split of its own and a seed, a pure function of its numbers."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splits import Split, Splitter
from dlp.errors import InputError
from dlp.imports import imported
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
