"""Image files in folders: found by name, and recognised when they change."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dlp.errors import InputError, MissingInputError

_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def is_image(path: Path) -> bool:
    """Return True for the name of an image."""
    return path.suffix.lower() in _ENDINGS


def find_images(path: Path) -> list[Path]:
    """Return an image file, or all images in a folder and below it, sorted.

    Raises:
        MissingInputError: If there are none.
    """
    images = [*_images_below(path)]
    if not images:
        raise MissingInputError(f"there is no image at {path} (from {Path.cwd()}).")
    return images


def find_class_images(root: Path) -> list[Path]:
    """Return the images in the subfolders of a folder, class by class.

    Raises:
        InputError: If there are no subfolders, or one holds no image.
    """
    images = {folder: [*filter(is_image, visible(folder))] for folder in subfolders(root)}
    empty = [folder for folder in images if not images[folder]] if images else [root]
    if empty:
        raise InputError(
            f"{empty[0]} holds no images of a class. Accepted: one subfolder per class "
            "(cats/1.jpg, dogs/7.jpg), or train, val and test with one subfolder per class each; "
            "give folders of other names as path and test_path."
        )
    return [image for folder in images.values() for image in folder]


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, sorted by name."""
    return [path for path in visible(folder) if path.is_dir()]


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder, without hidden files and the folder that macOS adds."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))


def _images_below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for child in visible(path):
            yield from _images_below(child)
    elif path.is_file() and is_image(path):
        yield path


def file_states(files: Iterable[Path]) -> list[Any]:
    """Return name, size and times of each file; a changed file has others."""
    states = [(file, file.stat()) for file in files]
    return [(str(f), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for f, s in states]
