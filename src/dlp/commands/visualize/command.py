"""``dlp visualize``: what a network is given, what it makes of it, and what it looks for."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from lightning import Trainer

from dlp.commands.building import build, build_trained, working
from dlp.commands.invocation import started
from dlp.commands.visualize.batch import BatchOptions, draw_batch
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
    pretrained_network,
    pretrained_on,
    trained_network,
)
from dlp.console import say
from dlp.errors import InputError, suggestion
from dlp.parsing.parser import Parser
from dlp.parsing.run_options import add_options, read_options
from dlp.process import cpu_threads, own_random_state, quiet
from dlp.recipe import Recipe
from dlp.runs.folders import ROOT, run_of
from dlp.runs.record import read_results
from dlp.visualization.files import save_drawing

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
        recipe = Recipe.parse(options, "visualize batch", BatchOptions, needs_model=False)
        draw_batch(recipe, recipe.options(BatchOptions))
        return
    if kind not in KINDS:
        given = f"unknown kind {kind!r}" if kind else "no kind is given"
        accepted = ["batch", *KINDS]
        raise InputError(
            f"visualize: {given}.{suggestion(kind, accepted)} Accepted: {', '.join(accepted)}. For "
            "example: dlp visualize batch --config cats_dogs_augmented"
        )
    _visualize_network(kind, options)


def _visualize_network(kind: str, words: list[str]) -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--backbone", "--config", "-c", "--ckpt_path", "--help", "-h"):
        parser.add_argument(name, nargs="?", const="", dest=name.lstrip("-")[:1])
    given, _ = parser.parse_known_args(words)
    if given.h is not None or (given.b and given.c is None):
        _draw_pretrained(kind, words)
    elif given.c is None:
        raise InputError(
            f"visualize {kind} needs --config NAME, --ckpt_path PATH or --backbone NAME (see dlp "
            f"visualize {kind} --help)."
        )
    elif not given.b:
        _draw_on_data(kind, *started("predict", words, KINDS[kind].options))
    elif any(word.partition("=")[0] == "--ckpt_path" for word in words):
        raise InputError("give --backbone, or --ckpt_path, not both: each is a network.")
    else:
        _draw_on_data(kind, Recipe.parse(words, f"visualize {kind}", KINDS[kind].options))


# On the data of a recipe -----------------------------------------------------------------------


def _draw_on_data(kind: str, recipe: Recipe, checkpoint: Path | None = None) -> None:
    """Draw the network of a run, or one of torchvision's, on the data of a recipe.

    The recipe was parsed with the options of the kind. Without a checkpoint the weights of a run's
    network are random.
    """
    with working(recipe):
        options = recipe.options(KINDS[kind].options)
        model, run = None, None if checkpoint is None else run_of(checkpoint)
        if options.backbone:
            data = recipe.data()
        elif checkpoint is None:
            built = build(recipe)
            data, model = built.data, built.model
        else:
            data, model = build_trained(recipe, checkpoint)
        if kind != "embedding":
            check_shows_images(kind, data)
        if model is None:
            subject = pretrained_on(data, kind, options, recipe.is_trial)
            folder = ROOT / subject.name
        else:
            name = recipe.name if run is None else f"{run.name} {run.folder.name}"
            subject = trained_network(model, data, name)
            folder = ROOT / recipe.name if run is None else run.folder
        if kind == "heatmap" and run and read_results(run.folder).get("beats_baseline") is False:
            say(
                f"{subject.name} is no better than its baseline in validation: it has learned "
                "nothing of the classes that a map could show"
            )
        subject.network.to(_device(recipe.config.trainer.accelerator))
        output = Path(recipe.run.output or folder / "visualize" / kind)
        _draw(kind, options, subject, output, recipe.seed or 0, recipe.is_trial)


# One of torchvision's alone --------------------------------------------------------------------


def _draw_pretrained(kind: str, words: list[str]) -> None:
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
    config = parser.parse_args(words)
    value = config.get
    options = read_options(KINDS[kind].options, config)
    if isinstance(options, EmbeddingOptions):
        raise InputError("an embedding is of rows of data: give --config NAME beside --backbone.")
    if isinstance(options, ImageOptions) and not options.images and not options.list_layers:
        raise InputError(
            f"visualize {kind} of a backbone needs images: give --images PATH, or --config NAME "
            "for samples of its data."
        )
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(own_random_state())
        if (threads := value("threads")) is not None:
            stack.enter_context(cpu_threads(threads))
        seed, is_trial = value("seed_everything"), bool(value("trainer.fast_dev_run"))
        torch.manual_seed(seed)
        subject = pretrained_network(
            value("backbone"), value("weights"), value("image_size"), is_trial
        )
        subject.network.to(_device(value("trainer.accelerator")))
        output = Path(value("output") or ROOT / subject.name / "visualize" / kind)
        _draw(kind, options, subject, output, seed, is_trial)


def _device(accelerator: str) -> torch.device:
    """Return the device that Lightning takes for an accelerator."""
    trainer = Trainer(accelerator=accelerator, devices=1, logger=False, enable_checkpointing=False)
    return trainer.strategy.root_device


# Drawing ---------------------------------------------------------------------------------------


def _draw(
    kind: str,
    options: NetworkOptions,
    subject: Subject,
    output: Path,
    seed: int,
    is_trial: bool,
) -> None:
    """Draw what the options say and write it, or list the layers."""
    if isinstance(options, LayerOptions) and options.list_layers:
        list_layers(kind, subject)
        return
    options = options.for_trial() if is_trial else options
    written = []
    for name, drawing in KINDS[kind].draw(subject, options, seed):
        if not is_trial:
            written.append(f"{name}.png")
            save_drawing(drawing, output / written[-1])
    if written:
        few = ", ".join(written[:8]) + (f" and {len(written) - 8} more" * (len(written) > 8))
        say(f"wrote {output}: {few}")
