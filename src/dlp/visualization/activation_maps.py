"""Outputs of the layers of a network for an image (chapter 5.4)."""

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
    """Return the outputs of some layers in evaluation mode; the model is left as it was.

    Args:
        model: Network.
        images: Images (N, C, H, W), scaled as the model takes them.
        layers: Dotted names as in ``named_modules``; None is `default_layers`.

    Returns:
        Maps (N, C, h, w) by layer in the order of their calls, or rows (N, D) of a dense layer. A
        layer that is called several times gives its last output, an unused one none.
    """
    names = layers or default_layers(model)
    if isinstance(names, str):
        names = [names]
    outputs: dict[str, Tensor] = {}

    def watch(name: str, output: Tensor) -> None:
        outputs[name] = output.detach().clone()  # the next layer may work in place

    with watched(model, names, watch), torch.no_grad():
        forward(model, images)
    return outputs


def default_layers(model: nn.Module, count: int = 8) -> list[str]:
    """Return the first convolutions and poolings, each by the activation that follows it."""
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
        raise InputError("the model has no convolutions; name the layers.")
    return names[:count]


def is_activation(layer: nn.Module) -> bool:
    """Return True for an activation function of torch, such as a ReLU."""
    return type(layer).__module__ == "torch.nn.modules.activation"
