"""Layers of any network: found by name, and watched without leaving a trace."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dlp.errors import InputError, unknown

#: What a hook is given: the output of the layer's call; what it returns takes its place.
Watcher = Callable[[Tensor], Tensor | None]


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
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Let `model` run in evaluation mode, with frozen parameters, and put all back at the end.

    Put back, after an error too: training mode, ``requires_grad`` and buffers of every submodule,
    and the states of the random generators. Gradients can be computed inside, whatever the caller
    has switched off; compiled models run as they were written, since compiled code skips hooks.

    Raises:
        InputError: The model is scripted, or has parameters that its first batch will make.
    """
    modules = list(model.modules())
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        raise InputError("a scripted model cannot be watched: give the model it was made from.")
    tensors = [*model.parameters(), *model.buffers()]
    if any(map(is_lazy, tensors)):
        raise InputError(
            "the model has parameters that are made by its first batch: run it once before."
        )
    modes = [(module, module.training) for module in modules]
    needed = [weight for weight in model.parameters() if weight.requires_grad]
    needed = [weight for weight in needed if not weight.is_inference()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_same_random_state(tensors))
        if any(map(_is_compiled, modules)):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        buffers = [
            (module, name, buffer, buffer.clone())
            for module in modules
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        try:
            # Flags and not `eval()`: a model's own `train` may do more than set them.
            for module in modules:
                module.training = False
            for weight in needed:
                weight.requires_grad_(False)
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            for weight in needed:
                weight.requires_grad_(True)
            for module, name, buffer, value in buffers:
                module._buffers[name] = buffer
                if not torch.equal(buffer, value):
                    with torch.inference_mode(buffer.is_inference()), torch.no_grad():
                        buffer.copy_(value)


@contextmanager
def watched(model: nn.Module, layer: str, watcher: Watcher) -> Iterator[None]:
    """Give every output of `layer` to `watcher`; without hooks again at the end.

    Raises:
        InputError: There is no such layer, or its output is no tensor.
    """

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor):
            raise InputError(
                f"layer {layer!r} ({type(module).__name__}) gives a {type(output).__name__}, not a "
                "tensor: name a layer inside it or after it."
            )
        return watcher(output)

    handle = find_layer(model, layer).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def check_images(images: Tensor) -> None:
    """Raise `InputError` unless `images` are finite floats (N, C, H, W), one or more."""
    if not isinstance(images, Tensor):
        raise InputError(
            f"images must be a tensor (N, C, height, width), got a {type(images).__name__}: "
            "torch.as_tensor makes one of an array."
        )
    shape = tuple(images.shape)
    if len(shape) != 4 or not len(images):
        hint = " One picture: use images.unsqueeze(0)." if len(shape) == 3 else ""
        raise InputError(f"images must be a batch (N, C, height, width), got {shape}.{hint}")
    if not images.is_floating_point():
        raise InputError(
            f"images must be floats as the model takes them, got {images.dtype}: use "
            "images.float() / 255."
        )
    if not bool(torch.isfinite(images).all()):
        raise InputError("images hold values that are not finite (NaN or infinity).")


def as_input(model: nn.Module, images: Tensor) -> Tensor:
    """Return `images` on the device of the parameters of `model`, in their precision."""
    images = images.detach()
    if images.is_inference():  # autograd refuses these
        images = images.clone()
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.is_floating_point():
            return images.to(tensor.device, tensor.dtype)
    return images


def run(model: nn.Module, images: Tensor) -> Any:
    """Return the output of `model`.

    Raises:
        InputError: The pictures have another number of channels than the first convolution takes.
    """
    try:
        return model(images)
    except RuntimeError as error:
        first = first_convolution(model)
        if first is None or first.in_channels == images.shape[1]:
            raise
        hint = ""
        if images.shape[3] == first.in_channels:
            hint = " This batch has its channels last: use images.permute(0, 3, 1, 2)."
        elif images.shape[1] == 1 and first.in_channels == 3:
            hint = " Grey pictures: use images.expand(-1, 3, -1, -1)."
        raise InputError(
            f"the model takes pictures of {first.in_channels} channels, got "
            f"{tuple(images.shape)}.{hint}"
        ) from error


def first_convolution(model: nn.Module) -> nn.Conv2d | None:
    """Return the first convolution of `model`, in the order of its modules."""
    return next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)


def never_called(layer: str) -> InputError:
    """Return the error for a layer that the model's ``forward`` does not call."""
    return InputError(
        f"layer {layer!r} is not called when the model runs: name one that is, or the module that "
        "uses its weights."
    )


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


@contextmanager
def _same_random_state(tensors: list[Tensor]) -> Iterator[None]:
    """Put the random generators of the CPU and of the devices of `tensors` back at the end."""
    cuda = sorted({tensor.device.index for tensor in tensors if tensor.device.type == "cuda"})
    mps = any(tensor.device.type == "mps" for tensor in tensors)
    state = torch.mps.get_rng_state() if mps else None
    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        finally:
            if state is not None:
                torch.mps.set_rng_state(state)
