"""Treat denormal floats as zero, which makes a step of small nets 3 times as fast on Intel CPUs.

On an AMD EPYC the gain is within the noise. Denormal floats arise where a unit is dead, because the
running averages of RMSprop decay towards zero.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dlp.speed import is_on


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Round floats below 1e-38 to zero inside the block, in the calling thread only."""
    torch.set_flush_denormal(is_on())
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
