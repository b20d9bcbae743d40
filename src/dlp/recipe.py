"""A recipe: data, model, Trainer and the options of a run, as one config and as objects of it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelSummary, ProgressBar
from lightning.pytorch.loggers import CSVLogger

from dlp.callbacks.checkpoints import AtomicCheckpointIO, with_atomic_checkpoints
from dlp.callbacks.given import check_patience, listed, need_a_logger, without_validation
from dlp.callbacks.mistakes_report import MistakesReport
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError
from dlp.named_configs import run_name
from dlp.parsing.config_parser import ConfigParser
from dlp.parsing.run_options import RunOptions, check_taken, read_options
from dlp.process import quiet
from dlp.quick_steps import NoProfiler

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Options = TypeVar("_Options", bound="DataclassInstance")

#: Callbacks of which one is enough: that of the config stands instead of a command's.
_ONE_OF_A_KIND = (ProgressBar, ModelSummary, MistakesReport)
#: Numbers of the Trainer that Lightning divides by, and does not check.
_ABOVE_0 = ("accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval")
#: What a config says of one command alone, and not of what is trained.
_OF_A_COMMAND = ("config", "ckpt_path", "run_dir", "weights_only")


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and how: a parsed config, of which objects can be made.

    A recipe does not change, and making objects of it changes nothing in the process.

    Args:
        config: Every key with its value.
        name: What runs of it are called.
        configs: The configs, by name or path, that make the same recipe again; empty where other
            options were given too.
        parser: What has parsed it.

    Example:
        >>> recipe = Recipe.read("imdb").with_keys({"model.dropout": 0.3})
        >>> data = recipe.data()
        >>> recipe.trainer().fit(recipe.model(data), datamodule=data)
    """

    config: Namespace
    name: str
    configs: tuple[str, ...]
    parser: ConfigParser

    @classmethod
    def parse(
        cls,
        words: Sequence[str],
        command: str = "",
        options: "type[DataclassInstance] | None" = None,
        needs_model: bool = True,
    ) -> "Recipe":
        """Return the recipe of a command line.

        Args:
            words: ``--config NAME`` (a recipe's or variation's name, or the path of a YAML file),
                once or several times, and ``--KEY VALUE`` for any key.
            command: The command's name, for its help.
            options: A dataclass of options that the command has besides (see `options`).
            needs_model: Whether a model must be named.

        Raises:
            InputError: A config, a key or a value is none that is accepted.
        """
        with quiet():  # Lightning's calls of jsonargparse are old ones
            parsed = ConfigParser(words, command, options, needs_model)
        configs = tuple(parsed.known.configs)
        changes_it = {*parsed.known.typed} - {"config", "run_dir", "trainer.fast_dev_run"}
        recipe = cls(parsed.parsed, run_name(configs), () if changes_it else configs, parsed)
        own = set() if options is None else {field.name for field in fields(options)}
        check_taken(command, parsed.known.typed, recipe.config, own)
        read_options(RunOptions, recipe.config)  # which checks them
        return recipe

    @classmethod
    def read(cls, config: str | os.PathLike[str]) -> "Recipe":
        """Return a recipe by its name, or that of a YAML file, such as a run's ``config.yaml``.

        Raises:
            InputError: There is none, or it is not accepted.
        """
        return cls.parse(["--config", os.fspath(config)])

    def with_keys(self, keys: Mapping[str, Any]) -> "Recipe":
        """Return a recipe that differs in some keys.

        Args:
            keys: Dotted key, as on the command line -> value. A class stands before its arguments.

        Raises:
            InputError: A key or a value is not accepted.
        """
        words = [
            f"--{key}={one if isinstance(one, str) else json.dumps(one, default=_plain)}"
            for key, value in keys.items()
            for one in [_plain(value) if isinstance(value, os.PathLike) else value]
        ]
        return replace(self, config=self.parser.parse_again(self.config, words), configs=())

    def __reduce__(self) -> tuple[Any, ...]:
        """Go into another process, where a parser of the same options is made."""
        made_by = (self.parser.command, self.parser.options, self.parser.needs_model)
        return _made_again, (self.config, self.name, self.configs, made_by)

    # What it says ------------------------------------------------------------------------------

    @property
    def files(self) -> list[str]:
        """The paths of the configs that it was read from."""
        return [str(path) for path in self.config.get("config") or ()]

    @cached_property
    def run(self) -> RunOptions:
        """The options of a run."""
        return self.options(RunOptions)

    def options(self, kind: type[_Options]) -> _Options:
        """Return the values of the options that a command has of its own."""
        return read_options(kind, self.config)

    @property
    def seed(self) -> int | None:
        """The seed of all that is random; None where nothing is to be seeded.

        Raises:
            InputError: Its value is none that NumPy takes.
        """
        given = self.config.seed_everything
        if given is not False and not 0 <= int(given) < 2**32:
            raise InputError(f"seed_everything must be 0 to {2**32 - 1}, got {given}.")
        return None if given is False else int(given)

    @property
    def is_trial(self) -> bool:
        """Whether one batch is tried and nothing is written: ``trainer.fast_dev_run``."""
        return bool(self.config.trainer.fast_dev_run)

    def dump(self, without: Sequence[str] = ()) -> str:
        """Return the complete config as YAML.

        Args:
            without: Keys to leave out besides those of the command.
        """
        config = self.config.clone()
        own = self.parser.options
        of_command = [] if own is None else [field.name for field in fields(own)]
        kept = {field.name for field in fields(RunOptions)}
        for key in (*_OF_A_COMMAND, *(name for name in of_command if name not in kept), *without):
            config.pop(key, None)
        return str(self.parser.parser.dump(config, skip_unset=False))

    # What is made of it ------------------------------------------------------------------------

    def data(self) -> SupervisedDataModule:
        """Return a new DataModule; nothing is read from disk yet.

        Raises:
            InputError: Its arguments do not go together.
        """
        data: SupervisedDataModule = self.parser.build(self.config, data=self.config.data).data
        data.dry_run = self.is_trial
        return data

    def model(self, data: SupervisedDataModule) -> LightningModule:
        """Return a new model of the sizes that the data have.

        Raises:
            InputError: The data cannot be read, or the model cannot be made for them.
        """
        config = self.config
        model: LightningModule = self.parser.build(config, data=data, model=config.model).model
        return model

    def trainer(
        self,
        callbacks: Sequence[Callback] = (),
        *,
        validates: bool = True,
        checkpoints: AtomicCheckpointIO | None = None,
        **changes: Any,
    ) -> Trainer:
        """Return a new Trainer with new objects of the config's callbacks and loggers.

        Args:
            callbacks: More callbacks. Progress bars, summaries and checkpoints among them are left
                out where the config says so, or has a callback of that kind itself.
            validates: Whether anything is validated; callbacks of the config that watch the
                validation are else left out, which is said.
            checkpoints: What reads and writes checkpoints, where the config names nothing for it.
            **changes: Arguments of the Trainer that are to be others than in the config.

        Raises:
            InputError: Arguments of the Trainer do not go together.
        """
        built = self.parser.build(self.config, trainer=self.config.trainer).trainer
        settings: dict[str, Any] = {**built.as_dict(), **changes}
        for name in _ABOVE_0:
            if isinstance(settings[name], int | float) and settings[name] <= 0:
                raise InputError(f"trainer.{name} must be above 0, got {settings[name]}.")
        given = listed(settings["callbacks"])
        check_patience(given)
        if settings["logger"] is False and need_a_logger(given):
            settings["logger"] = CSVLogger(settings["default_root_dir"] or ".")
        unwanted: tuple[type[Callback], ...] = tuple(
            kind
            for kind, is_wanted in (
                (ProgressBar, settings["enable_progress_bar"]),
                (ModelSummary, settings["enable_model_summary"]),
                (Checkpoint, settings["enable_checkpointing"]),
            )
            if is_wanted is False
        )
        unwanted += tuple(
            kind for kind in _ONE_OF_A_KIND if any(isinstance(one, kind) for one in given)
        )
        own = [one for one in callbacks if not isinstance(one, unwanted)]
        kept = given if validates else without_validation(given)
        settings["callbacks"] = [*kept, *own]
        if settings["enable_checkpointing"] is None:  # Lightning would add a ModelCheckpoint
            has_one = any(isinstance(one, Checkpoint) for one in settings["callbacks"])
            settings["enable_checkpointing"] = has_one
        settings["profiler"] = settings["profiler"] or NoProfiler()
        settings["plugins"] = with_atomic_checkpoints(
            settings["plugins"], checkpoints or AtomicCheckpointIO()
        )
        try:
            return Trainer(**settings)
        except (ValueError, MisconfigurationException) as error:  # of the Trainer's own checks
            raise InputError(f"trainer: {error}") from error


def _made_again(
    config: Namespace, name: str, configs: tuple[str, ...], made_by: tuple[Any, ...]
) -> Recipe:
    with quiet():
        return Recipe(config, name, configs, ConfigParser(None, *made_by))


def _plain(value: object) -> object:
    """Return what JSON cannot hold as what it can: a path, a scalar of NumPy or torch.

    Raises:
        InputError: It is something else.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic | torch.Tensor):
        return value.tolist()
    raise InputError(f"{value!r} is nothing that a config can hold.")
