"""What each kind of ``dlp visualize`` draws of a network, one image after another."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from matplotlib.figure import Figure
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation
from tqdm.auto import tqdm

from dlp.commands.visualize.images import NamedImage, file_name, no_rows, target_in_words
from dlp.commands.visualize.networks import Layer, Subject, layers_of, named_layer
from dlp.console import bar_file, say
from dlp.datamodules import SupervisedDataModule
from dlp.datamodules.examples import Part
from dlp.errors import InputError, suggestion
from dlp.visualization.activation_maps import (
    activation_grid,
    activations,
    default_layers,
    is_activation,
)
from dlp.visualization.embedding import (
    Method,
    cluster_agreement,
    embed,
    embedding_figure,
    last_hidden,
)
from dlp.visualization.filters import filter_grid, filter_patterns
from dlp.visualization.heatmap_panels import heatmap_figure
from dlp.visualization.heatmaps import GradCAM, default_cam_layer, overlay

#: The name of a file without its ending, and what is drawn there.
Drawing = tuple[str, Figure | Tensor]

#: Filters whose patterns are computed together: small enough for the progress bar to move.
_TOGETHER = 8
#: Fewer images than this are drawn without a bar.
_MANY = 10
#: Classes that are named for each image.
_TOP = 3


def default_names(kind: str, subject: Subject) -> list[str]:
    """Return the layers that are drawn where none is named.

    Raises:
        InputError: The network has no convolution, or no maps.
    """
    if kind == "activations":
        return default_layers(subject.network)
    if kind == "heatmap":
        return [default_cam_layer(subject.network, torch.zeros(1, *subject.input_shape))]
    gates: set[nn.Module] = set()
    for layer in subject.network.modules():
        if isinstance(layer, SqueezeExcitation):
            gates.update(layer.modules())
    names = [
        name
        for name, layer in subject.network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer not in gates
    ]
    if not names:
        raise InputError(f"{subject.name} has no convolutions, so there are no filters to draw.")
    # The mean of the first convolution's output is linear in the pixels: its gradient has no
    # pattern, that of its activation has.
    for name in default_layers(subject.network, 2):
        if is_activation(subject.network.get_submodule(name)):
            names[0] = name
            break
    places = np.linspace(0, len(names) - 1, min(4, len(names))).round().astype(int)
    return [names[place] for place in places]


def chosen_layers(kind: str, subject: Subject, given: Sequence[str] | None) -> dict[str, Layer]:
    """Return name -> layer of those to draw, the default ones where none is given.

    Raises:
        InputError: A layer is unknown or gives no maps.
    """
    layers = layers_of(subject)
    if given is None:
        given = default_names(kind, subject)
    names = [named_layer(layers, name) for name in given]
    return {name: layers[name] for name in dict.fromkeys(names)}


def list_layers(kind: str, subject: Subject) -> None:
    """Print the name, class and output shape of every layer, and which are drawn by default."""
    layers = layers_of(subject)
    try:
        default = default_names(kind, subject)
    except InputError:
        default = []
    names, kinds = ("layer", *layers), [layer.kind for layer in layers.values()]
    width, wide = max(map(len, names)), max(map(len, ("kind", *kinds)))
    say(f"{'layer':<{width}}  {'kind':<{wide}}  output")
    for name, layer in layers.items():
        shape = " x ".join(map(str, layer.shape))
        mark = "  (default)" if name in default else ""
        say(f"{name:<{width}}  {layer.kind:<{wide}}  {shape}{mark}")


# Activations -----------------------------------------------------------------------------------


def draw_activations(
    subject: Subject, images: Sequence[NamedImage], layers: dict[str, Layer]
) -> Iterator[Drawing]:
    """Yield one grid an image and layer, the book's 16 channels a row."""
    for image in _with_bar(images):
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


def draw_heatmaps(
    subject: Subject, images: Sequence[NamedImage], layer: str, wanted: int | None
) -> Iterator[Drawing]:
    """Yield for each image a figure (image, map, overlay), and the overlay at its full size."""
    with GradCAM(subject.network, layer) as cam:
        for image in _with_bar(images):
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


def chosen_filters(
    layers: dict[str, Layer], filters: Sequence[int] | None, count: int
) -> dict[str, list[int]]:
    """Return layer -> the numbers of the filters to draw: those given, or the first `count`.

    Raises:
        InputError: A layer has no such filter.
    """
    chosen: dict[str, list[int]] = {}
    for name, layer in layers.items():
        number = layer.shape[0]
        chosen[name] = list(range(min(count, number))) if filters is None else list(filters)
        for wrong in [given for given in chosen[name] if not 0 <= given < number]:
            raise InputError(
                f"layer {name!r} has {number} filters, 0 to {number - 1}; {wrong} is none of them."
            )
    return chosen


def draw_filters(
    subject: Subject, chosen: dict[str, list[int]], size: int | None, steps: int, seed: int
) -> Iterator[Drawing]:
    """Yield one grid of patterns a layer."""
    for name, numbers in chosen.items():
        patterns = []
        with tqdm(
            desc=name,
            total=len(numbers),
            unit="filter",
            leave=False,
            dynamic_ncols=True,
            file=bar_file(),
        ) as bar:
            for start in range(0, len(numbers), _TOGETHER):
                part = numbers[start : start + _TOGETHER]
                patterns.append(
                    filter_patterns(subject.network, name, part, size=size, steps=steps, seed=seed)
                )
                bar.update(len(part))
        title = f"{subject.name}: {len(numbers)} filters of {name}"
        yield file_name(name), filter_grid(torch.cat(patterns), title=title)


# Embedding -------------------------------------------------------------------------------------


def draw_embedding(
    subject: Subject,
    data: SupervisedDataModule,
    part: Part,
    num_rows: int,
    method: Method,
    seed: int,
) -> Iterator[Drawing]:
    """Yield the last hidden features of some rows in two dimensions.

    Raises:
        InputError: There is no such part, or the network has no hidden features.
    """
    examples, inputs = data.examples(part), data.inputs(part)
    if not len(inputs):
        raise no_rows(part)
    shuffled = np.random.default_rng(seed).permutation(len(inputs))
    rows = torch.from_numpy(np.sort(shuffled[:num_rows]))
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


def _with_bar(images: Sequence[NamedImage]) -> Iterator[NamedImage]:
    hidden = len(images) < _MANY
    yield from tqdm(images, "images", unit="image", leave=False, disable=hidden, file=bar_file())
