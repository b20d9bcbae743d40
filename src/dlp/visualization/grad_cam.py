"""Where in an image a network sees a class: Grad-CAM (section 5.4)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.visualization.layer_hooks import (
    POOLS,
    channels_last,
    find_layer,
    hooked,
    never_called,
    watched,
)
from dlp.visualization.undisturbed import (
    as_input,
    check_images,
    first_convolution,
    in_full_precision,
    run,
    undisturbed,
)


class GradCAM:
    """Maps of how much each place speaks for a class.

    ``relu(sum_k a_k * A_k)``, where ``A_k`` is channel k of the layer's map and ``a_k`` the mean
    over the map of the gradient of the class's logit. Source: Selvaraju et al. 2017, formulas 1 and
    2. The book takes the gradient of the softmax output instead, which vanishes where the network
    is sure, and the mean over channels, which is the sum but for a factor.

    Each call runs in evaluation mode and leaves the model as it was.

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
        self._channels_last: bool | None = None  # measured at the first call

    def __enter__(self) -> "GradCAM":
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: each call has left the model as it was."""

    def __call__(
        self, images: Tensor, classes: int | Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Return heat maps (N, h, w) of the layer's size, 0 or more, on the model's device.

        Args:
            images: (N, C, H, W), scaled as the model takes them.
            classes: The class to look for, or one for each image; None takes the predicted ones.
                A model with one logit has the classes 1, its logit, and 0, the negative of it.

        Raises:
            InputError: A class is out of range, the images are not what the model takes, or the
                layer gives no map or has no gradient.
        """
        check_images(images)
        if self.layer is None:
            self.layer = default_cam_layer(self.model, images)
        found: list[Tensor] = []

        def watch(name: str, output: Tensor) -> Tensor:
            # The gradient is needed from here on alone, and what follows may work in place.
            found[:] = [output.detach().clone().requires_grad_()]
            return found[0].clone()

        with undisturbed(self.model), in_full_precision(self.model):
            inputs = as_input(self.model, images)
            with watched(self.model, [self.layer], watch):
                outputs = run(self.model, inputs)
            if not found:
                raise never_called(self.layer)
            maps = self._turned(found[0], inputs)
            self._check_maps(maps, inputs)
            logits = _logits(outputs, len(inputs))
            scores, gradient = logits.gather(1, _columns(logits, classes)[:, None]), None
            if logits.requires_grad:
                (gradient,) = torch.autograd.grad(scores.sum(), found[0], allow_unused=True)
            if gradient is None:
                raise InputError(
                    f"no gradient comes from the outputs to layer {self.layer!r}: the outputs do "
                    "not depend on it, or the model computes without gradients after it."
                )
            weights = self._turned(gradient, inputs).mean((2, 3), keepdim=True)
            return (weights * maps.detach()).sum(1).relu().float()

    def _turned(self, maps: Tensor, images: Tensor) -> Tensor:
        """Return maps (N, C, h, w), of a layer that works with its channels last too."""
        if self._channels_last is None:
            name = str(self.layer)
            shapes = {name: maps[:1].shape}
            self._channels_last = bool(channels_last(self.model, images[:1], shapes))
        return maps.permute(0, 3, 1, 2) if self._channels_last else maps

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
    names = [name for name, _ in model.named_modules() if name]
    with undisturbed(model), torch.no_grad(), hooked(model, names, trace.watch):
        run(model, as_input(model, images[:1]))
    return trace.chosen()


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

    def watch(self, name: str, layer: nn.Module, output: Any) -> None:
        """Note what the module `name` gave."""
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
        if isinstance(layer, POOLS):
            self._pooled = _noted(output)
        if output.ndim == 4 and output[0, 0].numel() > 1 and not _same(self._pooled, output):
            self._last, self.names = _noted(output), [name]

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


def _noted(output: Tensor) -> tuple[Tensor, int]:
    """Return an output and its number of changes in place: torch counts them under no public name.

    A layer that changes its input in place gives the same tensor; without the number its output
    would count as that of the layer before (tested with such layers).
    """
    return output, output._version


def _same(seen: tuple[Tensor, int] | None, output: Tensor) -> bool:
    return seen is not None and seen[0] is output and seen[1] == _noted(output)[1]


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
