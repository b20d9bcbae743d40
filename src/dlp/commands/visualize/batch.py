"""``dlp visualize batch``: what the model will see, drawn before anything is trained."""

from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from dlp.commands.checkpoint_files import without_weights
from dlp.commands.lightning_cli import DLPCLI
from dlp.commands.visualize.drawing_files import write_drawing
from dlp.commands.visualize.images import check_shows_images, target_in_words
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError
from dlp.runs.folders import ROOT
from dlp.visualization.image_grids import image_grid


class BatchCLI(DLPCLI):
    """Draws the first training images of a recipe; trains nothing."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the drawing to those of a fit."""
        super().add_arguments_to_parser(parser)
        explain_output(parser, "The PNG to write (default: runs/<config name>/batch.png).")
        parser.add_argument(
            "--num_images", type=int, default=16, help="Images to draw (default: 16)."
        )
        parser.add_argument(
            "--copies",
            type=int,
            default=1,
            help="Draw each image as so many epochs change it, side by side (default: 1).",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; the help is that of the command that was given."""
        self._parser("fit").prog = "dlp visualize batch"
        super().parse_arguments(parser, args)

    def before_instantiate_classes(self) -> None:
        """Look for no run to start from: nothing is trained."""
        self.config[self.subcommand].init_from = None
        super().before_instantiate_classes()

    def check_output(self) -> None:
        """Check nothing: here it is the image's place, said when the image is written."""

    def instantiate_classes(self) -> None:
        """Build data and model, the latter without pretrained weights: none are needed."""
        with without_weights(self.config[self.subcommand].model, comes=True, is_trial=False):
            LightningCLI.instantiate_classes(self)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # the signature it overrides
        """Return a Trainer that writes nothing; it is not run."""
        return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)

    def _run_subcommand(self, subcommand: str) -> None:
        """Draw and write the image."""
        count, copies = self._value("num_images"), self._value("copies")
        if count < 1 or copies < 1:
            raise InputError(f"num_images and copies must be 1 or more; got {count} and {copies}.")
        data: SupervisedDataModule = self.datamodule
        check_shows_images("batch", data)
        figure = image_grid(
            *first_images(data, count, copies), columns=copies if copies > 1 else None
        )
        if self._value("trainer.fast_dev_run"):
            return
        write_drawing(
            figure, Path(self._value("output") or ROOT / self.invocation.name / "batch.png")
        )


def explain_output(parser: LightningArgumentParser, text: str) -> None:
    """Let the help of ``--output`` say what the command writes."""
    for action in parser._actions:
        if action.dest == "output":
            action.help = text


def first_images(data: SupervisedDataModule, count: int, copies: int) -> tuple[Tensor, list[str]]:
    """Return the first training images as the first epochs see them, and what they show."""
    loader = data.train_dataloader()
    rows = torch.cat(list(loader.batch_sampler))[: max(1, count // copies)]
    views = [loader.inputs_of(rows, epoch) for epoch in range(copies)]
    images = torch.stack(views, dim=1).flatten(0, 1)
    targets = [] if loader.targets is None else loader.targets[rows].tolist()
    titles = [target_in_words(target, data.class_names) for target in targets]
    return images, [title for title in titles for _ in range(copies)]
