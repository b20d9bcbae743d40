"""``dlp visualize``: what a network is given, what it makes of it, and what it looks for."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from dlp.checkpoints import read_checkpoint
from dlp.commands.checkpoint_files import without_weights
from dlp.commands.invocation import resolve
from dlp.commands.lightning_cli import DLPCLI
from dlp.commands.parser import Parser
from dlp.commands.visualize.batch import BatchCLI, explain_output
from dlp.commands.visualize.drawing_files import write_drawing
from dlp.commands.visualize.images import check_shows_images
from dlp.commands.visualize.kinds import KINDS
from dlp.commands.visualize.layer_choice import list_layers
from dlp.commands.visualize.options import (
    EmbeddingOptions,
    ImageOptions,
    LayerOptions,
    NetworkOptions,
)
from dlp.commands.visualize.subjects import (
    Subject,
    pretrained_features,
    pretrained_network,
    trained_network,
)
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError, suggestion
from dlp.process import cpu_threads, own_random_state, quiet
from dlp.run_options import add_options, read_options
from dlp.runs.folders import ROOT
from dlp.runs.record import read_results

#: What is drawn without a network.
_BATCH = "training images as the model sees them, after augmentation"

HELP = """Draws; trains nothing. For example:
  dlp visualize batch --config cats_dogs_augmented --copies 4
  dlp visualize heatmap --config cats_dogs
  dlp visualize filters --backbone vgg16
  dlp visualize activations --backbone mobilenet_v2 --images cat.jpg
  dlp visualize embedding --config quickstart --method tsne

kinds (each has its own --help):"""

_HELP = """Of the newest run of a recipe (--config NAME), of a checkpoint (--ckpt_path PATH), or of
one of torchvision's networks (--backbone NAME). With a recipe or checkpoint, all of its keys are
options too (see dlp predict --help)."""


def visualize(args: Sequence[str]) -> None:
    """Run ``visualize KIND``.

    Raises:
        InputError: The kind is missing or unknown, or cannot be drawn of what is given.
    """
    kind, *options = args or [""]
    if kind in ("-h", "--help"):
        whats = {"batch": _BATCH, **{name: kind.what for name, kind in KINDS.items()}}
        kinds = "\n".join(f"  {name:<12} {what}" for name, what in whats.items())
        print(f"usage: dlp visualize KIND --config NAME [--KEY VALUE ...]\n\n{HELP}\n\n{kinds}")
        return
    if kind == "batch":
        BatchCLI.run(["fit", *options])
        return
    if kind not in KINDS:
        given = f"unknown kind {kind!r}" if kind else "no kind is given"
        accepted = ["batch", *KINDS]
        raise InputError(
            f"visualize: {given}.{suggestion(kind, accepted)} Accepted: {', '.join(accepted)}. For "
            "example: dlp visualize batch --config cats_dogs_augmented"
        )
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(own_random_state())
        _visualize_network(kind, options, stack)


def _visualize_network(kind: str, options: list[str], stack: ExitStack) -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--backbone", "--config", "-c", "--ckpt_path", "--help", "-h"):
        parser.add_argument(name, nargs="?", const="", dest=name.lstrip("-")[:1])
    given, _ = parser.parse_known_args(options)
    recipe = given.c is not None
    if given.h is not None or (given.b and not recipe):
        _draw_pretrained(kind, options, stack)
    elif recipe:
        NetworkCLI(kind, options, bool(given.b), stack)
    else:
        raise InputError(
            f"visualize {kind} needs --config NAME, --ckpt_path PATH or --backbone NAME (see dlp "
            f"visualize {kind} --help)."
        )


# A trained network -----------------------------------------------------------------------------


class NetworkCLI(DLPCLI):
    """Draws the network of a recipe's run, or one of torchvision's on a recipe's data.

    Args:
        kind: What to draw.
        options: What stands after the kind.
        pretrained: Whether it is one of torchvision's: no run is looked for then.
        stack: What the command changes in its process.
    """

    def __init__(self, kind: str, options: list[str], pretrained: bool, stack: ExitStack) -> None:
        self.kind = kind
        if pretrained and any(word.partition("=")[0] == "--ckpt_path" for word in options):
            raise InputError("give --backbone, or --ckpt_path, not both: each is a network.")
        super().__init__(resolve(["fit" if pretrained else "predict", *options]), stack)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the drawing to those of the command."""
        super().add_arguments_to_parser(parser)
        folder = f"<run's folder>/visualize/{self.kind}"
        explain_output(parser, f"The folder to write to (default: {folder}).")
        add_options(parser, KINDS[self.kind].options)

    def before_instantiate_classes(self) -> None:
        """Check the options; look for no run to start from."""
        self.config[self.subcommand].init_from = None
        super().before_instantiate_classes()
        self.options = read_options(KINDS[self.kind].options, self.config[self.subcommand])

    def check_output(self) -> None:
        """Leave it to the drawing: it is a folder of figures, not a file of predictions."""

    def instantiate_classes(self) -> None:
        """Build data and model; weights are fetched where no others come."""
        settings = self.config[self.subcommand]
        comes = bool(self.invocation.checkpoint or self._value("backbone"))
        with without_weights(settings.model, comes, bool(settings.trainer.fast_dev_run)):
            LightningCLI.instantiate_classes(self)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # the signature it overrides
        """Return a Trainer that is not run: it knows the device."""
        return _trainer(self._value("trainer.accelerator"))

    def _run_subcommand(self, subcommand: str) -> None:
        """Draw and write."""
        data: SupervisedDataModule = self.datamodule
        self._restore(data)
        if self.kind != "embedding":
            check_shows_images(self.kind, data)
        run = self.invocation.run
        folder = ROOT / self.invocation.name if run is None else run.folder
        if backbone := self._value("backbone"):
            folder = ROOT / backbone
            subject = self._pretrained(backbone, data)
        else:
            self._load(self.model)
            name = self.invocation.name if run is None else f"{run.name} {run.folder.name}"
            subject = trained_network(self.model, data, name)
        subject.network.to(self.trainer.strategy.root_device)
        is_worse = run is not None and read_results(run.folder).get("beats_baseline") is False
        if self.kind == "heatmap" and is_worse and not backbone:
            say(
                f"{subject.name} is no better than its baseline in validation: it has learned "
                "nothing of the classes that a map could show"
            )
        _draw(self.kind, self._value, self.options, subject, data, folder)

    def _pretrained(self, backbone: str, data: SupervisedDataModule) -> Subject:
        weights, trial = self._value("weights"), bool(self._value("trainer.fast_dev_run"))
        if self.kind == "embedding":
            return pretrained_features(backbone, weights, data.input_shape, trial)
        height, width = data.input_shape[1:]
        subject = pretrained_network(backbone, weights, min(height, width), trial)
        return Subject(
            subject.network, backbone, data.input_shape, subject.predict, subject.class_names
        )

    def _load(self, model: LightningModule) -> None:
        """Give the model the weights of the checkpoint."""
        path = self.invocation.checkpoint
        if path is None:  # a trial run, as was said
            return
        content = self._checkpoint_read or read_checkpoint(path)
        model.on_load_checkpoint(content)
        try:
            model.load_state_dict(content["state_dict"], strict=model.strict_loading)
        except RuntimeError as error:
            raise InputError(f"{path} belongs to another model: {error}") from error


