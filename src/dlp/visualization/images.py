"""Figures of images: grids, channels, patterns, and heat maps over an image."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from dlp.visualization.activation_maps import channel_image


def image_grid(
    images: Tensor,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    inches: float = 2.2,
) -> Figure:
    """Return a figure of images, each under its title.

    Args:
        images: Images (N, C, H, W) in [0, 1] with 1 or 3 channels.
        titles: Title of each image.
        columns: Number of images per row; None makes the grid about square.
        inches: Width of an image.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[2:]
    figure = Figure(
        figsize=(inches * columns, (inches * height / width + 0.3) * rows), layout="tight"
    )
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes:
        ax.set_axis_off()
    for ax, image, title in zip(axes, images, titles or [""] * len(images), strict=False):
        pixels = image.detach().float().clamp(0, 1).cpu().permute(1, 2, 0).squeeze(-1)
        ax.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=9, parse_math=False)
    return figure


def activation_grid(maps: Tensor, title: str = "") -> Figure:
    """Return a figure of all channels of one layer, maps (C, h, w), as the book shows them."""
    from torchvision.utils import make_grid  # two seconds, for which `image_grid` does not wait

    canvas = make_grid(channel_image(maps).cpu()[:, None], 16, padding=1)
    inches = max(4.0, canvas.shape[2] / maps.shape[2])  # one channel per inch
    return _canvas_figure(canvas[:1], inches, title, vmax=255, cmap="viridis")


def filter_grid(patterns: Tensor, title: str = "") -> Figure:
    """Return a figure of patterns (F, C, H, W) in [0, 1], black between them."""
    from torchvision.utils import make_grid

    columns = math.ceil(math.sqrt(len(patterns)))
    return _canvas_figure(make_grid(patterns.cpu(), columns, padding=5), 10.0, title, vmax=1)


def overlay(image: Tensor, heatmap: Tensor, alpha: float = 0.4) -> Tensor:
    """Return an image with a heat map over it, as in the book: image + alpha * colours.

    Args:
        image: Image (1 or 3, H, W) in [0, 1].
        heatmap: Heat map (h, w), not negative; it is scaled to a maximum of 1 and resized.
        alpha: Strength of the colours.

    Returns:
        Image (3, H, W) in [0, 1].
    """
    values = heatmap.detach().float().cpu()
    values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)  # a map of zeros
    values = F.interpolate(values[None, None], [*image.shape[1:]], mode="bilinear")[0, 0]
    colours = torch.from_numpy(matplotlib.colormaps["jet"](values.numpy())[..., :3]).float()
    return (image.detach().float().cpu() + alpha * colours.permute(2, 0, 1)).clamp(0, 1)


def heatmap_figure(image: Tensor, heatmap: Tensor, titles: Sequence[str] | None = None) -> Figure:
    """Return a figure of an image (C, H, W), its heat map (h, w), and the overlay of both."""
    colours = overlay(torch.zeros_like(image), heatmap, alpha=1.0)
    seen = overlay(image, heatmap)
    images = torch.stack([image.detach().float().cpu().expand_as(seen), colours, seen])
    return image_grid(images, titles, columns=3, inches=3.5)


def _canvas_figure(canvas: Tensor, inches: float, title: str, **options: Any) -> Figure:
    height, width = canvas.shape[1:]
    figure = Figure(figsize=(inches, inches * height / width + 0.4), layout="constrained")
    ax = figure.subplots()
    ax.imshow(canvas.permute(1, 2, 0).squeeze(-1).numpy(), vmin=0, **options)
    ax.set_axis_off()
    ax.set_title(title, parse_math=False)
    return figure
