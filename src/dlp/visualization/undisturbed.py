"""A run of any network that leaves no trace: modes, gradients, buffers, random generators."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dlp.errors import InputError
from dlp.modules.checks import layout_hint


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
    needed = [each for each in model.parameters() if each.requires_grad and not each.is_inference()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_same_random_state(tensors))
        if any(map(_is_compiled, modules)):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        buffers = [
            (module, name, buffer, buffer.clone())
            for module in modules
            for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False)
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
                setattr(module, name, buffer)
                if not torch.equal(buffer, value):
                    with torch.inference_mode(buffer.is_inference()), torch.no_grad():
                        buffer.copy_(value)


@contextmanager
def in_full_precision(model: nn.Module) -> Iterator[None]:
    """Let `model` compute in float32 where its weights are of half that size; put them back.

    A gradient through float16 is soon zero, and an image on a scale of 0 to 255 has steps of 1 in
    bfloat16. Through weights that were made in inference mode there is none. The weights
    themselves are not touched: others of the same values stand in for them.
    """
    short = (torch.float16, torch.bfloat16)
    held = [
        (module, name, tensor)
        for module in model.modules()
        for name, tensor in (
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *module.named_buffers(recurse=False, remove_duplicate=False),
        )
        if tensor.dtype in short or tensor.is_inference()
    ]
    longer: dict[int, Tensor] = {}  # a tensor may have several places
    for _, _, tensor in held:
        value = tensor.detach().float() if tensor.dtype in short else tensor.detach().clone()
        is_weight = isinstance(tensor, nn.Parameter)
        longer[id(tensor)] = nn.Parameter(value, requires_grad=False) if is_weight else value
    try:
        for module, name, tensor in held:
            setattr(module, name, longer[id(tensor)])
        yield
    finally:
        for module, name, tensor in held:
            setattr(module, name, tensor)


def check_images(images: Tensor) -> None:
    """Raise `InputError` unless `images` are finite floats (N, C, H, W), one or more."""
    if not isinstance(images, Tensor):
        raise InputError(
            f"images must be a tensor (N, C, height, width), got a {type(images).__name__}: "
            "torch.as_tensor makes one of an array."
        )
    shape = tuple(images.shape)
    if len(shape) != 4 or not len(images):
        hint = " One image: use images.unsqueeze(0)." if len(shape) == 3 else ""
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
        InputError: The images have another number of channels than the first convolution takes.
    """
    try:
        return model(images)
    except RuntimeError as error:
        first = first_convolution(model)
        if first is None or first.in_channels == images.shape[1]:
            raise
        shape = tuple(images.shape)
        raise InputError(
            f"the model takes images of {first.in_channels} channels, got {shape}."
            f"{layout_hint(shape, first.in_channels)}"
        ) from error


def first_convolution(model: nn.Module) -> nn.Conv2d | None:
    """Return the first convolution of `model`, in the order of its modules."""
    return next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)


def _is_compiled(module: nn.Module) -> bool:
    """Whether a module is compiled: torch has no public question for it, and asking is cheap.

    What has run compiled looks at no hooks that come later (tested). Eager runs could be forced
    always, but that imports torch's compiler, which takes a second.
    """
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
