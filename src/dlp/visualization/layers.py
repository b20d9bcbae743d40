"""Hooks on the layers of any network. Layers are looked up by name; hooks are always removed."""

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
    """Watch the outputs of some layers while the block runs the model in evaluation mode.

    Gradients can be computed in the block, even during Lightning's validation, which runs in
    inference mode. At the end of the block the hooks are removed, and every layer is in training or
    evaluation mode as before.

    Args:
        model: Network.
        names: Dotted names of the layers, as in ``named_modules``.
        watcher: Function that is called with the name and the output of a layer whenever the model
            calls that layer. If it returns a tensor, the tensor replaces the output. An output that
            is not a tensor is not watched.

    Raises:
        InputError: If the model has no layer of that name.
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
            module.training = False  # not `eval()`, because a model's own `train` may do more
        yield


def forward(model: nn.Module, images: Tensor) -> Any:
    """Call a model with a copy of images (N, C, H, W) on the model's device."""
    device = next(model.parameters(), images).device
    return model(images.detach().clone().to(device))


def class_gradient(
    logits: Tensor,
    classes: int | Sequence[int] | Tensor | None,
    inputs: Tensor,
) -> Tensor:
    """Return the gradient of the logit of each row's class with respect to the inputs.

    Args:
        logits: Logits (..., N, C), or (..., N, 1) for two classes. A single logit belongs to class
            1, and its negative to class 0.
        classes: Number of the class, or one number per row. By default it is the class with the
            largest logit in each row.
        inputs: Tensor from which the logits were computed.
    """
    if logits.shape[-1] == 1:
        logits = torch.cat([-logits, logits], dim=-1)
    if classes is None:
        classes = logits.argmax(-1)
    scores = logits[..., torch.arange(logits.shape[-2]), classes]
    return torch.autograd.grad(scores.sum(), inputs)[0]


def averaged_networks(network: nn.Module) -> list[nn.Module]:
    """Return a list of the networks that a network averages, or of the network itself."""
    return list(network) if isinstance(network, nn.ModuleList) else [network]
