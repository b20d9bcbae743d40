"""What a frozen part of a network gave, as a batch that training goes on from."""

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """The output of the first parts of a network, instead of the images.

    Args:
        values: What those parts gave, (N, ...).
        stage: How many parts: k stages of a backbone; one more than it has stages where its
            pooling is done too.
    """

    values: Tensor
    stage: int
