"""Which layers of a network ``dlp visualize`` draws: those named, or good ones to begin with."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from dlp.commands.visualize.subjects import Subject
from dlp.console import say
from dlp.errors import InputError, suggestion
from dlp.text_table import aligned
from dlp.visualization.activation_maps import default_layers, gate_layers, is_activation
from dlp.visualization.grad_cam import default_cam_layer
from dlp.visualization.layer_hooks import Layer, layers_of


def chosen_layers(kind: str, subject: Subject, given: Sequence[str] | None) -> dict[str, Layer]:
    """Return name -> layer of those to draw, the default ones where none is given.

    Raises:
        InputError: A layer is unknown or gives no maps.
    """
    layers = layers_of(subject.network, subject.input_shape)
    if given is None:
        given = default_names(kind, subject)
    names = [named_layer(layers, name) for name in given]
    return {name: layers[name] for name in dict.fromkeys(names)}


def list_layers(kind: str, subject: Subject) -> None:
    """Print the name, class and output shape of every layer, and which are drawn by default."""
    layers = layers_of(subject.network, subject.input_shape)
    try:
        default = default_names(kind, subject)
    except InputError:
        default = []
    rows = [("layer", "kind", "output")]
    for name, layer in layers.items():
        shape = " x ".join(map(str, layer.shape))
        rows.append((name, layer.kind, f"{shape}  (default)" if name in default else shape))
    say("\n".join(aligned(rows)))


def default_names(kind: str, subject: Subject) -> list[str]:
    """Return the layers that are drawn where none is named.

    Raises:
        InputError: The network has no convolution, or no maps.
    """
    if kind == "activations":
        return default_layers(subject.network)
    if kind == "heatmap":
        return [default_cam_layer(subject.network, torch.zeros(1, *subject.input_shape))]
    gates = gate_layers(subject.network)
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


def named_layer(layers: Mapping[str, Layer], given: str) -> str:
    """Return the name of the layer of maps that `given` means: its name, or the end of it.

    Raises:
        InputError: There is none, there are several, or it gives no maps.
    """
    found = [given] if given in layers else [n for n in layers if n.endswith(f".{given}")]
    if len(found) > 1:
        raise InputError(f"several layers end with {given!r}: {', '.join(found)}. Name one whole.")
    if not found:
        ends = {name.split(".", start)[-1] for name in layers for start in range(3)}
        near = suggestion(given, [*layers, *sorted(ends)])
        raise InputError(f"unknown layer {given!r}.{near} --list_layers prints all.")
    shape = layers[found[0]].shape
    if len(shape) != 3:
        raise InputError(
            f"layer {found[0]!r} gives rows of shape {shape}, and maps (C, h, w) are drawn. "
            "--list_layers prints the shape of each."
        )
    return found[0]
