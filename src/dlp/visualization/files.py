"""Figures as files."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from dlp.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: "Figure", path: Path, dpi: int = 110) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in the name of a class
        figure.savefig(temporary, format="png", dpi=dpi)
