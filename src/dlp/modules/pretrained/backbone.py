"""Networks without their classifiers, as chains of stages that can be frozen."""

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

    ``model`` is the network, with the names that its library gives. Frozen stages have no gradient
    and stay in evaluation mode (batch normalisation, dropout, stochastic depth), whatever `train`
    is called with. A network of your own is a subclass with another `build`.

    Args:
        name: Name of a network of torchvision, such as ``vgg16``, or of timm, such as
            ``timm/convnext_tiny``.
        weights: Name of published weights (``DEFAULT``, ``IMAGENET1K_V1``, a tag of timm), the path
            of a state dict of the network or its features, or None for random weights.
        trainable_stages: Number of the deepest stages that are trained from the start, batch
            normalisation with them, or ``all``.
        scaling: ``weights`` standardises images in [0, 1] as the weights' own transforms do, those
            of a file as ``DEFAULT``; a name of weights as theirs; ``unit`` leaves the images as
            they are, the book's plain 1/255.
        image_size: Side of the images in pixels, for networks that take one size, such as a ViT;
            None takes the size that the weights were trained on.
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
        #: Names of the stages, from the stem on.
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
        resize = getattr(self.model, "set_input_size", None)  # of timm
        if resize is not None and image_size is not None:
            resize(image_size)
        for module in self.model.modules():
            for buffer, value in module.named_buffers(recurse=False):
                module.register_buffer(buffer, value)  # a checkpoint holds them all
        scalings["weights"] = scalings.get(str(published), scalings["DEFAULT"])
        scalings["unit"] = ([0.0] * 3, [1.0] * 3)
        check_choice("scaling", scaling, scalings)
        mean, std = scalings[scaling]
        self.mean = nn.Buffer(torch.tensor(mean).view(3, 1, 1))
        self.std = nn.Buffer(torch.tensor(std).view(3, 1, 1))
        device = torch.get_default_device()  # meta where a checkpoint's tensors follow
        self.model.to(device).to(memory_format=torch.channels_last)  # that is faster on the CPU
        self.trainable_stages = self.num_stages(trainable_stages)
        self.set_trained(self.trainable_stages)

    def build(self, weights: str | None) -> StagedNetwork:
        """Return the network called `name`; override it for a network of your own.

        Args:
            weights: Name of published weights to load. Those of another name are read from a file
                afterwards; None is for random ones.
        """
        source, _, name = self.name.rpartition("/")
        if source == "timm":
            from dlp.modules.pretrained.timm_networks import timm_network

            return timm_network(name, weights)
        return torchvision_network(self.name, weights)

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (N, C, h, w) of float images (N, 3, H, W) in [0, 1]."""
        return self.run(images)

    def run(
        self,
        values: Tensor,
        start: int = 0,
        stop: int | None = None,
    ) -> Tensor:
        """Return the output of stage `stop` - 1 for the input of stage `start`.

        ``run(run(images, 0, k), k)`` equals ``forward(images)`` for every k above 0.
        """
        if start == 0:
            size = values.shape[1:3] if values.shape[-1] == 3 else values.shape[-2:]
            check_batch(values, (3, *size))  # it explains how to move channels that are last
            values = (values - self.mean) / self.std
        if values.ndim == 4:
            values = values.contiguous(memory_format=torch.channels_last)
        for module in self._modules_of(self.stages[start:stop]):
            values = module(values)
        return values if values.ndim > 2 else values[:, :, None, None]

    # Freezing ----------------------------------------------------------------------------------

    def num_stages(self, stages: int | str) -> int:
        """Return a number of stages, of ``all`` too."""
        number = len(self.stages) if stages == "all" else int(stages)
        check_range(0, len(self.stages), stages=number)
        return number

    def set_trained(self, stages: int, train_batch_norm: bool = False) -> None:
        """Train the deepest stages from now on; `trainable_stages` stays what it was.

        Args:
            stages: Number of the deepest stages.
            train_batch_norm: Whether their batch normalisation takes the statistics of each batch,
                as that of `trainable_stages` always does; else it stays in evaluation mode.
        """
        #: Number of stages that are frozen now, from the stem on.
        self.frozen_stages = len(self.stages) - stages
        #: Number of stages whose batch normalisation is in evaluation mode now.
        self.fixed_norm_stages = self.frozen_stages
        if not train_batch_norm:
            self.fixed_norm_stages = len(self.stages) - self.trainable_stages
        self.model.requires_grad_(False)
        for module in self._modules_of(self.stages[self.frozen_stages :]):
            module.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained; frozen stages stay in evaluation mode."""
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
