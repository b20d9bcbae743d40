"""The patterns that the filters of a convolution answer to most (section 5.4)."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.seeds import derived_seed
from dlp.visualization.image_grids import tiles
from dlp.visualization.layer_hooks import channels_last, find_layer, never_called, watched
from dlp.visualization.undisturbed import (
    as_input,
    first_convolution,
    in_full_precision,
    run,
    undisturbed,
)

#: Filters of a layer that are drawn where nothing says how many.
FIRST_FILTERS = 64
#: Side of the patterns where nothing says another: that of the book's grids.
_SIDE = 64
#: Pixels around a pattern that see the zeros beyond the image's edge.
_BORDER = 16
_EPSILON = 1e-5  # the book's, for contrast
#: Where the gradient's size is below the book's 1e-5, as in a small net trained on few images,
#: that would hold the image still.
_GRADIENT_EPSILON = 1e-12


def filter_patterns(
    model: nn.Module,
    layer: str,
    filters: int | Iterable[int] | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    steps: int = 40,
    step: float = 1.0,
    seed: int = 0,
    jitter: int = 4,
    border: int | None = None,
    batch_size: int = 64,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Tensor:
    """Return for each filter an image that makes its mean activation large.

    Gradient ascent in input space from grey noise, as in the book, but for all filters of a batch
    at once: each image has the loss of its own filter, and the network runs no further than
    `layer`. A pattern does not depend on the other filters of the call, nor on `batch_size` but for
    rounding. Better than the book's: `jitter` and `border`, which ``jitter=0, border=0`` takes
    away. A convolution by its own name is taken before its activation: a filter that a ReLU has
    silenced has no gradient, and its pattern would stay noise.

    Args:
        model: Any network; it is left as it was.
        layer: Dotted name as in ``named_modules``.
        filters: Their numbers, from 0; None takes the first 64.
        size: Side, or height and width, of the patterns; None takes the images that the model was
            built for (its ``input_shape`` or ``example_input_array``), else 64.
        steps: How often an image is moved up its gradient, which is divided by its root mean
            square.
        step: How far, on a scale of 0 to 255.
        seed: Of the noise and the shifts, 0 or more; each filter has its own noise.
        jitter: Each step sees the image shifted at random by up to so many pixels: what the grids
            of strides and pooling bring in is evened out.
        border: Pixels computed on each side and cut away; None takes 16 where the model runs on
            images that much larger, else 0.
        batch_size: Patterns computed together, against memory.
        mean: Of each channel, for a model that does not normalise images in [0, 1] by itself.
        std: Of each channel, with `mean`.

    Returns:
        (F, C, H, W) in [0, 1] on the model's device: mean 0.5, standard deviation 0.1, clipped.

    Raises:
        InputError: The layer or a filter is unknown, an option is out of range, the layer does not
            run on images of this size, or no gradient comes from it.
    """
    least = {"steps": 0, "seed": 0, "jitter": 0, "border": 0, "batch_size": 1}
    given = (steps, seed, jitter, border or 0, batch_size)
    for (name, minimum), value in zip(least.items(), given, strict=True):
        if value < minimum:
            raise InputError(f"{name} must be {minimum} or more, got {value}.")
    find_layer(model, layer)
    shape = _shape(model, size)
    with undisturbed(model), in_full_precision(model):
        scale = _scale(shape[0], mean, std)
        border, probe = _fitting(model, layer, shape, border)
        chosen = chosen_filters(layer, filters, probe.filters)
        shape = (shape[0], shape[1] + 2 * border, shape[2] + 2 * border)
        patterns = []
        for start in range(0, len(chosen), batch_size):
            numbers = chosen[start : start + batch_size]
            pixels = as_input(model, torch.stack([_noise(shape, seed, each) for each in numbers]))
            shifts = torch.Generator().manual_seed(derived_seed(seed))
            for _ in range(steps):
                x, y = torch.randint(-jitter, jitter + 1, (2,), generator=shifts).tolist()
                moved = pixels.roll((y, x), (2, 3))
                gradient = _gradient(model, layer, moved, numbers, probe, scale)
                rms = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
                moved = moved + step * gradient / (rms + _GRADIENT_EPSILON)
                pixels = moved.roll((-y, -x), (2, 3))
            patterns.append(pixels)
        pixels = torch.cat(patterns)
        return _visible(pixels[:, :, border : shape[1] - border, border : shape[2] - border])


def filter_grid(
    patterns: Tensor, margin: int = 5, columns: int | None = None, title: str = ""
) -> Figure:
    """Return a figure of patterns side by side, black between them.

    Args:
        patterns: (F, C, H, W) in [0, 1], with 1 or 3 channels.
        margin: Pixels between them.
        columns: Patterns a row; None makes the grid about square, 8 x 8 for 64.
        title: Of the figure.

    Raises:
        InputError: These are no images, or an option is out of range.
    """
    shape = tuple(patterns.shape)
    if len(shape) != 4 or shape[1] not in (1, 3) or not all(shape):
        raise InputError(f"filter_grid takes patterns (F, 1 or 3, height, width), got {shape}.")
    columns = math.ceil(math.sqrt(len(patterns))) if columns is None else columns
    if margin < 0 or columns < 1:
        raise InputError(
            f"margin must be 0 or more and columns 1 or more, got {margin} and {columns}."
        )
    canvas = tiles(patterns.detach().float().clamp(0, 1).cpu(), columns, margin)
    height, width = canvas.shape[1:]
    figure = Figure(figsize=(10, 10 * height / width + (0.4 if title else 0)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()
    if title:
        axes.set_title(title, parse_math=False)
    return figure


# The ascent ------------------------------------------------------------------------------------


class _Reached(BaseException):
    """The layer has given what the loss takes; no ``except Exception`` of a model stops it."""


@dataclass(frozen=True)
class _Probe:
    """What the layer gives a trial image: how often it is called, its filters and their axis."""

    calls: int
    filters: int
    axis: int


def _fitting(
    model: nn.Module, layer: str, shape: tuple[int, int, int], border: int | None
) -> tuple[int, _Probe]:
    """Return the border that the model takes around images of `shape`, and the layer's probe."""
    channels, height, side = shape
    given: list[torch.Size] = []
    for width in (_BORDER, 0) if border is None else (border,):
        failure: Exception | None = None
        image = torch.zeros(1, channels, height + 2 * width, side + 2 * width)
        image = as_input(model, image)
        with watched(model, [layer], lambda _, output: given.append(output.shape)):
            try:
                with torch.no_grad():
                    run(model, image)
            except (RuntimeError, ValueError, AssertionError) as error:
                failure = error  # after the layer it does no harm: a dense layer of another size
        if given:
            axis = 3 if channels_last(model, image, {layer: given[-1]}) else 1
            count = given[-1][axis] if len(given[-1]) > 1 else 0
            return width, _Probe(len(given), count, axis)
    if failure is None:
        raise never_called(layer)
    raise InputError(
        f"layer {layer!r} does not run on images of {height + 2 * width} x {side + 2 * width}, "
        f"border included: {failure}"
    ) from failure


