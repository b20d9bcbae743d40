"""Layers of any network: found by name, and watched by hooks that are gone afterwards."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import InputError, unknown
from dlp.visualization.undisturbed import as_input, run, undisturbed

#: Torch's layers that take maps and give maps (N, C, h, w), whatever stands before them.
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm2d, nn.GroupNorm, nn.LocalResponseNorm)


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the layer of `model` with the dotted `name` that ``named_modules`` gives it.

    Raises:
        InputError: There is none; the nearest name and all names are said.
    """
    layers = dict(model.named_modules(remove_duplicate=False))
    layers.pop("")
    if name not in layers:
        raise unknown("layer", name, layers)
    layer: nn.Module = layers[name]
    return layer


@contextmanager
def hooked(
    model: nn.Module, names: Iterable[str], hook: Callable[[str, nn.Module, Any], Any]
) -> Iterator[None]:
    """Call `hook` with name, layer and output after each call of the layers; unhook at the end.

    What the hook returns takes the place of the output, unless it is None.

    Raises:
        InputError: There is no such layer.
    """
    with ExitStack() as stack:
        for name in names:
            handle = find_layer(model, name).register_forward_hook(
                lambda layer, inputs, output, name=name: hook(name, layer, output)
            )
            stack.callback(handle.remove)
        yield


@contextmanager
def watched(
    model: nn.Module, names: Iterable[str], watcher: Callable[[str, Tensor], Tensor | None]
) -> Iterator[None]:
    """Watch layers whose outputs must be tensors.

    Raises:
        InputError: There is no such layer, or its output is no tensor.
    """

    def hook(name: str, layer: nn.Module, output: Any) -> Tensor | None:
        if not isinstance(output, Tensor):
            raise InputError(
                f"layer {name!r} ({type(layer).__name__}) gives a {type(output).__name__}, not a "
                "tensor: name a layer inside it or after it."
            )
        return watcher(name, output)

    with hooked(model, names, hook):
        yield


@dataclass(frozen=True)
class Layer:
    """A layer that ran.

    Args:
        kind: Its class.
        shape: Shape of its output for one row: (C, h, w) or (D,).
    """

    kind: str
    shape: tuple[int, ...]


def layers_of(model: nn.Module, input_shape: Sequence[int]) -> dict[str, Layer]:
    """Return name -> layer of all that give a tensor, in the order of ``named_modules``.

    Args:
        model: Any network; it runs once, on zeros.
        input_shape: Shape of one row of its inputs.
    """
    names = [name for name, _ in model.named_modules() if name]
    found: dict[str, Layer] = {}

    def note(name: str, layer: nn.Module, output: Any) -> None:
        if isinstance(output, Tensor):
            found[name] = Layer(type(layer).__name__, tuple(output.shape[1:]))

    with undisturbed(model), torch.no_grad():
        zeros = as_input(model, torch.zeros(1, *input_shape))
        with hooked(model, names, note):
            run(model, zeros)
        shapes = {name: (1, *layer.shape) for name, layer in found.items()}
        for name in channels_last(model, zeros, shapes):
            height, width, channels = found[name].shape
            found[name] = Layer(found[name].kind, (channels, height, width))
    return {name: found[name] for name in names if name in found}


def channels_last(model: nn.Module, image: Tensor, shapes: Mapping[str, Sequence[int]]) -> set[str]:
    """Return the layers that give (N, height, width, C), as those inside Swin and ConvNeXt do.

    This is measured: an image twice as wide makes a map wider in its last dimension, or in the
    one before. Where the model takes no such image before the layer, only a dense layer or a
    layer norm tells.

    Args:
        model: Inside `undisturbed`.
        image: (1, C, H, W), as the model takes it.
        shapes: What each layer gives for `image`.
    """
    layers = {name: find_layer(model, name) for name in shapes}
    doubtful = [
        name
        for name, shape in shapes.items()
        if len(shape) == 4 and not isinstance(layers[name], CONVOLUTIONS + POOLS + NORMS)
    ]
    if not doubtful:
        return set()
    wider: dict[str, tuple[int, ...]] = {}

    def note(name: str, layer: nn.Module, output: Any) -> None:
        if isinstance(output, Tensor):
            wider[name] = tuple(output.shape)

    failures = (RuntimeError, ValueError, AssertionError)  # after the layers they do no harm
    with hooked(model, doubtful, note), torch.no_grad(), suppress(*failures):
        model(image.repeat(1, 1, 1, 2))

    def is_last(name: str) -> bool:
        if name not in wider:
            return isinstance(layers[name], nn.Linear | nn.LayerNorm)
        return wider[name][2] != shapes[name][2] and wider[name][3] == shapes[name][3]

    return set(filter(is_last, doubtful))


def never_called(layer: str) -> InputError:
    """Return the error for a layer that the model's ``forward`` does not call."""
    return InputError(
        f"layer {layer!r} is not called when the model runs: name one that is, or the module that "
        "uses its weights."
    )
