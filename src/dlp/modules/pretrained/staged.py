"""Contract of a `Backbone`: a network whose modules form stages, and the images that it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class StagedNetwork:
    """Network as a chain of stages, from the stem to the deep end.

    Args:
        network: Network of float images (N, 3, H, W), standardised.
        stages: Dotted names of the network's modules by stage. Each takes the output of the one
            before; the last one returns maps (N, C, h, w) or features (N, C). An empty name is the
            network itself, if it is one stage. Other children, such as a classifier, are left out.
        scalings: Mean and standard deviation of each channel of images in [0, 1], by the name of
            published weights, and as ``DEFAULT`` for random weights and for weights from a file.
    """

    network: nn.Module
    stages: Mapping[str, Sequence[str]]
    scalings: Mapping[str, tuple[Sequence[float], Sequence[float]]]
