"""A model and a Trainer of its own for each fold, whatever the folds are given in common."""

import copy
from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar

from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split
from dlp.errors import InputError

#: From the data, fitted on a fold's training part, to a new model.
MakeModel = Callable[[SupervisedDataModule], LightningModule]
#: From the number of epochs and the callbacks of a fold to a new Trainer.
MakeTrainer = Callable[[int, list[Callback]], Trainer]

_T = TypeVar("_T")


class FoldModels:
    """Makes the model of each fold by a person's function, with weights of its own.

    Args:
        make: From the data, fitted on a fold's training part, to a new model.
    """

    def __init__(self, make: MakeModel) -> None:
        self._make = make
        self._first: tuple[Split, LightningModule] | None = None
        self._owners: MutableMapping[Tensor, Split] = WeakTensorKeyDictionary()

    def first(self, data: SupervisedDataModule, split: Split, seed: int) -> LightningModule:
        """Return a model to be looked at, which the next call gives again if of that split."""
        model = self(data, split, seed)
        self._first = split, model
        return model

    def __call__(self, data: SupervisedDataModule, split: Split, seed: int) -> LightningModule:
        """Return the new model of a fold, to whose split `data` is set.

        Raises:
            InputError: It has weights of another fold's model.
        """
        first, self._first = self._first, None
        if first is not None and first[0] is split:
            return first[1]
        seed_everything(seed, workers=False, verbose=False)
        data.resplit(split)
        model = self._make(data)
        for weight in (each for each in model.parameters() if each.requires_grad):
            if self._owners.setdefault(weight, split) is not split:
                raise InputError(
                    "make_model gave a model whose weights are another fold's too, so that they "
                    "would have seen the rows it is validated on: make a new network in it each "
                    "time."
                )
        return model


class FoldTrainers:
    """Makes the Trainer of each fold by a person's function, with objects of its own.

    As scikit-learn clones an estimator for each fold: a callback, logger or profiler that the
    function gives every time would go from fold to fold with all it has counted, so that each
    Trainer gets a copy of it as it was. Which these are is found by a sample, a Trainer that is
    never run; what the function makes anew each time stays as it is.

    Args:
        make: From the number of epochs and the callbacks of a fold to a new Trainer.
    """

    def __init__(self, make: MakeTrainer) -> None:
        self._make = make
        self._sample: Any = None

    def sample(self, max_epochs: int) -> Trainer:
        """Return a Trainer such as the folds will have; it is made at the first call."""
        if self._sample is None:
            self._sample = self._make(max_epochs, [])
        trainer: Trainer = self._sample
        return trainer

    def __call__(self, max_epochs: int, callbacks: list[Callback]) -> Trainer:
        """Return the Trainer of a fold.

        Raises:
            InputError: It is not a new one, not for so many epochs, or lacks the callbacks; or
                what it shares with others cannot be copied.
        """
        sample: Any = self.sample(max_epochs)
        if sample.progress_bar_callback is None:  # Lightning refuses one then
            callbacks = [each for each in callbacks if not isinstance(each, ProgressBar)]
        trainer: Any = self._make(max_epochs, callbacks)
        self._check(trainer, max_epochs, callbacks)
        shared = {id(each) for each in (*sample.callbacks, *sample.loggers, sample.profiler)}
        trainer.callbacks = [_own(each, shared) for each in trainer.callbacks]
        if any(id(logger) in shared for logger in trainer.loggers):
            trainer.loggers = [_own(each, shared) for each in trainer.loggers]
        trainer.profiler = _own(trainer.profiler, shared)
        made: Trainer = trainer
        return made

    def _check(self, trainer: Any, max_epochs: int, callbacks: list[Callback]) -> None:
        sample = self._sample
        if trainer is sample:
            raise InputError("make_trainer gave the same Trainer twice: make a new one each time.")
        if trainer.strategy is sample.strategy:
            raise InputError(
                f"make_trainer gave the same {type(trainer.strategy).__name__} twice, which keeps "
                "the model of a fold: make a new strategy each time."
            )
        if trainer.max_epochs != max_epochs and not trainer.fast_dev_run:
            raise InputError(
                f"make_trainer was asked for {max_epochs} epochs and made a Trainer for "
                f"{trainer.max_epochs}: give it max_epochs=max_epochs."
            )
        there = {id(callback) for callback in trainer.callbacks}
        for callback in callbacks:  # bars and checkpoints may be left out
            if id(callback) not in there and not isinstance(callback, ProgressBar | Checkpoint):
                raise InputError(
                    f"make_trainer left out {type(callback).__name__}, which records the fold: add "
                    "all callbacks that it is given to the Trainer's."
                )


def _own(given: _T, shared: set[int]) -> _T:
    """Return a copy of what is shared, and anything else as it is."""
    if id(given) not in shared:
        return given
    try:
        return copy.deepcopy(given)
    except Exception as error:  # whatever a person's object raises
        name = type(given).__name__
        raise InputError(
            f"each fold needs a {name} of its own, and this one cannot be copied ({error}): make a "
            "new one in make_trainer each time."
        ) from error
