"""Patterns to which the filters of a convolution respond most (chapter 5.4)."""

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from dlp.seeds import derived_seed
from dlp.visualization.layers import watched

_PATTERNS_PER_BATCH = 16
_IMAGE = (1, 2, 3)  # dimensions of an image in a batch


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
        model: Network that takes images in [0, 1]; it is left as it was.
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
    height, width = (size, size) if isinstance(size, int) else size
    shape = (channels, height + 2 * border, width + 2 * border)
    device = next(model.parameters()).device
    patterns = []
    for batch in torch.split(torch.as_tensor(filters).flatten(), _PATTERNS_PER_BATCH):
        numbers = batch.tolist()
        noise = []
        for number in numbers:
            generator = torch.Generator().manual_seed(derived_seed(seed, number))
            noise.append(torch.rand(shape, generator=generator))
        pixels = 20 * torch.stack(noise).to(device) + 128  # the book's grey noise
        shifts = torch.Generator().manual_seed(derived_seed(seed))
        for _ in range(steps):
            x, y = torch.randint(-jitter, jitter + 1, (2,), generator=shifts).tolist()
            shifted = pixels.roll((y, x), (2, 3))
            gradient = _gradient(model, layer, shifted, numbers)
            rms = gradient.square().mean(_IMAGE, keepdim=True).sqrt()
            # The book adds 1e-5, which holds the images of small nets still.
            shifted = shifted + gradient / (rms + 1e-12)
            pixels = shifted.roll((-y, -x), (2, 3))
        patterns.append(pixels)
    pixels = nn.functional.pad(torch.cat(patterns), 4 * [-border])
    std, mean = torch.std_mean(pixels, _IMAGE, correction=0, keepdim=True)
    scaled = (pixels - mean) / (std + 1e-5) * 0.1 + 0.5
    return scaled.clamp(0, 1)


def _gradient(model: nn.Module, layer: str, pixels: Tensor, filters: list[int]) -> Tensor:
    """Return the gradient of each image's own loss, the mean activation of its filter."""
    outputs = []

    def watch(name: str, output: Tensor) -> None:
        outputs.append(output)
        raise _LayerReached

    with watched(model, [layer], watch):
        leaf = pixels.clone().requires_grad_()
        with suppress(_LayerReached):
            model(leaf / 255)
        means = outputs[0].mean((2, 3))
        loss = means[:, filters].trace()
        (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient
