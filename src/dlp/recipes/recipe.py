"""Recipes: build data, model and Trainer from a config."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import yaml
from jsonargparse import Namespace
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint as AnyCheckpoint
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.io import TorchCheckpointIO

from dlp.callbacks import AtomicCheckpointIO, EpochSeed, ProgressBar
from dlp.configs import find_config, read_config, run_name
from dlp.console import quieted, say
from dlp.datamodules import SupervisedDataModule
from dlp.datamodules.parts import rows_fingerprint
from dlp.errors import InputError, check_range, naming
from dlp.hyperparameters import plain_value
from dlp.modules.checkpoint import Checkpoint
from dlp.recipes.parse_errors import arguments
from dlp.recipes.parser import MODE, SIZES, Layer, Parser, add_options, by_depth, import_classes
from dlp.recipes.settings import ProcessSettings, num_threads
from dlp.recipes.transfer import start_from
from dlp.runs.folder import Run, origin_of
from dlp.runs.places import numbered
from dlp.runs.recorder import RunRecorder


class Recipe(LightningCLI):
    """Config, and the data, model and Trainer that are built from it.

    A recipe uses LightningCLI's parser (classes by name, links, YAML, ``--help``), its seeding and
    its instantiation of classes. It does not use

    - LightningCLI's subcommands: a command is a function that is called with the recipe;
    - its ``instantiate_classes``, which builds data, model and Trainer at the same time: here a
      command builds each of them when it needs it, because cross-validation builds many models, and
      the sizes of a model come from fitted data;
    - its ``configure_optimizers``: the modules of this project have their own;
    - its callback that saves the config: `RunRecorder` saves it once the first epoch is trained.

    Args:
        command: Name of the command.
        configs: Names or paths of configs. A later config overrides the earlier ones.
        words: Other words of a command line, which override the configs.
        values: Values by dotted key, which override all of the above.
        function: Function that runs the command. Its parameters become further options.
        run: Run whose fit is continued, or whose model is tested or used for predictions.
        checkpoint: Checkpoint to restore.
    """

    def __init__(
        self,
        command: str,
        configs: Sequence[str | Path] = (),
        words: Sequence[str] = (),
        values: Mapping[str, object] | None = None,
        function: Callable[..., object] = lambda recipe: None,
        run: Run | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.command = command
        self.configs = configs
        self.words = words
        self.function = function
        self.run = run
        self.checkpoint = checkpoint
        #: Recorder of the Trainer that was built last. None if that Trainer records nothing.
        self.recorder: RunRecorder | None = None
        self._values = {key: plain_value(value) for key, value in (values or {}).items()}
        self._fitted_data: LightningDataModule | None = None
        paths = [find_config(config) for config in configs]
        self.name = run_name(paths)
        #: Labels of the configs, which are written to the record of the run.
        self.origin = origin_of(paths)
        self._contents = [read_config(path) for path in paths]
        import_classes(self._contents, words, self._values)
        summary = (inspect.getdoc(function) or "").partition("\n\n")[0]
        with quieted():  # Lightning warns about arguments that are given in Python
            super().__init__(
                datamodule_class=LightningDataModule,
                save_config_callback=None,
                trainer_defaults={"logger": False, "num_sanity_val_steps": 0},
                seed_everything_default=0,
                parser_kwargs={
                    "prog": f"dlp {command}",
                    "description": summary.replace("\n", " "),
                    "allow_abbrev": False,
                    "parser_mode": MODE,
                },
                parser_class=Parser,
                subclass_mode_data=True,
                args=list(words),
                run=False,
                auto_configure_optimizers=False,
            )

    # Methods called by LightningCLI ------------------------------------------------------------

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the run and the command, and link the data's sizes to the model."""
        add_options(parser, self.command, self.function)
        for name in SIZES:
            size = partial(self._size, name)
            size.__name__ = name  # type: ignore[attr-defined]  # shown in the help
            parser.link_arguments("data", f"model.init_args.{name}", size, apply_on="instantiate")

    def _size(self, name: str, data: LightningDataModule | None) -> object:
        """Return attribute `name` of the fitted data, or the config's value if there is none.

        jsonargparse evaluates this link whenever it builds an object. The link has an effect only
        while `model` builds a module, because the sizes are known only after the data is fitted.
        """
        if data is None or data is not self._fitted_data:
            return None
        model = self.config.model
        size = model.get("init_args", {}).get(name)
        if not hasattr(data, name):
            return size
        if size != arguments(model.class_path).get(name):  # the config may contain the default
            raise InputError(f"model.{name} is set from the data. Leave it out of the config.")
        return getattr(data, name)

    def parse_arguments(self, parser: LightningArgumentParser, args: object) -> None:
        """Parse the configs, words and values. LightningCLI sets the seed afterwards."""
        layers: list[Layer] = [*self._contents, cast(list[str], args), *by_depth(self._values)]
        self.config = cast(Parser, parser).parse(layers)
        check_range(0, 2**32 - 1, seed_everything=self.config.seed_everything)

    def instantiate_classes(self) -> None:
        """Do nothing: a command asks the recipe for the objects that it needs."""

    # Content of the config ---------------------------------------------------------------------

    @cached_property
    def config_text(self) -> str:
        """Complete config as YAML, which can be run again as a recipe."""
        config = self.config.clone()
        config.run_dir = None
        for name in ("config", "ckpt_path", *inspect.signature(self.function).parameters):
            config.pop(name, None)
        text: str = self.parser.dump(
            config, skip_unset=False, skip_validation=True, skip_link_targets=False
        )
        return text

    @cached_property
    def config_dump(self) -> dict[str, Any]:
        """Complete config as plain values."""
        return dict(yaml.safe_load(self.config_text))

    @property
    def is_dev_run(self) -> bool:
        """Whether ``fast_dev_run`` is set: a few batches are tried and nothing is written."""
        return bool(self.config.trainer.fast_dev_run)

    def fold_epochs(self) -> int:
        """Return the number of epochs of a fold or a trial, which starts from new weights.

        Raises:
            InputError: If the config starts from the weights of a run, or has no ``max_epochs``.
        """
        epochs: int | None = self.config.trainer.max_epochs
        if self.config.init_from:
            raise InputError(
                "init_from cannot be combined with folds or trials, because its weights were "
                "trained on the rows that a fold validates on. Give --init_from null."
            )
        if epochs is None or epochs < 1:
            raise InputError(
                f"trainer.max_epochs: expected 1 or more, got {epochs}. Give "
                "--trainer.max_epochs 20, for example."
            )
        return epochs

    @property
    def ckpt_path(self) -> Path | None:
        """Path of the checkpoint to restore, if there is one."""
        return None if self.checkpoint is None else self.checkpoint.path

    # Data, model and Trainer -------------------------------------------------------------------

    def data(self, check_rows: bool = True) -> LightningDataModule:
        """Build a new DataModule, with the state from the checkpoint if there is one.

        Args:
            check_rows: Whether to refuse rows that differ from the checkpoint's training and
                validation rows.
        """
        data: LightningDataModule = self._build(data=self.config.data).data
        if self.config.refit and isinstance(data, SupervisedDataModule):
            data = data.with_split(data.split.without_validation())
        if self.checkpoint is not None:
            state = self.checkpoint.content.get(type(data).__qualname__)
            if state is not None:
                data.load_state_dict(state)
            elif isinstance(data, SupervisedDataModule):
                raise InputError(
                    f"{self.ckpt_path} was not trained on a {type(data).__name__}. Use the data "
                    "class of the checkpoint's run."
                )
            if check_rows:
                self.check_rows(data)
        return data

    def check_rows(self, data: LightningDataModule) -> None:
        """Refuse data whose training and validation rows differ from the checkpoint's rows."""
        if not isinstance(data, SupervisedDataModule):
            return
        if rows_fingerprint(data.labelled_parts()) != data.fit().fingerprint:
            raise InputError(
                f"{self.ckpt_path} was trained on different rows: the file or its split has "
                "changed since then. Train again with dlp fit, or predict the new rows with "
                "--data.predict_path."
            )

    def model(self, data: LightningDataModule) -> LightningModule:
        """Build a new model with the sizes of the data. The data is fitted first."""
        if isinstance(data, SupervisedDataModule):
            data.fit()
        self._fitted_data = data
        source = self._weights_to_start_from()
        make = partial(self._new_module, data, is_replaced=source is not None)
        model: LightningModule = make()
        if self.config.ensemble > 1:
            from dlp.modules import EnsembleModule

            model = EnsembleModule(make, int(self.config.ensemble))
        if source is not None:
            say(f"starting from the weights of {source}")
            start_from(source, model, data)
        if self.config.compile:
            model.example_input_array = None  # the summary would run the model before it compiles
            model.compile()
        return model

    def _weights_to_start_from(self) -> Path | None:
        """Return the checkpoint that ``init_from`` names.

        If the config is varied, as in ``a+small``, a run of ``init_from`` with the same variations
        is preferred. The result is None for a restored model and for a ``fast_dev_run``.
        """
        source: str | None = self.config.init_from
        if not source or self.checkpoint is not None or self.is_dev_run:
            return None
        _, plus, overlays = self.name.partition("+")
        varied = source + plus + overlays
        return Run.find(varied if numbered(varied) else source).model()

    def _new_module(self, data: LightningDataModule, is_replaced: bool) -> Any:
        """Build a module with the sizes of the data.

        Pretrained weights of a backbone are not loaded if they would be replaced, nor for a
        ``fast_dev_run``, because loading them may download a file.

        Args:
            data: Fitted data.
            is_replaced: Whether other weights will replace the weights of the module.
        """
        config = self.config.model.clone()
        is_replaced = is_replaced or self.checkpoint is not None or self.is_dev_run
        if is_replaced and config.get("init_args.backbone") and config.get("init_args.weights"):
            config.init_args.weights = None
        return self._build(data=data, model=config).model

    def trainer(  # type: ignore[override]  # an attribute of LightningCLI
        self,
        run_dir: str | Path | None = "auto",
        callbacks: Sequence[Callback] = (),
        **changes: object,
    ) -> Trainer:
        """Build a new Trainer, which records a run as ``dlp fit`` does.

        Args:
            run_dir: Folder of the run. It must be new or empty. ``auto`` uses the config's
                ``run_dir``, or ``runs/<config name>/version_N`` if the config has none. None
                records nothing.
            callbacks: Callbacks to add to the callbacks of the config.
            **changes: Arguments of the Trainer that override the config.
        """
        settings = self.trainer_arguments()
        settings.update(changes)
        every = [ProcessSettings(num_threads(self.config)), *settings["callbacks"], *callbacks]
        if self.config.refit:
            every = self._without_validated(every)
        has_bar = any(isinstance(callback, AnyProgressBar) for callback in every)
        if settings.get("enable_progress_bar") is not False and not has_bar:
            every.insert(0, ProgressBar())  # first, so that it is closed before others print
        is_recorded = run_dir is not None and not self.is_dev_run
        if is_recorded:
            self.recorder = self._new_recorder(None if run_dir == "auto" else run_dir)
            every += self.recorder.callbacks
        else:
            self.recorder = None
            every.append(EpochSeed())
            has_checkpoint = any(isinstance(callback, AnyCheckpoint) for callback in every)
            if settings.get("enable_checkpointing") is None and not has_checkpoint:
                settings["enable_checkpointing"] = False  # for None, Lightning writes checkpoints
        settings["callbacks"] = every
        with naming("trainer"), quieted():
            trainer = Trainer(**settings)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # not the user's own plugin
            trainer.strategy.checkpoint_io = AtomicCheckpointIO(self.checkpoint)
        return trainer

    def _new_recorder(self, folder: str | Path | None) -> RunRecorder:
        """Return a recorder.

        Args:
            folder: Folder of the run. None takes the config's ``run_dir``, or makes a new folder if
                the config has none.
        """
        return RunRecorder(
            self.name,
            folder=folder or self.config.run_dir,
            run=self.run if self.run and self.run.is_recorded else None,
            monitor=self.config.monitor,
            test_after_fit=self.config.test_after_fit,
            baselines=self.config.baselines,
            smoothing=self.config.smoothing,
            seed=self.config.seed_everything,
            config=self.config_text,
            origin=self.origin,
        )

    def _without_validated(self, callbacks: Sequence[Callback]) -> list[Callback]:
        """Return the callbacks that do not monitor a validation metric, and report the others."""
        kept = []
        dropped = []
        for callback in callbacks:
            monitor = str(getattr(callback, "monitor", ""))
            if "val_" in monitor:
                dropped.append(f"{type(callback).__name__} (monitor: {monitor})")
            else:
                kept.append(callback)
        if dropped and self.command in ("fit", "load"):
            say(f"refit has no validation set, so {', '.join(dropped)} is left out")
        return kept

    def trainer_arguments(self) -> dict[str, Any]:
        """Build the Trainer's arguments from the config."""
        result: dict[str, Any] = self._build(trainer=self.config.trainer).trainer.as_dict()
        callbacks = result["callbacks"] or []
        result["callbacks"] = callbacks if isinstance(callbacks, list) else [callbacks]
        return result

    def _build(self, **parts: Any) -> Any:
        return self.parser.instantiate(Namespace(**{"data": None, **parts}))  # type: ignore[no-untyped-call]  # jsonargparse has no types


def load(config: str | Path, **keys: object) -> Recipe:
    """Load a config for use in Python, and set the config's seed.

    The seed is set once: a second model that is built from the recipe has different weights.

    Args:
        config: Name or path of the config.
        **keys: Values by dotted key that override the config, such as
            ``**{"model.dropout": 0.3}``.
    """
    return Recipe("load", [config], values=keys)
