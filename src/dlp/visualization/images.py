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
    """Return a figure of images, each under its title.

    Args:
        images: Images (N, C, H, W) in [0, 1] with 1 or 3 channels.
        titles: Title of each image.
        num_columns: Number of images per row; None makes the grid about square.
        inches: Width of an image.
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
    """Return a figure of all channels of one layer, maps (C, h, w), as the book shows them."""
    from torchvision.utils import make_grid  # two seconds, for which `image_grid` does not wait

    channels = channel_image(maps).cpu().unsqueeze(1)
    canvas = _coloured(make_grid(channels, 16, padding=1)[0], "viridis")
    inches = canvas.shape[2] / maps.shape[2]  # one channel per inch
    return image_grid(canvas[None], [title], inches=max(4.0, inches))


def channel_image(maps: Tensor) -> Tensor:
    """Return maps (..., h, w) as the book shows them, uint8 of mean 128 and deviation 64."""
    values = maps.detach().float()
    std, mean = torch.std_mean(values, (-2, -1), correction=0, keepdim=True)
    scaled = (values - mean) / std * 64 + 128
    is_constant = std <= 1e-6 * mean.abs()
    return scaled.masked_fill(is_constant, 0).clamp(0, 255).to(torch.uint8)


def filter_grid(patterns: Tensor, title: str = "") -> Figure:
    """Return a figure of patterns (F, C, H, W) in [0, 1], black between them."""
    from torchvision.utils import make_grid

    canvas = make_grid(patterns, math.ceil(len(patterns) ** 0.5), padding=5)
    return image_grid(canvas[None], [title], inches=10.0)


def overlay(
    image: Tensor,
    heatmap: Tensor,
    alpha: float = 0.4,
    colormap: str = "inferno",
) -> Tensor:
    """Return an image with a heat map over it, as in the book: image + alpha * colours.

    Args:
        image: Image (1 or 3, H, W) in [0, 1].
        heatmap: Heat map (h, w), not negative; it is scaled to a maximum of 1 and resized.
        alpha: Strength of the colours.
        colormap: Colours of Matplotlib. Those of the default get lighter with the heat; the book's
            are ``jet``.

    Returns:
        Image (3, H, W) in [0, 1].
    """
    height, width = image.shape[1:]
    heat = heatmap.detach().cpu().float()
    heat = heat / heat.max().clamp_min(1e-30)  # of a map of zeros
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
    """Return values (H, W) in the colours of a map of Matplotlib, (3, H, W) in [0, 1]."""
    pixels = matplotlib.colormaps[colours](values.numpy())
    return torch.from_numpy(pixels[..., :3]).float().permute(2, 0, 1)
