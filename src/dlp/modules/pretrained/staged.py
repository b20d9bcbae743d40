"""What `Backbone.build` returns: a network, its stages, and the scaling of its images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class StagedNetwork:
    """Network as a chain of stages, from the stem to the deepest stage.

    Args:
        network: Network whose inputs are standardised float images (N, 3, H, W).
        stages: Dotted names of the network's modules in each stage, by the name of the stage. Each
            module gets the output of the previous one. The last one returns feature maps
            (N, C, h, w) or features (N, C). If the whole network is one stage, the name of its
            module is empty. Children in no stage, such as a classifier, are removed.
        scalings: Mean and standard deviation of each channel of images in [0, 1], by the name of
            published weights. The key ``DEFAULT`` is required: it is used for random weights and
            for weights from a file.
    """

    network: nn.Module
    stages: Mapping[str, Sequence[str]]
    scalings: Mapping[str, tuple[Sequence[float], Sequence[float]]]
