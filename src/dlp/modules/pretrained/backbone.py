"""Classification networks without their classifiers, as chains of stages that can be frozen."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from dlp.errors import check_choice, check_range
from dlp.modules.networks import check_batch
from dlp.modules.pretrained.families import torchvision_network
from dlp.modules.pretrained.staged import StagedNetwork
from dlp.modules.weights import load_weights, read_state_dict

_BATCH_NORM = (nn.BatchNorm2d, nn.SyncBatchNorm)


class Backbone(nn.Module):
    """A classification network as a chain of stages, without its classifier.

    The attribute `model` is the network, whose modules keep the names that its library gives them.
    Frozen stages have no gradient and stay in evaluation mode (batch normalisation, dropout,
    stochastic depth), even if `train` is called. To use a custom network, write a subclass that
    overrides `build`.

    Args:
        name: Name of a network in torchvision, such as ``vgg16``, or in timm, such as
            ``timm/convnext_tiny``.
        weights: Name of published weights (``DEFAULT``, ``IMAGENET1K_V1``, or a tag in timm), the
            path of a state dict of the network or of its features, or None for random weights.
        trainable_stages: Number of stages, counted from the deepest one, that are trained from the
            start, including their batch normalisation; or ``all``.
        scaling: How images in [0, 1] are standardised. ``weights`` uses the mean and standard
            deviation with which the weights were trained. For weights from a file and for random
            weights, they are those of ``DEFAULT``. The name of published weights uses the mean and
            standard deviation of these weights. ``unit`` leaves the images in [0, 1], as the book
            does.
        image_size: Side of the images in pixels, for networks that accept a single size, such as a
            ViT. None means the size that the weights were trained on.

    Raises:
        InputError: If a name is unknown, a weight file does not fit, or `trainable_stages` is out
            of range.
    """

    def __init__(
        self,
        name: str,
        weights: str | Path | None = None,
        trainable_stages: int | Literal["all"] = 0,
        scaling: str = "weights",
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.scaling = scaling
        self.image_size = image_size
        published = None if weights is None else str(weights).rpartition("Weights.")[2]
        staged = self.build(published)
        self.model = staged.network
        #: Names of the stages, starting with the stem.
        self.stages = tuple(staged.stages)
        self._steps = staged.stages
        steps = itertools.chain(*self._steps.values())
        children = {step.partition(".")[0] for step in steps}
        for child in dict(self.model.named_children()):
            if child not in children and "" not in children:
                self.model.set_submodule(child, nn.Identity())
        scalings = dict(staged.scalings)
        if weights is not None and published not in scalings:
            if not Path(weights).exists():
                choices = [*scalings, "the path of a state dict"]
                check_choice(f"weights of {name}", str(weights), choices)
            load_weights(self.model, read_state_dict(weights))
        resize = getattr(self.model, "set_input_size", None)  # a method of networks in timm
        if resize is not None and image_size is not None:
            resize(image_size)
        for module in self.model.modules():
            for buffer, value in module.named_buffers(recurse=False):
                module.register_buffer(buffer, value)  # makes it persistent, so it is saved
        scalings["weights"] = scalings.get(str(published), scalings["DEFAULT"])
        scalings["unit"] = ([0.0] * 3, [1.0] * 3)
        check_choice("scaling", scaling, scalings)
        mean, std = scalings[scaling]
        self.mean = nn.Buffer(torch.tensor(mean).view(3, 1, 1))
        self.std = nn.Buffer(torch.tensor(std).view(3, 1, 1))
        device = torch.get_default_device()  # meta if a checkpoint is loaded next
        self.model.to(device).to(memory_format=torch.channels_last)  # faster on the CPU
        self.trainable_stages = self.num_stages(trainable_stages)
        self.set_trained(self.trainable_stages)

    def build(self, weights: str | None) -> StagedNetwork:
        """Return the network called `name`. Override this method to use a custom network.

        Args:
            weights: Name of published weights to load, or None for random weights. If the network
                has no published weights of this name, the argument is the path of a file, which
                the caller loads afterwards.
        """
        source, _, name = self.name.rpartition("/")
        if source == "timm":
            from dlp.modules.pretrained.timm_networks import timm_network

            return timm_network(name, weights)
        return torchvision_network(self.name, weights)

    def forward(self, images: Tensor) -> Tensor:
        """Return feature maps (N, C, h, w) for float images (N, 3, H, W) in [0, 1]."""
        return self.run(images)

    def run(
        self,
        values: Tensor,
        start: int = 0,
        stop: int | None = None,
    ) -> Tensor:
        """Run the stages from `start` to `stop` - 1.

        ``run(run(images, 0, k), k)`` equals ``forward(images)`` for every k above 0.

        Args:
            values: Input of stage `start`; for stage 0, images (N, 3, H, W) in [0, 1].
            start: Number of the first stage, counted from 0.
            stop: Number of the stage after the last one. None means to the end.

        Returns:
            The output of the last stage, (N, C, h, w). Features (N, C) become (N, C, 1, 1).
        """
        if start == 0:
            size = values.shape[1:3] if values.shape[-1] == 3 else values.shape[-2:]
            check_batch(values, (3, *size))  # its message explains how to move channels to front
            values = (values - self.mean) / self.std
        if values.ndim == 4:
            values = values.contiguous(memory_format=torch.channels_last)
        for module in self._modules_of(self.stages[start:stop]):
            values = module(values)
        return values if values.ndim > 2 else values[:, :, None, None]

    # Freezing ----------------------------------------------------------------------------------

    def num_stages(self, stages: int | str) -> int:
        """Return the number of stages, where ``all`` means every stage."""
        number = len(self.stages) if stages == "all" else int(stages)
        check_range(0, len(self.stages), stages=number)
        return number

    def set_trained(self, stages: int, train_batch_norm: bool = False) -> None:
        """Train the deepest stages from now on and freeze the others.

        The attribute `trainable_stages` does not change.

        Args:
            stages: Number of stages to train, counted from the deepest one.
            train_batch_norm: Whether batch normalisation uses the statistics of each batch in all
                of these stages. If False, it does so only in the deepest `trainable_stages` stages,
                and stays in evaluation mode in the others.
        """
        #: Number of stages that are currently frozen, counted from the stem.
        self.frozen_stages = len(self.stages) - stages
        #: Number of stages whose batch normalisation is currently in evaluation mode.
        self.fixed_norm_stages = self.frozen_stages
        if not train_batch_norm:
            self.fixed_norm_stages = len(self.stages) - self.trainable_stages
        self.model.requires_grad_(False)
        for module in self._modules_of(self.stages[self.frozen_stages :]):
            module.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        for module in self._modules_of(self.stages[: self.frozen_stages]):
            module.eval()
        for module in self._modules_of(self.stages[: self.fixed_norm_stages]):
            for layer in module.modules():
                if isinstance(layer, _BATCH_NORM):
                    layer.eval()
        return self

    def _modules_of(self, stages: Sequence[str]) -> Iterator[nn.Module]:
        for stage in stages:
            for step in self._steps[stage]:
                yield self.model.get_submodule(step)
