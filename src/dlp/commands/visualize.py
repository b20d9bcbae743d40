"""Commands ``visualize batch|heatmap|activations|filters``."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dlp import visualization
from dlp.commands.subjects import find_subject, image_format, target_titles
from dlp.console import say
from dlp.errors import InputError
from dlp.files import save_figure
from dlp.lightning_cli.dlp_cli import Recipe
from dlp.runs.folder import ROOT
from dlp.seeds import derived_seed
from dlp.visualization import GradCAM, activation_grid, filter_grid, filter_patterns
from dlp.visualization.activation_maps import default_layers, is_activation


def batch(
    recipe: Recipe, num_images: int = 16, copies: int = 1, output: Path | None = None
) -> Path | None:
    """Draw training images as the model sees them, augmentation included; nothing is trained.

    Args:
        recipe: Config.
        num_images: Number of images.
        copies: Number of epochs that each image is drawn of, side by side.
        output: Path of the PNG; None is ``runs/<config name>/batch.png``.
    """
    data = recipe.data()
    image_format(data)
    loader = data.loader("train")
    order = loader.batch_sampler
    rows = torch.cat([*order])[: max(1, num_images // copies)]
    images = loader.inputs[rows]
    seeds = [derived_seed(order.seed, epoch, 1) for epoch in range(copies)]
    views = [loader.augment(images, rows, s) if loader.augment else images for s in seeds]
    titles = target_titles(data, data.examples("train").take(rows.numpy()).targets)
    figure = visualization.image_grid(
        torch.stack(views, dim=1).flatten(0, 1),
        [title for title in titles for _ in range(copies)],
        columns=copies if copies > 1 else None,
    )
    if recipe.is_dev_run:
        return None
    path = output or ROOT / recipe.name / "batch.png"
    save_figure(figure, path)
    say(f"wrote {path}")
    return path


def heatmap(
    model: str,
    images: Path | None = None,
    num_images: int = 8,
    layer: str | None = None,
    class_name: str | None = None,
    output: Path | None = None,
) -> Path:
    """Draw the places of images in which a network sees a class (Grad-CAM).

    Args:
        model: Name of a config with a run, folder of a run, checkpoint, or network of torchvision.
        images: Image file, or folder of images; None draws rows of the test, else validation part.
        num_images: Number of images.
        layer: Dotted name of the layer; None is that of the last map before pooling.
        class_name: Name of the class; None is the predicted one.
        output: Folder of the figures; None is ``visualize/heatmap`` in the run.
    """
    subject = find_subject(model)
    figures = {}
    with GradCAM(subject.network, layer) as cam:
        for image in subject.images(images, num_images):
            scores = subject.scores(image.pixels)
            number = int(scores.argmax()) if class_name is None else subject.number(class_name)
            best = scores.argsort(descending=True)[:3].tolist()
            say(f"{image.title} -> {', '.join(subject.words(scores, each) for each in best)}")
            # A single value or label is the only logit, which Grad-CAM calls class 1.
            maps = cam(image.pixels[None], 1 if len(scores) == 1 else number)
            titles = (image.title, str(cam.layer), subject.words(scores, number))
            figures[image.name] = visualization.heatmap_figure(image.pixels, maps[0], titles)
    return _save(figures, output or subject.folder / "heatmap")


def activations(
    model: str,
    images: Path | None = None,
    num_images: int = 1,
    layers: list[str] | str | None = None,
    output: Path | None = None,
) -> Path:
    """Draw the outputs of the layers of a network for images, a grid of channels per layer.

    Args:
        model: Name of a config with a run, folder of a run, checkpoint, or network of torchvision.
        images: Image file, or folder of images; None draws rows of the test, else validation part.
        num_images: Number of images.
        layers: Dotted names of layers; None is the first 8.
        output: Folder of the figures; None is ``visualize/activations`` in the run.
    """
    subject = find_subject(model)
    figures = {}
    for image in subject.images(images, num_images):
        outputs = visualization.activations(subject.network, image.pixels[None], layers)
        for name, maps in outputs.items():
            if maps.ndim != 4:
                raise InputError(f"layer {name!r} returns rows, not maps (C, h, w); name another.")
            title = f"{image.title}: {name}, {' x '.join(map(str, maps.shape[1:]))}"
            figures[f"{image.name}_{name}"] = activation_grid(maps[0], title)
    return _save(figures, output or subject.folder / "activations")


def filters(
    model: str,
    layers: list[str] | str | None = None,
    num_filters: int = 64,
    steps: int = 40,
    output: Path | None = None,
) -> Path:
    """Draw the patterns to which the filters of a network respond most.

    Args:
        model: Name of a config with a run, folder of a run, checkpoint, or network of torchvision.
        layers: Dotted names of layers; None is four convolutions from the first to the last.
        num_filters: Upper bound of the number of filters per layer.
        steps: Number of steps of gradient ascent.
        output: Folder of the figures; None is ``visualize/filters`` in the run.
    """
    subject = find_subject(model)
    network, form = subject.network, subject.form
    names = layers or _convolutions(network)
    blank = torch.zeros(1, form.channels, form.height, form.width)
    options: dict[str, Any] = {}
    if subject.data is not None:  # a trained network takes images of one size
        options = {"size": (form.height, form.width), "border": 0}
    figures = {}
    for name, maps in visualization.activations(network, blank, names).items():
        numbers = range(min(num_filters, maps.shape[1]))
        title = f"{subject.name}: {len(numbers)} filters of {name}"
        say(title)
        patterns = filter_patterns(
            network, name, numbers, channels=form.channels, steps=steps, **options
        )
        figures[name] = filter_grid(patterns, title)
    return _save(figures, output or subject.folder / "filters")


def _convolutions(network: nn.Module) -> list[str]:
    """Return four convolutions from the first to the last, the first one by its activation.

    The mean of a first convolution is linear in the pixels: its gradient has no pattern.
    """
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    firsts = default_layers(network, 2)
    active = [name for name in firsts if is_activation(network.get_submodule(name))]
    names[:1] = active[:1] or names[:1]
    places = np.linspace(0, len(names) - 1, min(4, len(names))).round().astype(int)
    return [names[place] for place in places]


def _save(figures: dict[str, Any], folder: Path) -> Path:
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    say(f"wrote {folder}: {', '.join(f'{name}.png' for name in figures)}")
    return folder
