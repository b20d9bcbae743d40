"""Pretrained backbones: torchvision's networks without their classifiers, stage by stage."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Literal

import torch
import torchvision
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dlp.errors import InputError, unknown
from dlp.modules.checks import check_images
from dlp.modules.pretrained.families import Family, family_of
from dlp.modules.pretrained.weights import (
    check_weights,
    default_weights,
    published_weights,
    read_weights,
)
from dlp.modules.state_dicts import fill

ImageScaling = Literal["weights", "unit"]


class Backbone(nn.Module):
    """One of torchvision's classification networks as a chain of stages, without its classifier.

    ``model`` is torchvision's network under torchvision's module names. ``stages`` are named from
    stem to deep end; a stage that consists mainly of one module has that module's name. Frozen
    stages have no gradient and stay in evaluation mode (batch normalisation, dropout, stochastic
    depth), whatever `train` says.

    Args:
        name: Any classification network of torchvision: ``vgg16``, ``resnet50`` ...
        weights: A torchvision name (``DEFAULT``, ``IMAGENET1K_V1``), the path of a state dict (of
            the whole network or its features alone), or None for torchvision's random ones.
        trainable_stages: How many of the deepest stages are trained; ``all`` trains all.
        scaling: What is done to images in [0, 1]: ``weights`` normalises them as the weights'
            own transforms do (the default weights', where `weights` is a path or None); ``unit``
            leaves them as they are, which is the book's plain 1/255.
        image_size: The least side of the images, to refuse it where it is too small; a network
            of one fixed size (ViT, MaxViT) is built for it. None is that of the weights there.

    Raises:
        InputError: The name or the weights are unknown or do not fit each other or the size, the
            download fails, or there are fewer stages than are to be trained.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        weights: str | os.PathLike[str] | None = None,
        trainable_stages: int | Literal["all"] = 0,
        scaling: ImageScaling = "weights",
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        if scaling not in ("weights", "unit"):
            raise unknown("scaling", scaling, ["weights", "unit"])
        self.name = name
        self.family = family_of(name)
        if weights is not None:
            check_weights(name, weights)
        entry = published_weights(name, weights)
        self.image_size = _fixed_size(name, self.family, entry, image_size)
        # What weights will fill needs no random numbers first.
        with torch.device("meta" if weights is not None and self.family.meta else "cpu"):
            self.model = _build(name, self.family, self.image_size)
        self.out_channels = _width(self.model, self.family.classifier)
        self.model.set_submodule(self.family.classifier, nn.Identity())
        self._steps = self.family.cut(self.model)
        self.stages = tuple(self._steps)
        #: The number of deepest stages that are trained, unless an `Unfreeze` trains more for now.
        self.trainable_stages = self.count_stages(trainable_stages)
        least: int = self.family.smallest or default_weights(name).meta["min_size"][0]
        self._smallest = self.image_size or least
        if image_size is not None:
            self.check_size(image_size, image_size)
        if weights is not None:
            ignored = (self.family.classifier, *self.family.extra)
            tensors = read_weights(name, weights)
            fill(self.model, tensors, ignored, f"the file of weights {weights} for {name}")
        mean, std = _normalisation(self.family, entry or default_weights(name), scaling)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        if self.family.channels_last:  # faster on the CPU, same numbers
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in its types
        self.set_trainable(trainable_stages)

    # Running -----------------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Tensor:
        """Return features of float images (N, 3, H, W) in [0, 1].

        These are maps (N, out_channels, h, w), or rows (N, out_channels) of a ViT's class token.

        Raises:
            InputError: The batch is NHWC, of whole numbers, or of a size that is not accepted.
        """
        return self.run(images)

    def run(self, values: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Return what stage `stop` - 1 gives, of what stage `start` takes.

        ``run(run(images, 0, k), k)`` equals ``forward(images)`` for every k.
        """
        if start == 0 and stop != 0:
            check_images(values, self.name, 3)
            self.check_size(*values.shape[2:])
            values = (values - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)
        if self.family.channels_last and values.ndim == 4:
            values = values.contiguous(memory_format=torch.channels_last)
        for stage in self.stages[start:stop]:
            for step in self._steps[stage]:
                if isinstance(step, str):
                    values = self.model.get_submodule(step)(values)
                else:
                    values = step(self.model, values)
        return values

    def check_size(self, height: int, width: int) -> None:
        """Raise `InputError` unless the network takes images of this size."""
        size = f"{height} x {width}"
        if self.image_size is not None and (height, width) != (self.image_size, self.image_size):
            raise InputError(
                f"{self.name} takes images of {self.image_size} x {self.image_size}, got {size}: "
                f"set image_size: {self.image_size} in the data."
            )
        if min(height, width) < self._smallest:
            raise InputError(
                f"nothing is left of a {size} image in {self.name}, which takes "
                f"{self._smallest} x {self._smallest} or more: set a larger image_size in the data."
            )

    # Freezing ----------------------------------------------------------------------------------

    @property
    def frozen_stages(self) -> int:
        """How many stages are frozen now, from the stem on."""
        return len(self.stages) - self._trained

    def set_trainable(self, stages: int | Literal["all"]) -> None:
        """Train the deepest `stages` from now on, and freeze the others.

        Raises:
            InputError: There are fewer stages.
        """
        self.trainable_stages = self.count_stages(stages)
        self.train_for_now(self.trainable_stages)

    def train_for_now(self, stages: int) -> None:
        """Train the deepest `stages` for some epochs; `trainable_stages` stays as it was chosen."""
        self._trained = stages
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.stage_of(name) >= self.frozen_stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        """Set training mode in the stages that are trained; the frozen ones stay in evaluation."""
        super().train(mode)
        for module in self.frozen_modules():
            module.training = False
        return self

    def frozen_modules(self) -> Iterator[nn.Module]:
        """Yield every module of the frozen stages."""
        for stage in self.stages[: self.frozen_stages]:
            for step in self._steps[stage]:
                if isinstance(step, str):
                    yield from self.model.get_submodule(step).modules()

    def count_stages(self, stages: int | str) -> int:
        """Return the number of stages that `stages` means.

        Raises:
            InputError: It is no number of stages of this network, and not ``all``.
        """
        if stages == "all":
            return len(self.stages)
        if not isinstance(stages, int) or not 0 <= stages <= len(self.stages):
            raise InputError(
                f"{self.name} has {len(self.stages)} stages ({', '.join(self.stages)}), and "
                f"{stages} of them are to be trained: give 0 to {len(self.stages)}, or all."
            )
        return stages

    def stage_of(self, parameter: str) -> int:
        """Return the stage of a parameter; those of no module (ViT's tokens) are the stem's."""
        for number, steps in enumerate(self._steps.values()):
            if any(isinstance(step, str) and parameter.startswith(f"{step}.") for step in steps):
                return number
        return 0


def _fixed_size(name: str, family: Family, entry: Any, image_size: int | None) -> int | None:
    if not family.size_argument:
        return None
    of_weights: int = (entry or default_weights(name)).meta["min_size"][0]
    if image_size is None:
        return of_weights
    # A ViT's positions are learnt for one size; MaxViT's for windows that any size may have.
    if entry is not None and not family.spatial and image_size != of_weights:
        raise InputError(
            f"{name} with these weights takes images of {of_weights} x {of_weights}, got "
            f"{image_size}: set image_size: {of_weights} in the data."
        )
    return image_size


def _build(name: str, family: Family, size: int | None) -> nn.Module:
    arguments = dict(family.arguments)
    if family.size_argument == "input_size":
        arguments["input_size"] = (size, size)
    elif family.size_argument:
        arguments[family.size_argument] = size
    try:
        with _WithoutMatrices() if family.large_classifier else nullcontext():
            model: nn.Module = torchvision.models.get_model(name, **arguments)
    except (AssertionError, ValueError) as error:
        raise InputError(f"{name} cannot take images of {size} x {size}: {error}") from error
    return model


class _WithoutMatrices(TorchFunctionMode):
    """Makes no room for the weights of linear layers, and draws no random numbers for them."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.empty and isinstance(args[0], tuple) and len(args[0]) == 2:
            kwargs = {**kwargs, "device": "meta"}
        return function(*args, **kwargs)


def _width(model: nn.Module, classifier: str) -> int:
    """Return the channels that the classifier takes, from its first layer."""
    first = next(
        layer
        for layer in model.get_submodule(classifier).modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    )
    pool = getattr(model, "avgpool", None)
    size = getattr(pool, "output_size", 1)
    height, width = size if isinstance(size, tuple) else (size, size)
    channels: int = first.weight.shape[1] // (height * width)
    return channels


def _normalisation(
    family: Family, entry: Any, scaling: ImageScaling
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel of images in [0, 1]."""
    if scaling == "unit":
        return [0.0] * 3, [1.0] * 3
    if family.half:
        return [0.5] * 3, [0.5] * 3
    transforms = entry.transforms()
    return transforms.mean, transforms.std
