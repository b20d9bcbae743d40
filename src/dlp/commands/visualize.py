"""Commands ``visualize batch|heatmap|activations|filters``."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from dlp import visualization
from dlp.console import say
from dlp.datamodules.ownership import supervised_data
from dlp.errors import InputError, check_choice
from dlp.files import save_figure
from dlp.recipes.image_models import image_encoder, load_image_model, target_titles
from dlp.recipes.recipe import Recipe
from dlp.runs.places import ROOT
from dlp.seeds import derived_seed
from dlp.visualization.activation_maps import default_layers, is_activation


def batch(
    recipe: Recipe,
    num_images: int = 16,
    copies: int = 1,
) -> Path | None:
    """Draw training images after augmentation, as the model receives them.

    The command reads the data of the config and trains nothing. It writes the figure to
    ``runs/<config name>/batch.png``. Check there that the changed images still show their class.

    Args:
        recipe: Config.
        num_images: Number of images in the figure, including the copies.
        copies: Number of copies of each image, side by side. Each copy is augmented as in a
            different epoch.
    """
    data = supervised_data(recipe.data())
    image_encoder(data)  # raises an error if the rows are not images
    loader: Any = data.loader("train")
    order = loader.batch_sampler
    index = torch.cat(list(order))[: max(1, num_images // copies)]
    images = loader.inputs[index]
    views = [images] * copies
    if loader.augment is not None:
        seeds = [derived_seed(order.seed, epoch, 1) for epoch in range(copies)]
        views = [loader.augment(images, index, seed) for seed in seeds]
    titles = np.repeat(target_titles(data, loader.targets[index]), copies)
    num_columns = copies if copies > 1 else None
    pixels = torch.stack(views, dim=1).flatten(0, 1)
    figure = visualization.image_grid(pixels, list(titles), num_columns)
    if recipe.is_dev_run:
        return None
    path = ROOT / recipe.name / "batch.png"
    save_figure(figure, path)
    say(f"wrote {path}")
    return path


def heatmap(
    model: str,
    images: Path | None = None,
    num_images: int = 8,
    layer: str | None = None,
    class_name: str | None = None,
    colormap: Literal["inferno", "viridis", "jet"] = "inferno",
) -> Path:
    """Draw which regions of an image speak for a class (Grad-CAM).

    The command reads a trained network, prints the three most likely classes of each image, and
    writes one figure per image to ``visualize/heatmap`` in the folder of the run. The figures of a
    network in torchvision are in ``runs/<network>/visualize/heatmap``. If the coloured regions are
    not on the object, the network may have learned the background.

    Args:
        model: Name of a config with a run, folder of a run, checkpoint, or name of a network in
            torchvision.
        images: Image file, or folder of images. None draws rows of the test part or, without
            one, of the validation part.
        num_images: Number of images.
        layer: Dotted name of the layer. None means the last feature map before pooling.
        class_name: Name of the class to explain. None means the predicted class.
        colormap: Colour map of the heat map; the book uses ``jet``.
    """
    image_model = load_image_model(model)
    if class_name is not None:
        check_choice("class", class_name, image_model.output_names)
    figures = {}
    with visualization.GradCAM(image_model.network, layer) as cam:
        for name, pixels in image_model.images(images, num_images).items():
            scores = image_model.scores(pixels)
            pairs = zip(image_model.output_names, scores.tolist(), strict=True)
            labels = [f"{label} {score:.3f}" for label, score in pairs]
            best = scores.argsort(descending=True)[:3].tolist()
            say(f"{name} -> {', '.join(labels[index] for index in best)}")
            index = best[0]
            if class_name is not None:
                index = image_model.output_names.index(class_name)
            # A single value or label is the only logit, which Grad-CAM calls class 1.
            maps = cam(pixels[None], 1 if len(scores) == 1 else index)
            titles = [name, str(cam.layer), labels[index]]
            figures[name] = visualization.heatmap_figure(pixels, maps[0], titles, colormap)
    return _save(figures, image_model.folder / "heatmap")


def activations(
    model: str,
    images: Path | None = None,
    num_images: int = 1,
    layers: list[str] | str | None = None,
) -> Path:
    """Draw the activations of the layers for images, with a grid of channels per layer.

    The command reads a trained network and writes one figure per image and layer to
    ``visualize/activations`` in the folder of the run. The figures of a network in torchvision are
    in ``runs/<network>/visualize/activations``.

    Args:
        model: Name of a config with a run, folder of a run, checkpoint, or name of a network in
            torchvision.
        images: Image file, or folder of images. None draws rows of the test part or, without
            one, of the validation part.
        num_images: Number of images.
        layers: Dotted names of layers. None means the first 8 convolutions and poolings, including
            the activation function if one follows.
    """
    image_model = load_image_model(model)
    figures = {}
    for name, pixels in image_model.images(images, num_images).items():
        outputs = visualization.activations(image_model.network, pixels[None], layers)
        for layer, maps in outputs.items():
            if maps.ndim != 4:
                raise InputError(
                    f"layers: expected layers that return maps (C, h, w), got {layer!r}, which "
                    "returns rows. Give other layers."
                )
            size = " x ".join(map(str, maps.shape[1:]))
            title = f"{name}: {layer}, {size}"
            figures[f"{name}_{layer}"] = visualization.activation_grid(maps[0], title)
    return _save(figures, image_model.folder / "activations")


def filters(
    model: str,
    layers: list[str] | str | None = None,
    num_filters: int = 64,
    steps: int = 40,
) -> Path:
    """Draw the patterns to which the filters of a network respond most strongly.

    The command reads a trained network and computes the patterns by gradient ascent, so it needs no
    images. It writes one figure per layer to ``visualize/filters`` in the folder of the run. The
    figures of a network in torchvision are in ``runs/<network>/visualize/filters``.

    Args:
        model: Name of a config with a run, folder of a run, checkpoint, or name of a network in
            torchvision.
        layers: Dotted names of layers. None means four convolutions, spread from the first to the
            last.
        num_filters: Largest number of filters per layer.
        steps: Number of steps of gradient ascent.
    """
    image_model = load_image_model(model)
    network = image_model.network
    encoder = image_model.encoder
    size = (encoder.height, encoder.width)
    options: dict[str, Any] = {"channels": encoder.channels, "steps": steps}
    if image_model.data is not None:  # the network of a run takes images of one size
        options |= {"size": size, "border": 0}
    blank = torch.zeros(1, encoder.channels, *size)
    outputs = visualization.activations(network, blank, layers or _convolutions(network))
    figures = {}
    for name, maps in outputs.items():
        count = min(num_filters, maps.shape[1])
        title = f"{image_model.name}: {count} filters of {name}"
        say(title)
        patterns = visualization.filter_patterns(network, name, range(count), **options)
        figures[name] = visualization.filter_grid(patterns, title)
    return _save(figures, image_model.folder / "filters")


def _convolutions(network: nn.Module) -> list[str]:
    """Return the names of four convolutions, spread from the first to the last.

    The first convolution is replaced by the activation function after it, if there is one. The mean
    output of the convolution itself is linear in the pixels, so its gradient contains no pattern.
    """
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    for name in default_layers(network, 2):
        if is_activation(network.get_submodule(name)):
            names[:1] = [name]
            break
    places = np.linspace(0, len(names) - 1, min(4, len(names))).round().astype(int)
    return [names[place] for place in places]


def _save(figures: dict[str, Figure], folder: Path) -> Path:
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    say(f"wrote {folder}: {', '.join(figures)}")
    return folder
