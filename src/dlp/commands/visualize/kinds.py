"""What each kind of ``dlp visualize`` draws of a network: one function a kind.

Each takes the network with its data, the options of its kind and a seed, and yields one drawing
after another, once all options fit the network.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from matplotlib.figure import Figure
from torch import Tensor
from tqdm.auto import tqdm

from dlp.commands.visualize.images import (
    NamedImage,
    file_name,
    no_rows,
    read_images,
    sample_images,
    target_in_words,
)
from dlp.commands.visualize.layer_choice import chosen_layers
from dlp.commands.visualize.options import (
    ActivationOptions,
    EmbeddingOptions,
    FilterOptions,
    HeatmapOptions,
    ImageOptions,
    NetworkOptions,
)
from dlp.commands.visualize.subjects import Subject
from dlp.console import bar_file, say
from dlp.datamodules import SupervisedDataModule
from dlp.datamodules.images.base import BaseImageDataModule
from dlp.datamodules.images.on_all_cores import ImageFormat
from dlp.errors import InputError, suggestion
from dlp.visualization.activation_maps import activation_grid, activations
from dlp.visualization.embedding import cluster_agreement, embed, embedding_figure, last_hidden
from dlp.visualization.filters import (
    FIRST_FILTERS,
    chosen_filters,
    filter_grid,
    filter_patterns,
)
from dlp.visualization.grad_cam import GradCAM
from dlp.visualization.heatmaps import heatmap_figure, overlay

#: The name of a file without its ending, and what is drawn there.
Drawing = tuple[str, Figure | Tensor]

#: Filters whose patterns are computed together: small enough for the progress bar to move.
_TOGETHER = 8
#: Images that are drawn where none are given.
_SAMPLES = 8
#: Fewer images than this are drawn without a bar.
_MANY = 10
#: Classes that are named for each image.
_TOP = 3


# Activations -----------------------------------------------------------------------------------


def draw_activations(subject: Subject, options: ActivationOptions, seed: int) -> Iterator[Drawing]:
    """Yield one grid for each image and layer, the book's 16 channels a row."""
    layers = chosen_layers("activations", subject, options.layers)
    for image in _each_image(subject, options):
        found = activations(subject.network, image.pixels[None], list(layers))
        for name, values in found.items():
            shape = " x ".join(map(str, values.shape[1:]))
            title = f"{image.name}: {name} ({layers[name].kind}), {shape}"
            yield file_name(image.name, name), activation_grid(values[0], title=title)


# Heat maps -------------------------------------------------------------------------------------


def class_number(subject: Subject, given: str | None) -> int | None:
    """Return the number of the class that a name or number means; None for the predicted one.

    Raises:
        InputError: There is no such class, or the network gives none.
    """
    if subject.predict is None:
        raise InputError(
            f"the weights of {subject.name} hold no classifier, and a heat map is of a class: give "
            "weights of the whole network, or train a head on it (see dlp fit --help)."
        )
    if given is None:
        return None
    names = [] if subject.class_names is None else list(subject.class_names)
    lower = [name.lower() for name in names]
    if given.lower() in lower:
        return lower.index(given.lower())
    count = len(subject.outcome(torch.zeros(subject.input_shape)))
    if given.isdecimal() and int(given) < count:
        return int(given)
    few = f"{', '.join(names)}, or " if 0 < len(names) <= 20 else ""
    raise InputError(
        f"unknown class {given!r}.{suggestion(given, names)} Accepted: {few}a number from 0 to "
        f"{count - 1}."
    )


def draw_heatmaps(subject: Subject, options: HeatmapOptions, seed: int) -> Iterator[Drawing]:
    """Yield for each image a figure (image, map, overlay), and the overlay at its full size."""
    wanted = class_number(subject, options.class_name)
    given = None if options.layer is None else [options.layer]
    (layer,) = chosen_layers("heatmap", subject, given)
    with GradCAM(subject.network, layer) as cam:
        for image in _each_image(subject, options):
            outcome = subject.outcome(image.pixels)
            number = wanted
            if number is None:
                number = int(outcome.argmax()) if subject.has_classes else 0
            # A single output (one value, one label) is the class 1 of a single logit.
            heatmap = cam(image.pixels[None], 1 if len(outcome) == 1 else number)[0].cpu()
            said = _said(subject, outcome, number)
            say(f"{image.name}{_is(image)}: {_best(subject, outcome)}")
            size = " x ".join(map(str, heatmap.shape))
            titles = (f"{image.name}{_is(image)}", f"{layer}, {size}", said)
            name = file_name(image.name, said.replace(" ", "-"))
            yield name, heatmap_figure(image.pixels, heatmap, titles)
            yield f"{name}_overlay", overlay(image.full_size(), heatmap)


def _is(image: NamedImage) -> str:
    return f" ({image.truth})" if image.truth else ""


def _said(subject: Subject, outcome: Tensor, number: int) -> str:
    digits = ".3f" if subject.has_classes else ".4g"
    return f"{subject.class_name(number)} {outcome[number].item():{digits}}"


def _best(subject: Subject, outcome: Tensor) -> str:
    """Return the most likely classes, or all values, in words."""
    numbers = list(range(len(outcome)))
    if subject.has_classes:
        numbers = outcome.argsort(descending=True)[:_TOP].tolist()
    return ", ".join(_said(subject, outcome, number) for number in numbers)


