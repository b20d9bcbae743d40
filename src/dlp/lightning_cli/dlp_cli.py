"""LightningCLI with the project's defaults: sizes from data to model, run folders, checkpoints."""

import argparse
import inspect
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from dlp import callbacks as own_callbacks
from dlp.callbacks import AtomicCheckpointIO, EpochSeed, History
from dlp.commands import after, before
from dlp.console import quiet, say
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError
from dlp.lightning_cli.invocation import resolve
from dlp.lightning_cli.parse_errors import arguments
from dlp.lightning_cli.parser import SIZES, Parser, add_run_options, import_classes
from dlp.modules.weights import read_file
from dlp.runs.folder import ROOT, Run, empty_run, new_run
from dlp.runs.restoring import check_same_rows, restore_data
from dlp.runs.trackers import build_logger

_TRAINER = {"logger": False, "num_sanity_val_steps": 0}


class DlpCLI(LightningCLI):
    """Command ``fit``, ``validate``, ``test`` or ``predict``.

    The options of `function`, another command, are added (see `Recipe`).
    """

    def __init__(
        self, command: str, args: Sequence[str], function: Callable[..., Any] | None = None
    ) -> None:
        quiet()
        self.command, self.function, self.typed = command, function, [*args]
        invocation = resolve(command, args, takes_checkpoint=function is None)
        self.name, self.is_dev_run = invocation.name, invocation.is_dev_run
        self.checkpoint, self.checkpoint_run = invocation.checkpoint, invocation.run
        self.history, self.first_epoch = History(), 0
        self.test_after_fit: Literal["best", "last"] | None = None
        self._run: Run | None = None
        self._weights: str | None = None  # name of the pretrained weights in the config
        self._prepared: LightningDataModule | None = None
        import_classes(invocation.names)
        prog = f"dlp {command}" if function else "dlp"
        try:
            super().__init__(
                LightningModule,
                LightningDataModule,
                before.RunConfig,
                trainer_defaults=dict(_TRAINER),
                seed_everything_default=0,
                parser_kwargs={"prog": prog, "allow_abbrev": False},
                parser_class=Parser,
                subclass_mode_model=True,
                subclass_mode_data=True,
                args=invocation.args if function else [command, *invocation.args],
                run=function is None,
                auto_configure_optimizers=False,
            )
        except BaseException as error:
            self._after_stop(error)
            raise

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # of this object
        """Return the command alone, so that one parser is built."""
        commands = LightningCLI.subcommands()
        return {} if self.function else {self.command: commands[self.command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run and link the sizes of the data to the model."""
        parameters = inspect.signature(self.function).parameters if self.function else {}
        add_run_options(parser, self.command, skip=parameters)
        for name in SIZES:
            size = partial(self._size, name)
            size.__name__ = name  # type: ignore[attr-defined]  # shown in the help
            parser.link_arguments("data", f"model.init_args.{name}", size, apply_on="instantiate")
        if self.function is not None:
            parser.add_function_arguments(self.function, as_group=False, skip={"recipe"})
            for name in ("ckpt_path", "weights_only"):  # keys of a run's config.yaml
                parser.add_argument(f"--{name}", default=None, help=argparse.SUPPRESS)

    @property
    def options(self) -> Namespace:
        """Parsed values by key."""
        options: Namespace = self.config if self.function else self.config[self.command]
        return options

    def before_instantiate_classes(self) -> None:
        """Set threads and checkpoint; download no weights that are replaced.

        Lightning parses the hyperparameters of a typed ``ckpt_path`` over the config, linked sizes
        included, and refuses those. The config of the run has them already.
        """
        options, model, trainer = self.options, self.options.model, self.options.trainer
        if options.threads:
            torch.set_num_threads(options.threads)
        if "verbose" in options:  # Lightning's table of a test
            options.verbose = False
        if trainer.callbacks and not isinstance(trainer.callbacks, list):
            trainer.callbacks = [trainer.callbacks]
        if self.checkpoint is not None:
            self.content = read_file(self.checkpoint, "state_dict", "epoch")
            self.first_epoch = self.content["epoch"] + 1
            options.ckpt_path, options.weights_only = str(self.checkpoint), True
        is_started = self.checkpoint is not None or (self.function is None and options.init_from)
        if (is_started or self.is_dev_run) and model.class_path.endswith(".PretrainedModule"):
            self._weights, model.init_args.weights = model.init_args.weights, None

    def _size(self, name: str, data: LightningDataModule | None) -> Any:
        """Return a size of the data, or that of the config if the data has none."""
        if data is None:
            return None
        self._prepare(data)
        model = self.options.model
        size = model.init_args.get(name)
        if name not in vars(data) and not hasattr(type(data), name):
            return size
        if size != arguments(model.class_path).get(name):  # the config may hold the default
            raise InputError(f"model.{name} comes from the data; leave it out.")
        return getattr(data, name)

    def _prepare(self, data: LightningDataModule) -> None:
        """Give new data the split of ``refit`` and the state of the checkpoint."""
        if data is self._prepared:
            return
        self._prepared = data
        if self.options.refit and isinstance(data, SupervisedDataModule):
            data.resplit(data.split.without_validation())
        if self.checkpoint is not None:
            restore_data(data, self.content, self.checkpoint)
            if self.command != "predict":
                check_same_rows(data, self.checkpoint)

    @property
    def run(self) -> Run:
        """Run of a fit: that of the checkpoint, the folder ``run_dir``, or a new one."""
        if self._run is None:
            folder = self.options.run_dir
            if self.checkpoint_run is not None:
                self._run = self.checkpoint_run
            elif getattr(rank_zero_only, "rank", 0):
                self._run = Run(ROOT / self.name)  # Lightning broadcasts that of the first process
            else:
                self._run = empty_run(Path(folder)) if folder else new_run(self.name)
        return self._run

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer with the callbacks of the command."""
        self._prepare(self.datamodule)
        config = self._get(self.config_init, "trainer")
        callbacks = config.callbacks = config.callbacks or []
        if self.command == "fit" and self.options.refit:  # nothing is validated
            callbacks[:] = [c for c in callbacks if "val_" not in str(getattr(c, "monitor", ""))]
        if self.is_dev_run:
            return super().instantiate_trainer(**kwargs)
        has_bar = any(isinstance(callback, AnyProgressBar) for callback in callbacks)
        if config.enable_progress_bar is not False and not has_bar:
            callbacks.insert(0, own_callbacks.ProgressBar())  # closed before others print
        if self.command == "fit":
            callbacks += before.fit_callbacks(self, saves=config.enable_checkpointing is not False)
            kwargs["default_root_dir"] = str(self.run.folder)
            if self.options.logger:
                kwargs["logger"] = build_logger(self.options.logger, self.name, self.run.folder)
            kwargs["plugins"] = config.plugins or [AtomicCheckpointIO()]
            for name in ("ckpt_path", "weights_only", "run_dir"):  # config.yaml is a recipe
                self.options[name] = None
            if self._weights is not None:
                self.options.model.init_args.weights = self._weights
        else:
            self.save_config_callback = None
            callbacks += before.evaluation_callbacks(self)
        self.clock = time.perf_counter()
        return super().instantiate_trainer(**kwargs)

    # Hooks of LightningCLI after a command.
    after_fit, after_validate, after_test = after.after_fit, after.after_validate, after.after_test

    def _after_stop(self, error: BaseException) -> None:
        """Remove the folder of a fit that never began; print how to resume one that was stopped."""
        if self._run is not None:
            self._run.remove_if_empty()
            is_stop = isinstance(error, KeyboardInterrupt | SystemExit | OSError)
            if is_stop and self._run.checkpoint("last") is not None:
                say(f"go on by dlp fit --ckpt_path {self._run.folder}")


class Recipe(DlpCLI):
    """Config from which data, model and Trainer are built; the first argument of other commands."""

    _sized: LightningDataModule | None = None

    def instantiate_classes(self) -> None:
        """Build nothing: the command calls the methods below."""

    def _size(self, name: str, data: LightningDataModule | None) -> Any:
        """Return a size of the data that `model` was given; `data` alone loads nothing."""
        return super()._size(name, data) if data is self._sized else None

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the function, by name."""
        parameters = inspect.signature(self.function).parameters if self.function else {}
        names = [name for name in parameters if name != "recipe"]
        built = self._build(**{name: self.config[name] for name in names})
        return {name: built[name] for name in names}

    def data(self) -> SupervisedDataModule:
        """Build a new DataModule."""
        data: SupervisedDataModule = self._build(data=self.config.data).data
        self._prepare(data)
        return data

    def model(self, data: LightningDataModule) -> LightningModule:
        """Build a new model with the sizes of the data."""
        self._sized = data
        model: LightningModule = self._build(data=data, model=self.config.model).model
        return model

    def trainer_arguments(self) -> dict[str, Any]:
        """Build the arguments of the config's Trainer."""
        result: dict[str, Any] = self._build(trainer=self.config.trainer).trainer.as_dict()
        return {**result, "callbacks": result["callbacks"] or []}

    def trainer(self, **changes: Any) -> Trainer:  # type: ignore[override]  # a method here
        """Build a new Trainer, whose random numbers are those of ``dlp fit``."""
        result = self.trainer_arguments()
        return Trainer(**{**result, "callbacks": [*result["callbacks"], EpochSeed()], **changes})

    def _build(self, **parts: Any) -> Any:
        return self.parser.instantiate(Namespace(**{"data": None, **parts}))  # type: ignore[no-untyped-call]  # of jsonargparse


def load(config: str, **keys: Any) -> Recipe:
    """Load a config for Python.

    Args:
        config: Name or path of the config.
        **keys: Values by key, such as ``**{"model.dropout": 0.3}``.
    """
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in keys.items()}
    changes = [f"--{key}={text}" for key, text in texts.items()]
    return Recipe("load", ["--config", config, *changes], function=lambda recipe: recipe)
