"""Patterns to which the filters of a convolution respond most strongly (chapter 5.4)."""

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from dlp.seeds import derived_seed
from dlp.visualization.layers import watched

_PATTERNS_PER_BATCH = 16
_IMAGE = (1, 2, 3)  # dimensions of one image in a batch (N, C, H, W)


class _LayerReached(BaseException):
    """Exception that ends a forward pass at the layer.

    It is a BaseException, because an ``except Exception`` in a model would catch an Exception.
    """


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
    """Return, for each filter, an image that makes the mean activation of the filter large.

    As in the book, each image starts as grey noise and is changed by gradient ascent. Here several
    filters are computed at once, and the network runs only up to the layer. The pattern of a filter
    does not depend on the other filters of the call. To reproduce the book's method, give
    ``jitter=0, border=0``.

    Args:
        model: Network that takes images in [0, 1]. It is not changed.
        layer: Dotted name of the layer, as in ``named_modules``. Name a convolution rather than the
            activation function after it: if a ReLU sets the output of a filter to zero, the filter
            has no gradient.
        filters: Number of a filter, or numbers of several filters, counted from 0.
        size: Height and width of the patterns in pixels, or one number for both.
        channels: Number of channels of the images.
        steps: Number of gradient steps. Each gradient is divided by its root mean square.
        seed: Seed of the noise and of the random shifts. Each filter starts from its own noise.
        jitter: Largest random shift of the image before each step, in pixels. The shifts remove the
            grid that strides and pooling would leave in the pattern.
        border: Number of pixels that are added on each side during the computation and cut off
            afterwards. Use 0 for a network that takes images of only one size.

    Returns:
        Patterns (F, C, height, width), scaled to mean 0.5 and standard deviation 0.1, and clipped
        to [0, 1].

    Raises:
        InputError: If the model has no layer of that name.
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
            # The book adds 1e-5. The gradients of small networks are smaller than that, so that
            # their images would hardly change.
            shifted = shifted + gradient / (rms + 1e-12)
            pixels = shifted.roll((-y, -x), (2, 3))
        patterns.append(pixels)
    pixels = nn.functional.pad(torch.cat(patterns), 4 * [-border])
    std, mean = torch.std_mean(pixels, _IMAGE, correction=0, keepdim=True)
    scaled = (pixels - mean) / (std + 1e-5) * 0.1 + 0.5
    return scaled.clamp(0, 1)


def _gradient(model: nn.Module, layer: str, pixels: Tensor, filters: list[int]) -> Tensor:
    """Return, for each image, the gradient of the mean activation of its own filter."""
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
