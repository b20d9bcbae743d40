"""Backbone with dense layers, which also accepts stored features as input."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from dlp.modules.networks import Activation, dense_layers, initialise
from dlp.modules.pretrained.backbone import Backbone

Pool = Literal["avg", "flatten"]


class StoredFeatures(NamedTuple):
    """Features that the first parts of a `PretrainedNet` computed from images.

    Args:
        values: Output of the last of these parts, (N, ...).
        depth: Number of parts that were run: stages of the backbone, and then the pooling.
    """

    values: Tensor
    depth: int


class PretrainedNet(nn.Module):
    """Backbone, pooling and dense layers.

    They are the children ``backbone``, ``pooling`` and ``classifier``.

    Args:
        backbone: Network that turns images into feature maps.
        input_shape: Shape of one image, (3, H, W).
        num_outputs: Number of units in the last layer, which has no activation.
        pool: ``avg`` takes the mean of each feature map, ``flatten`` takes all values.
        hidden: Number of units in each hidden layer; an empty list gives a linear model.
        activation: Activation after each hidden layer.
        dropout: Dropout rate after each hidden layer.
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
        self.backbone = backbone
        self.input_shape = tuple(input_shape)
        self.num_outputs = num_outputs
        self.pool = pool
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        #: Number of parts whose output can be stored: the stages and the pooling.
        self.depth = len(backbone.stages) + 1
        pools = {"avg": [nn.AdaptiveAvgPool2d(1)], "flatten": []}
        self.pooling = nn.Sequential(*pools[pool], nn.Flatten())
        width = self.features(torch.zeros(1, *input_shape), self.depth).values.shape[1]
        self.classifier = dense_layers(width, hidden, num_outputs, activation, dropout)
        initialise(self.classifier)

    def forward(self, inputs: Tensor | StoredFeatures) -> Tensor:
        """Return logits (N, num_outputs).

        ``forward(features(images, depth))`` equals ``forward(images)`` if the first `depth` parts
        are frozen.

        Args:
            inputs: Float images (N, 3, H, W) in [0, 1], or features from `features`.
        """
        values, depth = inputs if isinstance(inputs, StoredFeatures) else (inputs, 0)
        logits: Tensor = self.classifier(self._run(values, depth, self.depth))
        return logits

    @torch.no_grad()
    def features(self, images: Tensor, depth: int) -> StoredFeatures:
        """Return the features of images after the first parts, computed in evaluation mode.

        Args:
            images: Float images (N, 3, H, W) in [0, 1].
            depth: Number of parts to run, at most the attribute `depth`.
        """
        is_training = self.backbone.training
        self.backbone.eval()
        values = self._run(images, 0, depth)
        self.backbone.train(is_training)
        return StoredFeatures(values, depth)

    def _run(
        self,
        values: Tensor,
        start: int,
        stop: int,
    ) -> Tensor:
        """Run the parts from `start` to `stop` - 1. The last part is the pooling."""
        if start == self.depth:
            return values
        values = self.backbone.run(values, start, stop)
        if stop == self.depth:
            values = self.pooling(values)
        return values
