"""Where in an image a network sees a class: Grad-CAM (section 5.4)."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import matplotlib
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.visualization.layers import (
    as_input,
    channels_last,
    check_images,
    find_layer,
    first_convolution,
    in_full_precision,
    never_called,
    run,
    undisturbed,
    watched,
)

_POOLS = (
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)


class GradCAM:
    """Maps of how much each place speaks for a class, within a ``with`` block.

    ``relu(sum_k a_k * A_k)``, where ``A_k`` is channel k of the layer's map and ``a_k`` the mean
    over the map of the gradient of the class's logit. Source: Selvaraju et al. 2017, formulas 1 and
    2. The book takes the gradient of the softmax output instead, which vanishes where the network
    is sure, and the mean over channels, which is the sum but for a factor.

    Each call runs in evaluation mode and leaves the model as it was; the block holds the hook.

    Args:
        model: Any network that gives logits (N, classes), or one logit (N,) or (N, 1).
        layer: Dotted name as in ``named_modules``; taken after its activation where that is named.
            None takes `default_cam_layer` of the first images.

    Raises:
        InputError: The layer is unknown.

    Example:
        >>> with GradCAM(model, "layer4") as cam:
        ...     maps = cam(images, classes=386)
    """

    def __init__(self, model: nn.Module, layer: str | None = None) -> None:
        if layer is not None:
            find_layer(model, layer)
        self.model = model
        self.layer = layer
        self._stack = ExitStack()
        self._open = False
        self._hooked = False
        self._watching = False
        self._last: bool | None = None  # whether the layer gives its channels last
        self._map: Tensor | None = None

    def __enter__(self) -> "GradCAM":
        """Begin to watch the layer."""
        self._open = True
        return self

    def __exit__(self, *error: object) -> None:
        """Take the hook away."""
        self._open = self._hooked = False
        self._stack.close()

    def __call__(
        self, images: Tensor, classes: int | Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Return heat maps (N, h, w) of the layer's size, 0 or more, on the model's device.

        Args:
            images: (N, C, H, W), scaled as the model takes them.
            classes: The class to look for, or one for each image; None takes the predicted ones.
                A model with one logit has the classes 1, its logit, and 0, the negative of it.

        Raises:
            InputError: This is not inside a ``with`` block, a class is out of range, the images are
                not what the model takes, or the layer gives no map or has no gradient.
        """
        if not self._open:
            raise InputError("GradCAM works inside a block: with GradCAM(model) as cam: cam(...).")
        check_images(images)
        if self.layer is None:
            self.layer = default_cam_layer(self.model, images)
        if not self._hooked:
            self._stack.enter_context(watched(self.model, self.layer, self._watch))
            self._hooked = True
        try:
            with undisturbed(self.model), in_full_precision(self.model):
                self._watching = True
                inputs = as_input(self.model, images)
                outputs = run(self.model, inputs)
                self._watching = False  # a checkpointed part runs again for its gradient
                return self._maps(outputs, classes, inputs)
        finally:
            self._watching, self._map = False, None

    def _watch(self, output: Tensor) -> Tensor | None:
        if not self._watching:
            return None
        # The gradient is needed from here on alone, and what follows may work in place.
        self._map = output.detach().clone().requires_grad_()
        return self._map.clone()

    def _maps(
        self, outputs: Any, classes: int | Sequence[int] | Tensor | None, images: Tensor
    ) -> Tensor:
        maps = self._map
        if maps is None:
            raise never_called(str(self.layer))
        turned = self._turned(maps, images)
        self._check_maps(turned, images)
        logits = _logits(outputs, len(images))
        if not logits.requires_grad:
            raise self._no_gradient()
        scores = logits.gather(1, _columns(logits, classes)[:, None])
        (gradient,) = torch.autograd.grad(scores.sum(), maps, allow_unused=True)
        if gradient is None:
            raise self._no_gradient()
        gradient = self._turned(gradient, images)
        weights = gradient.mean((2, 3), keepdim=True)
        return (weights * turned.detach()).sum(1).relu().float()

    def _turned(self, maps: Tensor, images: Tensor) -> Tensor:
        """Return maps (N, C, h, w), of a layer that works with its channels last too."""
        if self._last is None:
            name = str(self.layer)
            self._last = bool(channels_last(self.model, images[:1], {name: maps[:1].shape}))
        return maps.permute(0, 3, 1, 2) if self._last else maps

    def _check_maps(self, maps: Tensor, images: Tensor) -> None:
        shape = tuple(maps.shape)
        if len(shape) != 4 or len(maps) != len(images):
            raise InputError(
                f"layer {self.layer!r} gives {shape} for {len(images)} images; Grad-CAM takes "
                "maps (N, C, height, width): name a layer before the rows or tokens."
            )
        # Where a model takes one size alone, that could not be measured: (N, 7, 7, 768) is no map.
        height, width = images.shape[2:]
        first, second, third = shape[1:]
        if (
            _elongation(second, third, height, width)
            > 4
            > 2 * _elongation(first, second, height, width)
        ):
            raise InputError(
                f"layer {self.layer!r} gives {shape}, with the channels last; Grad-CAM takes maps "
                "(N, C, height, width): name a layer after they are moved to the front."
            )

    def _no_gradient(self) -> InputError:
        return InputError(
            f"no gradient comes from the outputs to layer {self.layer!r}: the outputs do not "
            "depend on it, or the model computes without gradients after it."
        )


