"""Drawings as PNG files, and what the files are called."""

import re
import warnings
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from dlp.console import say
from dlp.errors import InputError
from dlp.files import atomic_path


def file_name(*parts: str) -> str:
    """Return a file's name made of `parts`, without what file systems do not like."""
    return "_".join(re.sub(r"[^\w.-]+", "-", part).strip("-.") or "x" for part in parts)


def write_drawing(drawing: Figure | Tensor, path: Path, announce: bool = True) -> None:
    """Write a figure, or an image (3, H, W) in [0, 1], as a PNG.

    Raises:
        InputError: It cannot be written there.
    """
    try:
        with atomic_path(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # of a class's name
            if isinstance(drawing, Figure):
                drawing.savefig(temporary, format="png", dpi=110)
            else:
                pixels = drawing.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
                Image.fromarray(pixels.numpy()).save(temporary, format="png")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
    if announce:
        say(f"wrote {path}")
