"""``dlp visualize batch``: what the model will see, drawn before anything is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from dlp.checkpoint_files import without_weights
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError, suggestion
from dlp.files import atomic_path
from dlp.lightning_cli import DLPCLI
from dlp.runs import ROOT
from dlp.visualization.pictures import image_grid

#: What can be drawn -> what it is.
KINDS = {"batch": "training pictures as the model sees them, after augmentation"}

HELP = """Draws what a recipe is made of; trains nothing. For example:
  dlp visualize batch --config cats_dogs_augmented --copies 4

kinds (each has its own --help):"""


def visualize(args: Sequence[str]) -> None:
    """Run ``visualize KIND`` with the options of ``fit`` and those of the drawing.

    Raises:
        InputError: The kind is missing or unknown, or the data holds no pictures.
    """
    kind, *options = args or [""]
    if kind in ("-h", "--help"):
        kinds = "\n".join(f"  {name:<12} {what}" for name, what in KINDS.items())
        print(f"usage: dlp visualize KIND --config NAME [--KEY VALUE ...]\n\n{HELP}\n\n{kinds}")
        return
    if kind not in KINDS:
        given = f"unknown kind {kind!r}" if kind else "no kind is given"
        raise InputError(
            f"visualize: {given}.{suggestion(kind, KINDS)} Accepted: {', '.join(KINDS)}. For "
            "example: dlp visualize batch --config cats_dogs_augmented"
        )
    BatchCLI.run(["fit", *options])


class BatchCLI(DLPCLI):
    """Draws the first training pictures of a recipe; trains nothing."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the drawing to those of a fit."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--num_images", type=int, default=16, help="Pictures to draw (default: 16)."
        )
        parser.add_argument(
            "--copies",
            type=int,
            default=1,
            help="Draw each picture as so many epochs change it, side by side (default: 1).",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; the help is that of the command that was given."""
        self._parser("fit").prog = "dlp visualize batch"
        super().parse_arguments(parser, args)

    def before_instantiate_classes(self) -> None:
        """Look for no run to start from: nothing is trained."""
        self.config[self.subcommand].init_from = None
        super().before_instantiate_classes()

    def instantiate_classes(self) -> None:
        """Build data and model, the latter without pretrained weights: none are needed."""
        with without_weights(self.config[self.subcommand].model, comes=True, is_trial=False):
            LightningCLI.instantiate_classes(self)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # the signature it overrides
        """Return a Trainer that writes nothing; it is not run."""
        return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)

    def _run_subcommand(self, subcommand: str) -> None:
        """Draw and write the picture."""
        count, copies = self._value("num_images"), self._value("copies")
        if count < 1 or copies < 1:
            raise InputError(f"num_images and copies must be 1 or more; got {count} and {copies}.")
        data: SupervisedDataModule = self.datamodule
        if len(data.input_shape) != 3 or data.input_shape[0] not in (1, 3):
            raise InputError(
                f"visualize batch draws pictures; a row of {type(data).__name__} has the shape "
                f"{data.input_shape}."
            )
        figure = image_grid(*_pictures(data, count, copies), columns=copies if copies > 1 else None)
        if self._value("trainer.fast_dev_run"):
            return
        output = self._value("output") or ROOT / self.invocation.name / "batch.png"
        try:
            with atomic_path(Path(output)) as temporary:
                figure.savefig(temporary, format="png", dpi=110)
        except OSError as error:
            raise InputError(f"cannot write {output}: {error.strerror}.") from error
        say(f"wrote {output}")


def _pictures(data: SupervisedDataModule, count: int, copies: int) -> tuple[Tensor, list[str]]:
    """Return the first training pictures as the first epochs see them, and what they show."""
    loader = data.train_dataloader()
    rows = torch.cat(list(loader.batch_sampler))[: max(1, count // copies)]
    views = [loader.inputs_of(rows, epoch) for epoch in range(copies)]
    images = torch.stack(views, dim=1).flatten(0, 1)
    targets = [] if loader.targets is None else loader.targets[rows].tolist()
    titles = [_title(target, data.class_names) for target in targets]
    return images, [title for title in titles for _ in range(copies)]


def _title(target: Any, names: Sequence[str] | None) -> str:
    """Return a target in words: the class, the labels that apply, or the values."""
    if names is None:
        values = target if isinstance(target, list) else [target]
        return ", ".join(f"{value:.4g}" for value in values)
    if isinstance(target, list):
        return ", ".join(name for name, value in zip(names, target, strict=True) if value >= 0.5)
    return names[int(target)]
