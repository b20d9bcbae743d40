"""Layers of any network: looked up by name, and watched by hooks that are removed afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import check_choice


@contextmanager
def watched(
    model: nn.Module,
    names: Sequence[str],
    watcher: Callable[[str, Tensor], Tensor | None],
) -> Iterator[None]:
    """Run a model in evaluation mode; call `watcher` after each call of some layers.

    It takes the dotted name and the output of a layer; a tensor that it returns replaces the
    output. Gradients can be computed inside, even in Lightning's validation, which runs in
    inference mode. Modes and hooks are restored at the end.
    """
    layers = dict(model.named_modules(remove_duplicate=False))

    def hook(
        name: str,
        layer: nn.Module,
        inputs: object,
        output: object,
    ) -> Tensor | None:
        if isinstance(output, Tensor):
            return watcher(name, output)
        return None

    with torch.inference_mode(False), ExitStack() as stack:
        for name in names:
            check_choice("layer", name, list(layers)[1:])
            stack.enter_context(layers[name].register_forward_hook(partial(hook, name)))
        for module in layers.values():
            stack.callback(setattr, module, "training", module.training)
            module.training = False  # only the flag: a model's own `train` may do more
        yield


def forward(model: nn.Module, images: Tensor) -> Any:
    """Return what a model returns for a copy of images (N, C, H, W) on its device."""
    device = next(model.parameters(), images).device
    return model(images.detach().clone().to(device))


def class_gradient(
    logits: Tensor,
    classes: int | Sequence[int] | Tensor | None,
    inputs: Tensor,
) -> Tensor:
    """Return the gradient of the logit, (..., N, C), of each row's class with respect to inputs.

    A single logit is that of class 1, and its negative that of class 0. None is the likeliest class
    of each row.
    """
    if logits.shape[-1] == 1:
        logits = torch.cat([-logits, logits], dim=-1)
    if classes is None:
        classes = logits.argmax(-1)
    scores = logits[..., torch.arange(logits.shape[-2]), classes]
    return torch.autograd.grad(scores.sum(), inputs)[0]


def averaged_networks(network: nn.Module) -> list[nn.Module]:
    """Return the networks whose predictions a network averages, or the network itself."""
    return list(network) if isinstance(network, nn.ModuleList) else [network]
