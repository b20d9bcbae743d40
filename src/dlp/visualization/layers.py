"""Layers of any network: looked up by name, and watched by hooks that are removed afterwards."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import InputError, unknown

#: Function of a layer's name and output; a tensor that it returns replaces the output.
Watcher = Callable[[str, Tensor], Tensor | None]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model in evaluation mode with frozen parameters; restore both at the end.

    Gradients of inputs can be computed inside, even in Lightning's validation, which runs in
    inference mode.
    """
    modes = [(module, module.training) for module in model.modules()]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.inference_mode(False), torch.enable_grad():
        try:
            for module, _ in modes:  # flags, not `eval()`: a model's own `train` may do more
                module.training = False
            for parameter in trainable:
                parameter.requires_grad_(False)
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            for parameter in trainable:
                parameter.requires_grad_(True)


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the layer of a dotted name, as in ``named_modules``.

    Raises:
        InputError: If there is no such layer.
    """
    layers: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if name not in layers:
        raise unknown("layer", name, list(layers)[1:])
    return layers[name]


@contextmanager
def watched(
    model: nn.Module, names: Iterable[str], watcher: Watcher, strict: bool = True
) -> Iterator[None]:
    """Call `watcher` after each call of some layers.

    Args:
        model: Any network.
        names: Dotted names of the layers.
        watcher: Function of name and output.
        strict: Whether a layer whose output is not a tensor is an error.
    """

    def hook(name: str, layer: nn.Module, inputs: Any, output: Any) -> Tensor | None:
        if isinstance(output, Tensor):
            return watcher(name, output)
        if strict:
            raise InputError(f"layer {name!r} returns {type(output).__name__}, not a tensor.")
        return None

    with ExitStack() as stack:
        for name in names:
            handle = find_layer(model, name).register_forward_hook(partial(hook, name))
            stack.callback(handle.remove)
        yield


def model_input(model: nn.Module, images: Tensor) -> Tensor:
    """Return a copy of images (N, C, H, W) on the device and in the precision of the parameters.

    Raises:
        InputError: If they are not float images.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"images are floats (N, channels, height, width); got {images.dtype} "
            f"{tuple(images.shape)}."
        )
    parameter = next(model.parameters(), images)
    return images.detach().clone().to(parameter.device, parameter.dtype)
