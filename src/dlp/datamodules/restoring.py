"""A DataModule made again from a checkpoint, to treat new inputs as those of the fit."""

import inspect
import os
from typing import Any, ClassVar, Self, cast

from lightning import LightningDataModule

from dlp.checkpoint_content import data_states, is_plain, plain, read_checkpoint
from dlp.datamodules.shared_arguments import SharedArguments, spell_out
from dlp.errors import InputError


class RestorableDataModule(LightningDataModule):
    """Keeps the arguments it was made with, as far as they are plain values.

    Args:
        batch_size: Rows a training batch.
        eval_batch_size: Rows a batch of validation, test and prediction.
        val_size: Rows to validate on, where the set has no validation part of its own: a count, a
            fraction, or null to train on everything.
        train_size: Use only so many training rows.
        split_seed: Shuffle before any cut; null keeps the order given, in which the first rows
            validate.
        stratify: Give every class its share in each part.
        num_folds: K of K-fold validation.
        fold: The fold that validates, from 0.
        repeat: The repetition of a repeated K-fold, from 0.
        drop_duplicates: Remove rows that stand in two parts from the earlier one.
    """

    #: Arguments that are the data themselves: too large for a checkpoint.
    data_arguments: ClassVar[frozenset[str]] = frozenset()
    arguments: dict[str, Any]
    #: The defaults of the shared arguments: of this class, and of a subclass those it changes.
    defaults: ClassVar[SharedArguments] = {
        "batch_size": 32,
        "eval_batch_size": 1024,
        "val_size": 0.2,
        "train_size": None,
        "split_seed": 0,
        "stratify": False,
        "num_folds": None,
        "fold": 0,
        "repeat": 0,
        "drop_duplicates": False,
    }

    def __init_subclass__(cls) -> None:
        """Complete the defaults, and name the shared arguments in the signature."""
        super().__init_subclass__()
        inherited = cast(RestorableDataModule, super(cls, cls)).defaults
        cls.defaults = {**inherited, **cls.defaults}
        if "__init__" in vars(cls):
            spell_out(cls.__init__, cls.defaults)
        elif cls.defaults != inherited:
            raise TypeError(f"{cls.__name__} has defaults of its own: give it an __init__ too.")

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # those of each subclass
        """Note the arguments, whatever the subclass: it need not do so itself."""
        made = super().__new__(cls)
        try:
            given = inspect.signature(cls.__init__).bind_partial(made, *args, **kwargs)
        except TypeError:  # __init__ says it better
            return made
        made.arguments = {
            name: plain(value)
            for name, value in list(given.arguments.items())[1:]
            if name not in cls.data_arguments and is_plain(plain(value))
        }
        return made

    @classmethod
    def load_from_checkpoint(  # type: ignore[override] # a descriptor in Lightning
        cls,
        checkpoint_path: str | os.PathLike[str],
        **arguments: Any,  # those of each subclass
    ) -> Self:
        """Return a DataModule that knows what the run of a checkpoint has learned from its data.

        The training data need not be there: new inputs become what those of the run became.

        Args:
            checkpoint_path: A checkpoint of a fit with this DataModule.
            **arguments: Arguments that are to be others than in the run, such as ``predict_path``;
                and those that a checkpoint cannot hold, such as arrays and classes of your own.

        Raises:
            InputError: There is no such checkpoint, it is of another DataModule, or an argument
                is missing.
        """
        states = data_states(read_checkpoint(checkpoint_path))
        state = states.get(cls.__qualname__)
        if state is None:
            known = next(iter(states), "")
            advice = f"use {known}.load_from_checkpoint" if known else "it was fitted without one"
            raise InputError(f"{checkpoint_path} is no checkpoint of {cls.__name__}: {advice}.")
        given = {**state.get("arguments", {}), **arguments}
        parameters = inspect.signature(cls.__init__).parameters.values()
        missing = [
            parameter.name
            for parameter in list(parameters)[1:]
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and parameter.name not in given
        ]
        if missing:
            raise InputError(
                f"{cls.__name__}.load_from_checkpoint needs {', '.join(missing)}: the checkpoint "
                f"does not hold it. Give it: load_from_checkpoint(path, {missing[0]}=...)."
            )
        data = cls(**given)
        data.load_state_dict(state)
        return data
