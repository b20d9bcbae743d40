"""Drawings as files."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from dlp.errors import InputError
from dlp.files import atomic_path

if TYPE_CHECKING:  # figures need no torch, and commands no Matplotlib until they draw
    from matplotlib.figure import Figure
    from torch import Tensor


def save_drawing(
    drawing: "Figure | Tensor", path: Path, format: str = "png", dpi: int = 110
) -> None:
    """Write a figure, or an image (3, H, W) in [0, 1]; the file appears when it is whole.

    Raises:
        InputError: It cannot be written there.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    try:
        with atomic_path(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # of the name of a class or a run
            if isinstance(drawing, Figure):
                drawing.savefig(temporary, format=format, dpi=dpi)
            else:
                pixels = drawing.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
                Image.fromarray(pixels.numpy()).save(temporary, format=format)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
