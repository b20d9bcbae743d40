"""Config of a recipe, which LightningCLI parses."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import yaml
from lightning import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from dlp.configs import find_config, flatten, read_config, run_name
from dlp.console import quieted
from dlp.errors import check_range
from dlp.hyperparameters import plain_value
from dlp.recipes.parser import MODE, Parser, checkpoint_option, import_classes, run_options
from dlp.runs.folder import origin_of

#: Commands that go on with a run, or use its model.
OF_RUNS = ("fit", "validate", "test", "predict")


class ParsedConfig(LightningCLI):
    """Config of configs, words of a command line and values, laid over each other.

    Of LightningCLI it takes the parser (classes by name, links, YAML, ``--help``), the seed and the
    instantiation. It does not take

    - the subcommands: a command is a function, which is called with the recipe;
    - the building of data, model and Trainer at once: `Recipe` builds each when a command needs it;
    - ``configure_optimizers``: modules have their own;
    - the callback that saves the config: `RunRecorder` does, once an epoch is trained.

    Args:
        command: Name of the command.
        configs: Names or paths, each laid over those before.
        words: Other words of a command line, laid over the configs.
        values: Values by dotted key, laid over all.
        function: Function of the command; its parameters are further options.
    """

    def __init__(
        self,
        command: str,
        configs: Sequence[str | Path] = (),
        words: Sequence[str] = (),
        values: Mapping[str, Any] | None = None,
        function: Callable[..., Any] = lambda recipe: None,
    ) -> None:
        self.command = command
        self.configs = configs
        self.words = words
        self.values = plain_value(dict(values or {}))
        self.function = function
        paths = [find_config(config) for config in configs]
        self.name = run_name(paths)
        #: Labels of the configs, for the record of the run.
        self.origin = origin_of(paths)
        contents = [dict(flatten(read_config(path))) for path in paths]  # each key once
        import_classes(contents, words, self.values)
        config_words = [word for path in paths for word in ("--config", str(path))]
        summary = (inspect.getdoc(function) or "").partition("\n\n")[0]
        with quieted():  # Lightning warns of arguments that are given in Python
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
                args=[*config_words, *words],
                run=False,
                auto_configure_optimizers=False,
            )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words and the values."""
        self.config = cast(Parser, parser).parse(args, self.values)

    def _set_seed(self) -> None:
        check_range(0, 2**32 - 1, seed_everything=self.config.seed_everything)
        super()._set_seed()

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run and of the command."""
        parser.add_function_arguments(run_options, as_group=False)
        if self.command in OF_RUNS:
            parser.add_function_arguments(checkpoint_option, as_group=False)
        parser.add_function_arguments(self.function, as_group=False, skip={"recipe", "text"})
        if "text" in inspect.signature(self.function).parameters:
            help_ = "Text to predict; can be given several times."
            parser.add_argument("--text", action="append", help=help_)

    def instantiate_classes(self) -> None:
        """Build nothing: a command asks the recipe."""

    @cached_property
    def config_text(self) -> str:
        """Complete config as YAML, a recipe that can be run again."""
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
        """Complete config as plain values; Lightning's is validated once more."""
        return dict(yaml.safe_load(self.config_text))

    @property
    def is_dev_run(self) -> bool:
        """Whether one batch is tried and nothing is written."""
        return bool(self.config.trainer.fast_dev_run)
