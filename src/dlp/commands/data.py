"""``dlp data``: what the data are taken for, before anything is trained."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning import LightningModule
from lightning.pytorch.cli import LightningArgumentParser

from dlp.commands.invocation import resolve
from dlp.commands.lightning_cli import DLPCLI
from dlp.commands.visualize.batch import first_images
from dlp.commands.visualize.drawing_files import write_drawing
from dlp.commands.visualize.images import has_images
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError
from dlp.files import check_place, write_text
from dlp.process import own_random_state, quiet
from dlp.runs.folders import ROOT
from dlp.visualization.image_grids import image_grid


def show_data(options: Sequence[str]) -> None:
    """Run ``dlp data --config NAME``: read, split and show; no model is built or trained.

    Raises:
        InputError: The data cannot be read, or the JSON file cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(own_random_state())
        DataCLI(resolve(["fit", *options]), stack)


class DataCLI(DLPCLI):
    """Builds the data of a recipe as a fit does, and prints its reading."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add Trainer, model and data; the model is not needed, and is not built."""
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        parser.set_defaults(
            {f"trainer.{key}": value for key, value in self.trainer_defaults.items()}
        )
        parser.add_lightning_class_args(
            LightningModule, "model", subclass_mode=True, required=False
        )
        parser.add_lightning_class_args(SupervisedDataModule, "data", subclass_mode=True)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the help of ``--output`` say what this command writes."""
        super().add_arguments_to_parser(parser)
        for action in parser._actions:
            if action.dest == "output":
                action.help = "A JSON file to write too (default: none)."

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; messages name the command that was given."""
        self._parser("fit").prog = "dlp data"
        super().parse_arguments(parser, args)

    def before_instantiate_classes(self) -> None:
        """Settle nothing: no run is made. A file that cannot be written is said first."""
        if (output := self._value("output")) is not None:
            check_place(Path(output))

    def instantiate_classes(self) -> None:
        """Build the data alone."""
        settings = self.config[self.subcommand].clone()
        for name in ("model", "trainer"):
            settings.pop(name, None)
        self.datamodule = self._parser(self.subcommand).instantiate_classes(settings).data
        self.datamodule.dry_run = bool(self._value("trainer.fast_dev_run"))

    def after_instantiate_classes(self) -> None:
        """Do nothing: there is no Trainer."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Print the reading, and write it where it is asked for."""
        reading = self.datamodule.reading()
        say(str(reading))
        if not self.datamodule.dry_run and has_images(self.datamodule):
            self._draw_batch()
        output = self._value("output")
        if output is None or self.datamodule.dry_run:
            return
        try:
            write_text(Path(output), json.dumps(reading.to_dict(), indent=2, ensure_ascii=False))
        except OSError as error:
            raise InputError(f"cannot write {output}: {error.strerror}.") from error
        say(f"wrote {output}")

    def _draw_batch(self) -> None:
        """Draw the first training images as the model sees them; tell where they cannot be."""
        try:
            figure = image_grid(*first_images(self.datamodule, count=16, copies=1))
            write_drawing(figure, ROOT / self.invocation.name / "batch.png")
        except InputError as error:  # a folder that nothing is written into hides no reading
            say(str(error))
