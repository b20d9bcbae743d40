"""Heat maps drawn: over the image they belong to, and beside it."""

from collections.abc import Sequence

import matplotlib
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from dlp.errors import InputError


def overlay(image: Tensor, heatmap: Tensor, alpha: float = 0.4) -> Tensor:
    """Return an image with a heat map over it, as the book does: image + alpha * colours.

    Args:
        image: (3, H, W), or grey (1, H, W), in [0, 1].
        heatmap: (h, w), 0 or more; scaled to a maximum of 1 and resized bilinearly to the image.
        alpha: Strength of the colours (Matplotlib's ``jet``).

    Returns:
        (3, H, W) in [0, 1], on the CPU; the sum is clipped.

    Raises:
        InputError: These are no image and no map.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3) or heatmap.ndim != 2:
        raise InputError(
            "overlay takes one image (1 or 3, height, width) and one heat map (height, width), "
            f"got {tuple(image.shape)} and {tuple(heatmap.shape)}."
        )
    if not image.is_floating_point():
        raise InputError(
            f"overlay takes float images in [0, 1], got {image.dtype}: use image.float() / 255."
        )
    values = heatmap.detach().float().cpu().clamp_min(0)
    values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)
    size = (image.shape[1], image.shape[2])
    values = F.interpolate(values[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    colours = torch.from_numpy(matplotlib.colormaps["jet"](values.numpy())[..., :3]).float()
    return (image.detach().float().cpu() + alpha * colours.permute(2, 0, 1)).clamp(0, 1)


def heatmap_figure(
    image: Tensor, heatmap: Tensor, titles: Sequence[str] = ("", "", ""), alpha: float = 0.4
) -> Figure:
    """Return a figure of an image, its heat map and both together.

    Args:
        image: (3, H, W), or grey (1, H, W), in [0, 1].
        heatmap: (h, w), 0 or more.
        titles: What stands above each of the three.
        alpha: Strength of the colours: see `overlay`.

    Raises:
        InputError: These are no image and no map, or not three titles.
    """
    if len(titles) != 3:
        raise InputError(f"there are 3 panels and {len(titles)} titles.")
    both = overlay(image, heatmap, alpha)
    height, width = image.shape[1:]
    figure = Figure(figsize=(10.5, 3.5 * height / width + 0.3), layout="constrained")
    places = figure.subplots(1, 3)
    pixels = image.detach().float().clamp(0, 1).cpu().permute(1, 2, 0).squeeze(-1)
    extent = (0.0, float(width), float(height), 0.0)
    places[0].imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1)
    places[1].imshow(heatmap.detach().float().cpu().numpy(), cmap="jet", extent=extent, vmin=0)
    places[2].imshow(both.permute(1, 2, 0).numpy())
    for axes, title in zip(places, titles, strict=True):
        axes.set_axis_off()
        axes.set_title(title, fontsize=10, parse_math=False)
    return figure
