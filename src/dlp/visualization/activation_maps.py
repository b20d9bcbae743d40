"""Outputs of a network's layers for images (chapter 5.4)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.visualization.layers import forward, watched

_MAPS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def activations(
    model: nn.Module,
    images: Tensor,
    layers: str | Sequence[str] | None = None,
) -> dict[str, Tensor]:
    """Return the outputs of some layers for images.

    The model runs in evaluation mode. Its own mode is restored afterwards.

    Args:
        model: Network.
        images: Images (N, C, H, W), scaled as the model expects them.
        layers: Dotted name of a layer, or several, as in ``named_modules``. By default these are
            the layers that `default_layers` returns.

    Returns:
        Output of each layer by its name: maps (N, C, h, w), or rows (N, D) from a dense layer. The
        layers are in the order in which the model first calls them. If the model calls a layer
        several times, its last output is returned. A layer that the model does not call is left
        out.

    Raises:
        InputError: If the model has no layer of that name, or if `layers` is not given and the
            model has no convolutions.
    """
    names = layers or default_layers(model)
    if isinstance(names, str):
        names = [names]
    outputs: dict[str, Tensor] = {}

    def watch(name: str, output: Tensor) -> None:
        outputs[name] = output.detach().clone()  # the next layer may change it in place

    with watched(model, names, watch), torch.no_grad():
        forward(model, images)
    return outputs


def default_layers(model: nn.Module, count: int = 8) -> list[str]:
    """Return the names of the first convolutions and poolings of a model.

    If an activation function follows such a layer, possibly after a batch normalisation, the name
    of the activation function is returned instead.

    Args:
        model: Network.
        count: Largest number of names.

    Raises:
        InputError: If the model has no convolutions and no poolings.
    """
    names = []
    previous = None
    for name, layer in model.named_modules():
        is_block = any(layer.children())
        if is_block or isinstance(layer, nn.BatchNorm2d):
            continue
        if isinstance(layer, _MAPS):
            names.append(name)
        elif is_activation(layer) and isinstance(previous, _MAPS):
            names[-1] = name
        previous = layer
    if not names:
        raise InputError(
            "layers: expected a model with convolutions, got a model without any. Give layers."
        )
    return names[:count]


def is_activation(layer: nn.Module) -> bool:
    """Return whether a layer is an activation function of torch, such as a ReLU."""
    return type(layer).__module__ == "torch.nn.modules.activation"