# Filters ---------------------------------------------------------------------------------------


def draw_filters(subject: Subject, options: FilterOptions, seed: int) -> Iterator[Drawing]:
    """Yield one grid of patterns for each layer."""
    chosen: dict[str, list[int]] = {}
    for name, layer in chosen_layers("filters", subject, options.layers).items():
        count = layer.shape[0]
        first = range(min(options.num_filters or FIRST_FILTERS, count))
        chosen[name] = chosen_filters(name, options.filters or first, count)
    for name, numbers in chosen.items():
        patterns, total = [], len(numbers)
        with tqdm(
            total=total, desc=name, unit="filter", leave=False, dynamic_ncols=True, file=bar_file()
        ) as bar:
            for start in range(0, total, _TOGETHER):
                part = numbers[start : start + _TOGETHER]
                found = filter_patterns(
                    subject.network, name, part, size=options.size, steps=options.steps, seed=seed
                )
                patterns.append(found)
                bar.update(len(part))
        title = f"{subject.name}: {total} filters of {name}"
        yield file_name(name), filter_grid(torch.cat(patterns), title=title)


# Embedding -------------------------------------------------------------------------------------


def draw_embedding(subject: Subject, options: EmbeddingOptions, seed: int) -> Iterator[Drawing]:
    """Yield the last hidden features of some rows in two dimensions.

    Raises:
        InputError: There is no such part, or the network has no hidden features.
    """
    data, part, method = subject.data, options.part, options.method
    assert data is not None
    examples, inputs = data.examples(part), data.inputs(part)
    if not len(inputs):
        raise no_rows(part)
    shuffled = np.random.default_rng(seed).permutation(len(inputs))
    rows = torch.from_numpy(np.sort(shuffled[: options.num_rows]))
    device = next(subject.network.parameters()).device
    size = min(256, data.eval_batch_size)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    hidden = len(batches) < _MANY
    bar = tqdm(batches, "features", unit="batch", leave=False, disable=hidden, file=bar_file())
    features = last_hidden(
        subject.network, (move_data_to_device(inputs[index], device) for index in bar)
    )
    how = {"pca": "two principal components", "tsne": "t-SNE"}[method]
    title = f"{subject.name}, {part}\n{len(rows):,} rows, {features.shape[1]} features: {how}"
    targets: Any = None
    names = None
    if examples.targets is not None:
        encoded = data.targets.encode(examples.targets[rows.numpy()])
        targets, names = _classes(encoded, data)
    if names is not None:
        found = cluster_agreement(features, targets, seed)
        rand, mutual = found["adjusted_rand"], found["normalized_mutual_info"]
        say(
            f"k-means with {found['clusters']} clusters and the classes: adjusted Rand index "
            f"{rand:.3f}, normalised mutual information {mutual:.3f}"
        )
        title += f"\nk-means: adjusted Rand {rand:.3f}, normalised mutual info {mutual:.3f}"
    points = embed(features, method, seed)
    value = (data.target_names or ["value"])[0]
    yield file_name(part, method), embedding_figure(points, targets, names, title, value)


def _classes(encoded: Any, data: SupervisedDataModule) -> tuple[Any, list[str] | None]:
    """Return class numbers (N,) and names; or the (first) value of each row, and None."""
    if data.targets.is_classification:
        return encoded if encoded.ndim == 1 else encoded.argmax(1), data.class_names
    if data.class_names is None:
        return encoded if encoded.ndim == 1 else encoded[:, 0], None
    labels = encoded.reshape(len(encoded), -1).tolist()  # each set of labels is a class
    words = [target_in_words(row, data.class_names) for row in labels]
    names = sorted(set(words))
    return np.array([names.index(word) for word in words]), names


# The kinds -------------------------------------------------------------------------------------


def _each_image(subject: Subject, options: ImageOptions) -> Iterator[NamedImage]:
    """Yield the images to draw; a bar moves where they are many."""
    data, (channels, height, width) = subject.data, subject.input_shape
    form = ImageFormat((height, width), channels=3 if channels == 3 else 1)
    if isinstance(data, BaseImageDataModule):
        form = data.form
    if options.images:
        images = read_images(options.images, options.num_images, form)
    else:
        assert data is not None
        images = sample_images(data, options.part, options.num_images or _SAMPLES)
    hidden = len(images) < _MANY
    yield from tqdm(images, "images", unit="image", leave=False, disable=hidden, file=bar_file())


@dataclass(frozen=True)
class Kind:
    """What can be drawn of a network: in words, with which options, and what yields it."""

    what: str
    options: type[NetworkOptions]
    draw: Callable[[Subject, Any, int], Iterator[Drawing]]


KINDS = {
    "activations": Kind(
        "what the layers of a network make of images", ActivationOptions, draw_activations
    ),
    "filters": Kind(
        "the pattern that each filter of a layer answers to most", FilterOptions, draw_filters
    ),
    "heatmap": Kind(
        "where in images a network sees a class (Grad-CAM)", HeatmapOptions, draw_heatmaps
    ),
    "embedding": Kind(
        "rows by their last hidden features, in two dimensions, and clusters",
        EmbeddingOptions,
        draw_embedding,
    ),
}