def _gradient(
    model: nn.Module,
    layer: str,
    pixels: Tensor,
    filters: Sequence[int],
    probe: _Probe,
    scale: tuple[Tensor, Tensor],
) -> Tensor:
    """Return the gradient of each image's own loss: the mean activation of its filter."""
    leaf = pixels.detach().requires_grad_()
    mean, std = (values.to(leaf) for values in scale)
    left = probe.calls
    loss = leaf.new_zeros(())

    def watch(name: str, output: Tensor) -> None:
        nonlocal left, loss
        left -= 1
        if not left:
            own = output.movedim(probe.axis, 1)[range(len(filters)), list(filters)]
            loss = own.flatten(1).mean(1).sum() if own.ndim > 1 else own.sum()
            raise _Reached

    with watched(model, [layer], watch), suppress(_Reached):
        run(model, (leaf / 255 - mean) / std)
    if not loss.requires_grad:
        raise InputError(
            f"no gradient comes from layer {layer!r} to the images: the model computes without "
            "gradients before it."
        )
    gradient: Tensor = torch.autograd.grad(loss, leaf)[0]
    return gradient


def _noise(shape: tuple[int, int, int], seed: int, number: int) -> Tensor:
    """Return the book's grey noise for one filter, on a scale of 0 to 255."""
    generator = torch.Generator().manual_seed(derived_seed(seed, number))
    return torch.rand(shape, generator=generator) * 20 + 128


def _visible(pixels: Tensor) -> Tensor:
    """Return images in [0, 1] with the book's contrast, each by itself."""
    pixels = pixels.float()
    pixels = pixels - pixels.mean((1, 2, 3), keepdim=True)
    std = pixels.std((1, 2, 3), correction=0, keepdim=True)
    return (pixels / (std + _EPSILON) * 0.1 + 0.5).clamp(0, 1)


# What is asked for -----------------------------------------------------------------------------


def _shape(model: nn.Module, size: int | tuple[int, int] | None) -> tuple[int, int, int]:
    """Return channels, height and width of the patterns."""
    known = next(_built_for(model), None)
    first = first_convolution(model)
    channels = known[0] if known else first.in_channels if first else 3
    if size is None:
        height, width = known[1:] if known else (_SIDE, _SIDE)
    else:
        height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise InputError(f"size must be 1 or more, got {size}.")
    return channels, height, width


def _built_for(model: nn.Module) -> Iterator[tuple[int, int, int]]:
    """Yield the shape (C, H, W) of the images that the model, or a part, says it takes."""
    for module in model.modules():
        example = getattr(module, "example_input_array", None)
        shape = example.shape[1:] if isinstance(example, Tensor) else None
        shape = shape or getattr(module, "input_shape", None)
        if isinstance(shape, tuple) and len(shape) == 3:
            yield shape


def chosen_filters(layer: str, filters: int | Iterable[int] | None, count: int) -> list[int]:
    """Return the numbers of filters, of `count` in a layer; None means the first 64.

    Raises:
        InputError: There is no such filter, or none is given.
    """
    if filters is None:
        return list(range(min(count, FIRST_FILTERS)))
    chosen = [filters] if isinstance(filters, int) else [int(number) for number in filters]
    wrong = [number for number in chosen if not 0 <= number < count]
    if wrong or not chosen:
        given = f"{wrong[0]} is none of them" if wrong else "none is given"
        raise InputError(f"layer {layer!r} has {count} filters, 0 to {count - 1}; {given}.")
    return chosen


def _scale(
    channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (C, 1, 1) of images in [0, 1]."""
    values = [[0.0] * channels if mean is None else mean, [1.0] * channels if std is None else std]
    if any(len(each) != channels for each in values) or min(values[1]) <= 0:
        raise InputError(
            f"mean and std are {channels} numbers each, std above 0; got {mean} and {std}."
        )
    first, second = (torch.tensor(each, dtype=torch.float32).view(-1, 1, 1) for each in values)
    return first, second
