"""A backbone with a dense stack on it, whole or from any point of the backbone on."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from dlp.errors import InputError, unknown
from dlp.frozen_features import Features
from dlp.modules.checks import checked_shape
from dlp.modules.networks import Activation, check_positive, dense_layers, initialise
from dlp.modules.pretrained.backbones import Backbone

Pool = Literal["avg", "flatten"]


class PretrainedNet(nn.Module):
    """A backbone, pooling and a dense stack: ``backbone``, ``pool``, ``classifier``.

    Args:
        backbone: The network that turns images into features.
        input_shape: Shape of one image, (3, H, W).
        num_outputs: Units of the last layer, which has no activation.
        pool: ``avg`` takes each channel's mean over the map, ``flatten`` takes the whole map.
        hidden: Units of each dense layer before the last; none gives a linear model.
        activation: After each hidden layer.
        dropout: Rate after each hidden layer's activation.

    The dense stack is initialised as the book's is: Glorot uniform kernels, zero biases.
    """

    def __init__(
        self,
        backbone: Backbone,
        input_shape: Sequence[int],
        num_outputs: int,
        pool: Pool = "avg",
        hidden: Sequence[int] = (256,),
        activation: Activation = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if pool not in ("avg", "flatten"):
            raise unknown("pool", pool, ["avg", "flatten"])
        check_positive("hidden", hidden)
        check_colour_images(input_shape)
        backbone.check_size(*input_shape[1:])
        self.backbone = backbone
        width = backbone.out_channels
        self.pool = nn.Sequential(nn.Flatten())
        if backbone.family.spatial and pool == "avg":
            self.pool.insert(0, nn.AdaptiveAvgPool2d(1))
        elif pool == "flatten":
            width = self._flat_width(input_shape)
        self.classifier = nn.Sequential(
            dense_layers(width, hidden, num_outputs, activation, dropout)
        )
        initialise(self.classifier)

    def forward(self, inputs: Tensor | Features) -> Tensor:
        """Return logits (N, num_outputs) of images (N, 3, H, W) in [0, 1], or of `Features`.

        Raises:
            InputError: The images are not what the backbone takes.
        """
        values, stage = inputs if isinstance(inputs, tuple) else (inputs, 0)
        output: Tensor = self.classifier(self._run(values, int(stage), self._depth))
        return output

    @property
    def frozen_depth(self) -> int:
        """The deepest point up to which nothing is trained now: `Features.stage` of `prefix`.

        0 where the first stage is trained, so that nothing can be computed beforehand.
        """
        frozen = self.backbone.frozen_stages
        return self._depth if frozen == len(self.backbone.stages) else frozen

    @torch.no_grad()
    def prefix(self, images: Tensor, depth: int | None = None) -> Features:
        """Return what the frozen part gives: ``forward(prefix(images))`` is ``forward(images)``.

        Args:
            images: (N, 3, H, W) in [0, 1].
            depth: Where to stop, from 0 to `frozen_depth`, which is the default.
        """
        depth = self.frozen_depth if depth is None else depth
        training = self.backbone.training
        self.backbone.eval()  # as what is frozen is, whatever is about to be frozen
        values = self._run(images, 0, depth)
        self.backbone.train(training)
        return Features(values, depth)

    @property
    def _depth(self) -> int:
        return len(self.backbone.stages) + 1

    def _run(self, values: Tensor, start: int, stop: int) -> Tensor:
        """Go from point `start` to point `stop` of the stages and the pooling after them."""
        if start == self._depth:
            return values
        whole = start == 0 and stop >= len(self.backbone.stages)
        values = self.backbone(values) if whole else self.backbone.run(values, start, stop)
        if stop == self._depth:
            values = self.pool(values)
        return values

    def _flat_width(self, input_shape: Sequence[int]) -> int:
        training = self.backbone.training
        with torch.no_grad():
            features = self.pool(self.backbone.eval()(torch.zeros(1, *input_shape)))
        self.backbone.train(training)
        return int(features.shape[1])


def check_colour_images(input_shape: Sequence[int]) -> None:
    """Raise `InputError` unless rows of `input_shape` are colour images (3, H, W)."""
    shape = checked_shape(input_shape)
    if len(shape) == 3 and shape[0] == 3:
        return
    hint = ""
    if len(shape) == 3 and shape[2] == 3:
        hint = " These have their channels last: use np.moveaxis(x, -1, 1)."
    elif len(shape) == 3 and shape[0] == 1:
        hint = " These are grey: set channels: 3 in the data (arrays: np.repeat(x, 3, axis=1))."
    raise InputError(
        f"a pretrained backbone takes colour images (3, height, width); the data has rows of "
        f"shape {shape}.{hint}"
    )
