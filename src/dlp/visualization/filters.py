"""Patterns to which the filters of a convolution respond most (chapter 5.4)."""

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from dlp.seeds import derived_seed
from dlp.visualization.layers import evaluating, watched

_TOGETHER = 16  # patterns


class _LayerReached(BaseException):
    """End of a forward pass at the layer; no ``except Exception`` of a model stops it."""


def filter_patterns(
    model: nn.Module,
    layer: str,
    filters: int | Sequence[int] = tuple(range(64)),
    *,
    size: int | tuple[int, int] = 64,
    channels: int = 3,
    steps: int = 40,
    seed: int = 0,
    jitter: int = 4,
    border: int = 16,
) -> Tensor:
    """Return an image per filter that makes the mean activation of the filter large.

    Gradient ascent in input space from grey noise, as in the book, but for all filters of a batch
    at once; the network runs no further than the layer. A pattern does not depend on the other
    filters of the call. ``jitter=0, border=0`` is the book's method.

    Args:
        model: Any network that takes images in [0, 1]; it is left as it was.
        layer: Dotted name as in ``named_modules``. A convolution is taken before its activation: a
            filter that a ReLU has silenced has no gradient.
        filters: Number of a filter, or several, from 0.
        size: Height and width of the patterns in pixels; one number for both.
        channels: Number of channels of the images.
        steps: Number of steps along the gradient, which is divided by its root mean square.
        seed: Seed of the noise and the shifts; each filter has its own noise.
        jitter: Largest random shift of the image before each step, in pixels; it evens out the
            grids of strides and pooling.
        border: Number of pixels that are computed on each side and cut off; 0 for a network that
            takes images of one size.

    Returns:
        Patterns (F, C, height, width) in [0, 1]: mean 0.5, standard deviation 0.1, clipped.
    """
    numbers = [filters] if isinstance(filters, int) else list(filters)
    height, width = (size, size) if isinstance(size, int) else size
    shape = (channels, height + 2 * border, width + 2 * border)
    device = next(model.parameters()).device
    patterns = []
    with evaluating(model):
        for start in range(0, len(numbers), _TOGETHER):
            batch = numbers[start : start + _TOGETHER]
            pixels = torch.stack([_noise(shape, seed, number) for number in batch]).to(device)
            shifts = torch.Generator().manual_seed(derived_seed(seed))
            for _ in range(steps):
                x, y = torch.randint(-jitter, jitter + 1, (2,), generator=shifts).tolist()
                shifted = pixels.roll((y, x), (2, 3))
                gradient = _gradient(model, layer, shifted, batch)
                rms = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
                # The book adds 1e-5, which holds the images of small nets still.
                pixels = (shifted + gradient / (rms + 1e-12)).roll((-y, -x), (2, 3))
            patterns.append(pixels)
    pixels = torch.cat(patterns)[:, :, border : border + height, border : border + width]
    pixels = pixels - pixels.mean((1, 2, 3), keepdim=True)
    std = pixels.std((1, 2, 3), correction=0, keepdim=True)
    return (pixels / (std + 1e-5) * 0.1 + 0.5).clamp(0, 1)


def _gradient(model: nn.Module, layer: str, pixels: Tensor, filters: Sequence[int]) -> Tensor:
    """Return the gradient of each image's own loss, the mean activation of its filter."""
    leaf = pixels.detach().requires_grad_()
    losses: list[Tensor] = []

    def watch(name: str, output: Tensor) -> None:
        losses[:] = [output[range(len(filters)), list(filters)].flatten(1).mean(1).sum()]
        raise _LayerReached

    with watched(model, [layer], watch), suppress(_LayerReached):
        model(leaf / 255)
    return torch.autograd.grad(losses[0], leaf)[0]


def _noise(shape: tuple[int, int, int], seed: int, number: int) -> Tensor:
    """Return the book's grey noise for one filter, on a scale of 0 to 255."""
    generator = torch.Generator().manual_seed(derived_seed(seed, number))
    return torch.rand(shape, generator=generator) * 20 + 128