# One of torchvision's alone --------------------------------------------------------------------


def _draw_pretrained(kind: str, options: list[str], stack: ExitStack) -> None:
    """Draw a network without any data but the images that are given."""
    parser = Parser(
        prog=f"dlp visualize {kind}",
        description=f"Draws {KINDS[kind].what}. {_HELP}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-c", "--config", type=str | None, default=None, help="Name of a recipe, or a YAML file.")
    add("--ckpt_path", type=str | None, default=None, help="A checkpoint, or a run's folder.")
    add_options(parser, KINDS[kind].options)
    add(
        "--image_size",
        type=int | None,
        default=None,
        help="Side of the images a backbone is given (default: its weights' own, mostly 224).",
    )
    add(
        "--output",
        type=str | None,
        default=None,
        help=f"The folder to write to (default: <run's folder>/visualize/{kind}, or below "
        "runs/<backbone>).",
    )
    add("--seed_everything", type=int, default=0, help="Of all that is random.")
    add("--threads", type=int | None, default=None, help="CPU threads of torch.")
    add("--trainer.accelerator", type=str, default="auto", help="cpu, gpu, mps or auto.")
    add("--trainer.fast_dev_run", type=bool, default=False, help="Try it; write nothing.")
    config = parser.parse_args(options)
    value = config.get
    drawn = read_options(KINDS[kind].options, config)
    if isinstance(drawn, EmbeddingOptions):
        raise InputError("an embedding is of rows of data: give --config NAME beside --backbone.")
    if isinstance(drawn, ImageOptions) and not drawn.images and not drawn.list_layers:
        raise InputError(
            f"visualize {kind} of a backbone needs images: give --images PATH, or --config NAME "
            "for samples of its data."
        )
    if (threads := value("threads")) is not None:
        stack.enter_context(cpu_threads(threads))
    torch.manual_seed(value("seed_everything"))
    device = _trainer(value("trainer.accelerator")).strategy.root_device
    trial = bool(value("trainer.fast_dev_run"))
    subject = pretrained_network(value("backbone"), value("weights"), value("image_size"), trial)
    subject.network.to(device)
    _draw(kind, value, drawn, subject, None, ROOT / subject.name)


def _trainer(accelerator: str) -> Trainer:
    return Trainer(
        accelerator=accelerator,
        devices=1,
        logger=False,
        enable_checkpointing=False,
    )


# Drawing ---------------------------------------------------------------------------------------


def _draw(
    kind: str,
    value: Callable[[str], Any],
    options: NetworkOptions,
    subject: Subject,
    data: SupervisedDataModule | None,
    folder: Path,
) -> None:
    """Draw what the options say and write it, or list the layers."""
    if isinstance(options, LayerOptions) and options.list_layers:
        list_layers(kind, subject)
        return
    trial, seed = bool(value("trainer.fast_dev_run")), value("seed_everything")
    seed = 0 if isinstance(seed, bool) or seed is None else seed
    options = options.for_trial() if trial else options
    output = Path(value("output") or folder / "visualize" / kind)
    written = []
    for name, drawing in KINDS[kind].draw(subject, data, options, seed):
        if not trial:
            path = output / f"{name}.png"
            write_drawing(drawing, path, announce=False)
            written.append(path.name)
    if written:
        few = ", ".join(written[:8]) + (f" and {len(written) - 8} more" * (len(written) > 8))
        say(f"wrote {output}: {few}")
