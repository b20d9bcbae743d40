"""Images side by side, with a line of text above each."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from dlp.errors import InputError


def image_grid(
    images: Tensor, titles: Sequence[str] | None = None, columns: int | None = None
) -> Figure:
    """Return a figure of images, row by row.

    Args:
        images: (N, C, H, W) in [0, 1], with 1 or 3 channels.
        titles: What stands above each.
        columns: Images a row; None makes the grid about square.

    Raises:
        InputError: These are no images, or there are not as many titles.
    """
    count = len(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not count:
        raise InputError(
            f"image_grid takes images (N, 1 or 3, height, width), got {tuple(images.shape)}."
        )
    titles = [""] * count if titles is None else titles
    if len(titles) != count:
        raise InputError(f"there are {count} images and {len(titles)} titles.")
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    height, width = images.shape[2:]
    figure = Figure(figsize=(2.2 * columns, (2.2 * height / width + 0.3) * rows), layout="tight")
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in places:
        axes.set_axis_off()
    for axes, image, title in zip(places, images.clamp(0, 1).cpu(), titles, strict=False):
        axes.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9)
    return figure


def tiles(images: Tensor, columns: int, gap: int) -> Tensor:
    """Return one image (C, H, W) with `images` (N, C, h, w) row by row, and zeros between."""
    count, channels, height, width = images.shape
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    canvas = images.new_zeros(channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for number, image in enumerate(images):
        top = number // columns * (height + gap)
        left = number % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = image
    return canvas
