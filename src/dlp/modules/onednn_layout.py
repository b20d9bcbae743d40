"""Training the convolutions of a `ConvNet` in the memory layout that oneDNN chooses for itself.

On a CPU torch computes convolutions by oneDNN. Between layers it keeps plain tensors, for which
oneDNN has slower kernels: in its own layout the gradients of weights take a quarter less, max
pooling a half, a training step of the book's convnet a fifth. The numbers are the same but for
rounding.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Hook = TypeVar("Hook", bound=Callable[..., Any])

#: Number type -> the CPUs that have fast kernels for it, as torch calls them.
_CAPABLE = {torch.float32: ("AVX2", "AVX512"), torch.bfloat16: ("AVX512",)}
#: What no layer may come near: oneDNN's ReLU and pooling make a number of what is not one.
_FAR = 1e30


def run(layers: nn.Sequential, images: Tensor) -> Tensor:
    """Return what `layers` give of float32 `images` (N, C, H, W), where they `can_run`."""
    if not torch.is_autocast_enabled("cpu"):
        inputs = images.to_mkldnn()
    else:  # weights stay float32: oneDNN rounds them as it lays them out
        inputs = images.to_mkldnn(torch.bfloat16)
    with torch.autocast("cpu", enabled=False):
        features: Tensor = layers(inputs).to_dense()
    return features


def can_run(layers: nn.Sequential, images: Tensor) -> bool:
    """Whether `run` may train these layers: what it gives is what they give by themselves.

    Evaluation, and whoever looks into the layers, gets tensors that all operations take.

    Args:
        layers: Convolutions, max pooling and activations.
        images: A batch (N, C, H, W).
    """
    mixed = torch.is_autocast_enabled("cpu")
    kind = torch.get_autocast_dtype("cpu") if mixed else torch.float32
    return (
        layers.training
        and torch.is_grad_enabled()
        and not images.requires_grad
        and images.numel() > 0
        and all(_is_plain(tensor) for tensor in (images, *layers.parameters()))
        and all(isinstance(weight, nn.Parameter) for weight in layers.parameters())  # torch.func
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call] # not typed
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.cpu.get_cpu_capability() in _CAPABLE.get(kind, ())
        and not torch.compiler.is_compiling()
        and not _is_watched(layers)
        and all(_is_known(layer) and not _is_watched(layer) for layer in layers)
        and _bound(layers, images) < _FAR
    )


def _is_plain(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


def _is_known(layer: nn.Module) -> bool:
    """Whether oneDNN has the gradient of a layer."""
    if type(layer) is nn.Conv2d:  # what pads one side more than the other is no single operation
        return layer.padding != "same" or all(side % 2 for side in layer.kernel_size)
    return type(layer) in (nn.MaxPool2d, nn.ReLU, nn.Identity)


def for_any_layout(hook: Hook) -> Hook:
    """Return a hook of a layer, marked as one that looks at no numbers."""
    hook.for_any_layout = True  # type: ignore[attr-defined] # functions take attributes
    return hook


def hooks_of(layer: nn.Module) -> list[Callable[..., Any]]:
    """Return the hooks of a layer, of whatever kind.

    Torch has no public way to ask; a test looks whether each kind of hook is still found.
    """
    return [
        *layer._forward_hooks.values(),
        *layer._forward_pre_hooks.values(),
        *layer._backward_hooks.values(),
        *layer._backward_pre_hooks.values(),
    ]


def _is_watched(layer: nn.Module) -> bool:
    """Whether a hook would see tensors that few operations take."""
    return not all(getattr(hook, "for_any_layout", False) for hook in hooks_of(layer))


@torch.no_grad()
def _bound(layers: nn.Sequential, images: Tensor) -> float:
    """Return what no number within the layers exceeds; NaN where one is not a number already."""
    low, high = images.permute(0, 2, 3, 1).aminmax()  # in the order of memory
    bound = float(torch.maximum(-low, high))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            bound *= float(layer.weight.abs().sum((1, 2, 3)).max())
            bound += 0.0 if layer.bias is None else float(layer.bias.abs().max())
    return bound
