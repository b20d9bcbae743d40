"""A heat map beside the image it belongs to."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from dlp.errors import InputError
from dlp.visualization.heatmaps import overlay


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
