"""Torchvision's networks without their classifiers, as chains of stages that can be frozen."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from dlp.errors import InputError, check_choice, unknown
from dlp.modules.networks import check_batch
from dlp.modules.pretrained.families import family_of
from dlp.modules.weights import load_weights, read_state_dict

_BATCH_NORM = (nn.BatchNorm2d, nn.SyncBatchNorm)


class Backbone(nn.Module):
    """A classification network of torchvision as a chain of stages, without its classifier.

    ``model`` is torchvision's network with torchvision's names. Frozen stages have no gradient and
    stay in evaluation mode (batch normalisation, dropout, stochastic depth), whatever `train` is
    called with.

    Args:
        name: Name of the network: ``vgg16``, ``resnet50`` ...
        weights: Torchvision's name of weights (``DEFAULT``, ``IMAGENET1K_V1``), the path of a state
            dict of the network or its features, or None for random weights.
        trainable_stages: Number of the deepest stages that are trained from the start, batch
            normalisation with them, or ``all``.
        scaling: ``weights`` standardises images in [0, 1] as the weights' own transforms do, those
            of a file as ``DEFAULT``; a name of weights as theirs; ``unit`` leaves the images as
            they are, the book's plain 1/255.
        image_size: Side of the images in pixels, for networks that take one size (ViT); None is
            that of the weights.
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
        from torchvision import models  # research code on other networks does not wait for it

        self.name = name
        self.scaling = scaling
        self.image_size = image_size
        family = family_of(name)
        published = models.get_model_weights(name)
        entry = published.__members__.get(str(weights).rpartition("Weights.")[2])
        if weights is not None and entry is None and not Path(weights).exists():
            choices = [*published.__members__, "the path of a state dict"]
            raise unknown(f"weights of {name}", str(weights), choices)
        described = entry or published.DEFAULT  # random weights take the images of these
        arguments = {}
        if name.startswith("vit"):
            arguments["image_size"] = image_size or described.meta["min_size"][0]
        device = torch.get_default_device()  # meta where a checkpoint's tensors follow
        with torch.device(device if weights is None else "meta"):  # no random numbers to overwrite
            self.model = models.get_model(name, **arguments)
        self.model.set_submodule(family.classifier, nn.Identity())
        self._steps = family.split_stages(self.model, family.layout)
        self.stages = tuple(self._steps)
        if weights is not None:
            tensors = read_state_dict(weights) if entry is None else published_weights(entry)
            load_weights(self.model, tensors, [family.classifier])
        scalings = {"weights": described, **published.__members__}
        mean: Sequence[float] = [0.0] * 3
        std: Sequence[float] = [1.0] * 3
        check_choice("scaling", scaling, [*scalings, "unit"])
        if scaling != "unit":
            preset = scalings[scaling].transforms()
            mean = preset.mean
            std = preset.std
        self.mean = nn.Buffer(torch.tensor(mean).view(3, 1, 1))
        self.std = nn.Buffer(torch.tensor(std).view(3, 1, 1))
        self.model.to(device, memory_format=torch.channels_last)  # that is faster on the CPU
        self.trainable_stages = self.num_stages(trainable_stages)
        self.set_trained(self.trainable_stages)

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (N, C, h, w) of float images (N, 3, H, W) in [0, 1]; a ViT's are 1 x 1."""
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
        for stage in self.stages[start:stop]:
            for step in self._steps[stage]:
                if isinstance(step, str):
                    layer = self.model.get_submodule(step)
                    values = layer(values)
                else:
                    values = step(self.model, values)
        return values

    # Freezing ----------------------------------------------------------------------------------

    def num_stages(self, stages: int | str) -> int:
        """Return a number of stages, of ``all`` too."""
        number = len(self.stages) if stages == "all" else stages
        if number not in range(len(self.stages) + 1):
            raise InputError(
                f"{self.name} has {len(self.stages)} stages ({', '.join(self.stages)}), not "
                f"{stages}; give 0 to {len(self.stages)}, or all."
            )
        return int(number)

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
        self.model.requires_grad_(stages == len(self.stages))  # ViT's tokens belong to the stem
        for layer in self._layers(self.stages[self.frozen_stages :]):
            layer.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained; frozen stages stay in evaluation mode."""
        super().train(mode)
        for layer in self._layers(self.stages[: self.frozen_stages]):
            layer.eval()
        for layer in self._layers(self.stages[: self.fixed_norm_stages]):
            if isinstance(layer, _BATCH_NORM):
                layer.eval()
        return self

    def _layers(self, stages: Sequence[str]) -> Iterator[nn.Module]:
        for stage in stages:
            for step in self._steps[stage]:
                if isinstance(step, str):
                    yield from self.model.get_submodule(step).modules()


def published_weights(entry: Any) -> dict[str, Tensor]:
    """Return published weights, downloaded once and checked by their hash."""
    try:
        return dict(entry.get_state_dict(check_hash=True, weights_only=True, map_location="cpu"))
    except Exception as error:  # no network; a damaged file fails in many ways
        folder = Path(torch.hub.get_dir(), "checkpoints")
        raise InputError(
            f"{entry.url} cannot be downloaded, or its copy in {folder} is damaged; put a complete "
            "copy there, or give its path as weights."
        ) from error
