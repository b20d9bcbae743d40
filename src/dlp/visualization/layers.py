"""Layers of any network: looked up by name, and watched by hooks that are removed afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import unknown


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model in evaluation mode; restore its modes at the end.

    Gradients can be computed inside, even in Lightning's validation, which runs in inference mode.
    """
    modes = {module: module.training for module in model.modules()}
    with torch.inference_mode(False):
        try:
            for module in modes:  # the flags alone: a model's own `train` may do more
                module.training = False
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


@contextmanager
def watched(
    model: nn.Module, names: Sequence[str], watcher: Callable[[str, Tensor], Tensor | None]
) -> Iterator[None]:
    """Call `watcher` after each call of some layers, by their dotted names.

    It takes the name and the output of a layer; a tensor that it returns replaces the output.
    """
    layers = dict(model.named_modules(remove_duplicate=False))

    def hook(
        name: str,
        layer: nn.Module,
        inputs: Any,
        output: Any,
    ) -> Tensor | None:
        if isinstance(output, Tensor):
            return watcher(name, output)
        return None

    with ExitStack() as stack:
        for name in names:
            if name not in layers:
                raise unknown("layer", name, list(layers)[1:])
            handle = layers[name].register_forward_hook(partial(hook, name))
            stack.callback(handle.remove)
        yield


def model_input(model: nn.Module, images: Tensor) -> Tensor:
    """Return a copy of images (N, C, H, W) on the device of the parameters."""
    device = next(model.parameters(), images).device
    return images.detach().clone().to(device)


def averaged_networks(network: nn.Module) -> list[nn.Module]:
    """Return the networks whose predictions a network averages, or the network itself."""
    return list(network) if isinstance(network, nn.ModuleList) else [network]
