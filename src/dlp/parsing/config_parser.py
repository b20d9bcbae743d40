"""The one LightningCLI of the project: it parses configs and links sizes, and runs nothing."""

import argparse
import os
from collections.abc import Callable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from dlp.datamodules import SupervisedDataModule
from dlp.errors import input_error
from dlp.parsing.parser import NamedConfig, Parser, as_texts
from dlp.parsing.run_options import RunOptions, add_options, takes
from dlp.process import quiet

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Arguments of a model that the data know.
FROM_DATA = ("input_shape", "num_outputs", "target_mean", "target_std", "target_transform")


class ConfigParser(LightningCLI):
    """Parses the words of a command into a config, and builds what a config names.

    Lightning's own commands are left out: what is built is run by a function of `dlp.commands`.

    Args:
        words: What stands after the command's name; None parses nothing yet.
        command: The name, for the first line of the help.
        options: A dataclass of options that the command has beside those of a run; its fields take
            the place of those with the same name.
        needs_model: Whether a model must be named.

    Attributes:
        parsed: The config of the words.
        known: The keys that they give.
    """

    def __init__(
        self,
        words: Sequence[str] | None,
        command: str,
        options: "type[DataclassInstance] | None" = None,
        needs_model: bool = True,
    ) -> None:
        self.options = options
        self.command, self.needs_model = command, needs_model
        self._lock = RLock()  # what is built or parsed is noted here meanwhile
        super().__init__(
            model_class=LightningModule,
            datamodule_class=SupervisedDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            trainer_defaults={"logger": False, "num_sanity_val_steps": 0},
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"prog": f"dlp {command}".rstrip(), "allow_abbrev": False},
            args=None if words is None else list(words),
            run=False,
            auto_configure_optimizers=False,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "ConfigParser":
        """Return itself: the optimizer factory of a model leads here, and copies of it may too."""
        return self

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Go into another process as None: a model that is sent there parses nothing."""
        return type(None), ()

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:  # the signature it overrides
        """Return a parser that finds configs by name."""
        parser = Parser(**kwargs)
        parser.add_argument(
            "-c",
            "--config",
            action=NamedConfig,
            help="Name of a recipe or variation (see dlp --help), or path of a YAML file. May be "
            "given several times: later ones override.",
        )
        parser.required = frozenset({"data", "model"} if self.needs_model else {"data"})
        parser.linked = frozenset(f"model.{name}" for name in FROM_DATA)
        return parser

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the arguments of Trainer, model and data; a command may do without a model."""
        parser.add_lightning_class_args(Trainer, "trainer")
        defaults = {f"trainer.{key}": value for key, value in self.trainer_defaults.items()}
        parser.set_defaults(defaults)
        for name, kind in (("model", LightningModule), ("data", SupervisedDataModule)):
            required = name == "data" or self.needs_model
            parser.add_lightning_class_args(kind, name, subclass_mode=True, required=required)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the command and of a run; the model's sizes come from the data."""
        own = frozenset[str]()
        if self.options is not None:
            own = add_options(parser, self.options)
        of_runs = add_options(parser, RunOptions, without=own)
        assert isinstance(parser, Parser)
        parser.unheeded = frozenset(name for name in of_runs - own if not takes(self.command, name))
        # Configs that an earlier release printed hold it: it does nothing.
        parser.add_argument("--weights_only", default=None, help=argparse.SUPPRESS)
        for name in FROM_DATA:
            parser.link_arguments(
                "data",
                f"model.init_args.{name}",
                compute_fn=self._reader(name),
                apply_on="instantiate",
            )

    def _reader(self, name: str) -> Callable[[SupervisedDataModule], Any]:
        """Return what reads a size for a model; where none is built, the data are left unread."""
        return lambda data: getattr(data, name) if self._builds_model else None

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; `args` never mixes with those of the process, and nothing is seeded yet."""
        self.config = Namespace(seed_everything=False)  # type: ignore[no-untyped-call] # jsonargparse's
        if args is None:
            return
        self.parsed: Namespace = as_texts(parser.parse_args(args))
        assert isinstance(parser, Parser)
        assert parser.known is not None  # without one the help was asked for
        self.known = parser.known
        if self.parsed.seed_everything is True:  # as Lightning takes it
            self.parsed.seed_everything = int(os.environ.get("PL_GLOBAL_SEED", 0))

    def instantiate_classes(self) -> None:
        """Build nothing: see `build`."""

    def parse_again(self, config: Namespace, words: Sequence[str]) -> Namespace:
        """Return a config changed by words of a command line, checked as these are."""
        with self._lock:
            changed = self.parser.parse_args([*words], namespace=config.clone())
        parsed: Namespace = as_texts(changed)
        return parsed

    def build(self, config: Namespace, **groups: Any) -> Namespace:
        """Return new objects of some groups of a config.

        Args:
            config: The whole config; a model keeps its part in checkpoints.
            groups: The configs of ``data``, ``model`` or ``trainer``. A model needs the data as an
                object, which stays as it is.

        Raises:
            InputError: One of them cannot be made of what is given.
        """
        named = Namespace(**{"data": None, **groups})  # type: ignore[no-untyped-call] # jsonargparse's
        try:
            with self._lock, quiet():
                if config is not self.config:  # Lightning writes the first one out, and keeps it
                    vars(self).pop("config_dump", None)
                self.config, self._builds_model = config, "model" in groups
                built: Namespace = self.parser.instantiate(named)
        except ValueError as error:
            if (cause := input_error(error)) is None:
                raise
            raise cause from None
        return built