def default_cam_layer(model: nn.Module, images: Tensor) -> str:
    """Return the name of the layer that gives the last map of features.

    That is the last output (N, C, h, w) larger than one point that is not a pooling's and that a
    layer with weights still follows (so not SqueezeNet's maps of classes), after its activation.
    Several modules may give the same one: the outermost is named that does not hold the first
    convolution, ``layer4`` in a ResNet, ``features.29`` in VGG16.

    Args:
        model: Any network; it runs once, and is left as it was.
        images: (N, C, H, W), scaled as the model takes them; the first is used.

    Raises:
        InputError: There are no maps, or the network goes on with tokens after them, as a vision
            transformer does.
    """
    check_images(images)
    trace = _Trace(model)
    with undisturbed(model), torch.no_grad(), ExitStack() as stack:
        for name, layer in model.named_modules():
            if name:
                handle = layer.register_forward_hook(trace.hook(name))
                stack.callback(handle.remove)
        run(model, as_input(model, images[:1]))
    return trace.chosen()


def overlay(image: Tensor, heatmap: Tensor, alpha: float = 0.4) -> Tensor:
    """Return an image with a heat map over it, as the book does: image + alpha * colours.

    Args:
        image: (3, H, W), or grey (1, H, W), in [0, 1].
        heatmap: (h, w), 0 or more; scaled to a maximum of 1 and resized bilinearly to the image.
        alpha: Strength of the colours (Matplotlib's ``jet``).

    Returns:
        (3, H, W) in [0, 1], on the CPU; the sum is clipped.

    Raises:
        InputError: These are no image and no map.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3) or heatmap.ndim != 2:
        raise InputError(
            "overlay takes one image (1 or 3, height, width) and one heat map (height, width), "
            f"got {tuple(image.shape)} and {tuple(heatmap.shape)}."
        )
    if not image.is_floating_point():
        raise InputError(
            f"overlay takes float images in [0, 1], got {image.dtype}: use image.float() / 255."
        )
    values = heatmap.detach().float().cpu().clamp_min(0)
    values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)
    size = (image.shape[1], image.shape[2])
    values = F.interpolate(values[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    colours = torch.from_numpy(matplotlib.colormaps["jet"](values.numpy())[..., :3]).float()
    return (image.detach().float().cpu() + alpha * colours.permute(2, 0, 1)).clamp(0, 1)


class _Trace:
    """Follows one run of a network to its last map that a layer with weights still follows."""

    def __init__(self, model: nn.Module) -> None:
        stem = first_convolution(model)
        self.bodies = {name for name, layer in model.named_modules() if stem in layer.modules()}
        self.names: list[str] = []  # of the modules that gave the last map
        self.followed: list[str] = []  # the same for the last map that was used
        self.tokens = False  # whether rows of tokens came after that
        # Tensors are kept, so that no other takes their identity; in-place layers raise a version.
        self._last: tuple[Tensor, int] | None = None
        self._pooled: tuple[Tensor, int] | None = None

    def hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        """Return the hook for the module `name`."""

        def watch(layer: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return
            if _same(self._last, output):
                self.names.append(name)
                return
            is_leaf = next(layer.children(), None) is None
            has_weights = is_leaf and next(layer.parameters(), None) is not None
            if has_weights and self.followed is not self.names:
                self.followed, self.tokens = self.names, False
            self.tokens = self.tokens or output.ndim == 3
            if isinstance(layer, _POOLS):
                self._pooled = (output, output._version)
            if output.ndim == 4 and output[0, 0].numel() > 1 and not _same(self._pooled, output):
                self._last, self.names = (output, output._version), [name]

        return watch

    def chosen(self) -> str:
        """Return the outermost name of the map."""
        names = self.followed or self.names
        if not names:
            raise InputError(
                "the model has no maps (N, C, height, width), so Grad-CAM has nothing to show."
            )
        best = names[0]
        if self.tokens:
            raise InputError(
                f"the model goes on with rows of tokens after its last map ({best!r}), as a vision "
                "transformer does; Grad-CAM takes maps. Name that layer to use it all the same."
            )
        for name in names[1:]:
            if best.startswith(f"{name}.") and name not in self.bodies:
                best = name
        return best


def _same(seen: tuple[Tensor, int] | None, output: Tensor) -> bool:
    return seen is not None and seen[0] is output and seen[1] == output._version


def _elongation(height: int, width: int, image_height: int, image_width: int) -> float:
    """Return how many times longer one side of a map is than in the image's shape."""
    ratio = (height * image_width) / (width * image_height)
    return max(ratio, 1 / ratio)


def _logits(outputs: Any, count: int) -> Tensor:
    """Return logits (N, classes) of what a model gave; one logit makes the classes 0 and 1."""
    outputs = getattr(outputs, "logits", outputs)
    if isinstance(outputs, Tensor) and outputs.ndim == 1:
        outputs = outputs[:, None]
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != count:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(
            f"Grad-CAM takes models that give logits (N, classes), got {given} for {count} images."
        )
    return torch.cat([-outputs, outputs], dim=1) if outputs.shape[1] == 1 else outputs


def _columns(logits: Tensor, classes: int | Sequence[int] | Tensor | None) -> Tensor:
    """Return the class of each image (N,)."""
    count, number = logits.shape
    if classes is None:
        return logits.argmax(1)
    given = torch.as_tensor(classes)
    wanted = given.expand(count) if given.ndim == 0 else given
    if wanted.shape != (count,):
        raise InputError(
            f"classes are one number, or one for each of {count} images; got {tuple(given.shape)}."
        )
    wrong = wanted[(wanted < 0) | (wanted >= number) | (wanted != wanted.long())]
    if len(wrong):
        raise InputError(
            f"the model has the classes 0 to {number - 1}; class {wrong[0].item()} is none of them."
        )
    return wanted.long().to(logits.device)
