"""Figures of images: grids, channels, patterns, and heat maps over an image."""

import math
from collections.abc import Sequence

import matplotlib
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor


def image_grid(
    images: Tensor,
    titles: Sequence[str] = (),
    num_columns: int | None = None,
    inches: float = 2.2,
) -> Figure:
    """Return a figure with a grid of images, each below its title.

    Args:
        images: Images (N, C, H, W) in [0, 1] with 1 or 3 channels.
        titles: Title of each image; by default there are no titles.
        num_columns: Number of images per row. By default the grid is approximately square.
        inches: Width of each image in inches.
    """
    num_columns = num_columns or math.ceil(len(images) ** 0.5)
    num_rows = math.ceil(len(images) / num_columns)
    height, width = images.shape[2:]
    row_inches = inches * height / width + 0.3
    size = (inches * num_columns, row_inches * num_rows)
    figure = Figure(figsize=size, layout="tight", facecolor="none")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).flatten()
    for axes in panels:
        axes.set_axis_off()
    pixels = images.clamp(0, 1).permute(0, 2, 3, 1).numpy(force=True)
    for axes, image in zip(panels, pixels, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    for axes, title in zip(panels, titles, strict=False):
        axes.set_title(title, fontsize=9, color="grey", parse_math=False)
    return figure


def activation_grid(maps: Tensor, title: str = "") -> Figure:
    """Return a figure of all channels in the output of a layer, as in the book.

    Args:
        maps: Output of the layer for one image, (C, h, w).
        title: Title of the figure.
    """
    from torchvision.utils import make_grid  # takes two seconds; `image_grid` does not need it

    channels = channel_image(maps).cpu().unsqueeze(1)
    canvas = _coloured(make_grid(channels, 16, padding=1)[0], "viridis")
    inches = canvas.shape[2] / maps.shape[2]  # one channel per inch
    return image_grid(canvas[None], [title], inches=max(4.0, inches))


def channel_image(maps: Tensor) -> Tensor:
    """Return maps (..., h, w) as grey images, scaled as in the book.

    Each map becomes uint8 with mean 128 and standard deviation 64. A constant map becomes 0.
    """
    values = maps.detach().float()
    std, mean = torch.std_mean(values, (-2, -1), correction=0, keepdim=True)
    scaled = (values - mean) / std * 64 + 128
    is_constant = std <= 1e-6 * mean.abs()
    return scaled.masked_fill(is_constant, 0).clamp(0, 255).to(torch.uint8)


def filter_grid(patterns: Tensor, title: str = "") -> Figure:
    """Return a figure of patterns (F, C, H, W) in [0, 1], separated by black lines."""
    from torchvision.utils import make_grid

    canvas = make_grid(patterns, math.ceil(len(patterns) ** 0.5), padding=5)
    return image_grid(canvas[None], [title], inches=10.0)


def overlay(
    image: Tensor,
    heatmap: Tensor,
    alpha: float = 0.4,
    colormap: str = "inferno",
) -> Tensor:
    """Lay a heat map over an image, as in the book: image + alpha * colours.

    Args:
        image: Image (1 or 3, H, W) in [0, 1].
        heatmap: Heat map (h, w) of non-negative numbers. It is divided by its maximum and resized
            to the size of the image.
        alpha: Strength of the colours.
        colormap: Name of a colormap of Matplotlib. In the default colormap, hotter is lighter. The
            book uses ``jet``.

    Returns:
        Image (3, H, W) in [0, 1].
    """
    height, width = image.shape[1:]
    heat = heatmap.detach().cpu().float()
    heat = heat / heat.max().clamp_min(1e-30)  # the maximum of a map of zeros is 0
    heat = F.interpolate(heat[None, None], (height, width), mode="bilinear")
    colours = _coloured(heat[0, 0], colormap)
    pixels = image.detach().cpu().float()
    return (pixels + alpha * colours).clamp(0, 1)


def heatmap_figure(
    image: Tensor,
    heatmap: Tensor,
    titles: Sequence[str] = (),
    colormap: str = "inferno",
) -> Figure:
    """Return a figure of an image (C, H, W), its heat map (h, w), and the overlay of both."""
    panels = [
        overlay(image, heatmap, alpha=0.0),
        overlay(torch.zeros_like(image), heatmap, 1.0, colormap),
        overlay(image, heatmap, colormap=colormap),
    ]
    return image_grid(torch.stack(panels), titles, num_columns=3, inches=3.5)


def _coloured(values: Tensor, colours: str) -> Tensor:
    """Return values (H, W) in the colours of a Matplotlib colormap, (3, H, W) in [0, 1]."""
    pixels = matplotlib.colormaps[colours](values.numpy())
    return torch.from_numpy(pixels[..., :3]).float().permute(2, 0, 1)
