"""Figures as files."""

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from dlp.files import atomic_path


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write a figure, in the format of the name's ending; it appears when it is whole."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of the name of a class or a run
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=dpi)
