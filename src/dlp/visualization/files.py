"""Figures as files."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from dlp.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure atomically, as PNG or what the ending of the path names."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in the name of a class
        figure.savefig(temporary, format=path.suffix[1:], dpi=110)
