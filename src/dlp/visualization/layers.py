"""Layers of any network: found by name, and watched without leaving a trace."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dlp.errors import InputError, unknown

_CHANNELS_FIRST = (
    *(nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LocalResponseNorm),
    *(nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd),
    *(nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd),
)

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
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]
        if tensor is not None and (tensor.dtype in short or tensor.is_inference())
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
    doubtful = {
        name: tuple(shape)
        for name, shape in shapes.items()
        if len(shape) == 4 and not isinstance(find_layer(model, name), _CHANNELS_FIRST)
    }
    wider: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                wider[name] = tuple(output.shape)

        return hook

    with ExitStack() as stack:
        for name in doubtful:
            handle = find_layer(model, name).register_forward_hook(note(name))
            stack.callback(handle.remove)
        if doubtful:
            stack.enter_context(torch.no_grad())
            with suppress(RuntimeError, ValueError, AssertionError):  # after the layers no harm
                model(image.repeat(1, 1, 1, 2))
    found = set()
    for name, shape in doubtful.items():
        if name not in wider:
            is_last = isinstance(find_layer(model, name), nn.Linear | nn.LayerNorm)
        else:
            is_last = wider[name][2] != shape[2] and wider[name][3] == shape[3]
        found |= {name} if is_last else set()
    return found


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
        hint = ""
        if images.shape[3] == first.in_channels:
            hint = " This batch has its channels last: use images.permute(0, 3, 1, 2)."
        elif images.shape[1] == 1 and first.in_channels == 3:
            hint = " Grey images: use images.expand(-1, 3, -1, -1)."
        raise InputError(
            f"the model takes images of {first.in_channels} channels, got "
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
