"""Image files in folders: found by name, and recognised when they change."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlp.errors import InputError, MissingInputError

_ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)


def is_image(path: Path) -> bool:
    """Return True for the name of an image that is not hidden."""
    return path.suffix.lower() in _ENDINGS and not is_hidden(path)


def is_hidden(path: Path) -> bool:
    """Return True for a hidden file and the folder that archives of macOS add."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path))


def find_images(path: Path) -> list[Path]:
    """Return an image file, or all images in a folder and below it, sorted.

    Raises:
        MissingInputError: If there is no such path.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingInputError(f"there is no file or folder {path} (from {Path.cwd()}).")
    images = sorted(filter(is_image, path.iterdir()))
    return images + [image for folder in subfolders(path) for image in find_images(folder)]


def class_folders(root: Path) -> tuple[list[Path], list[str]]:
    """Return the images of a folder with one subfolder per class, and the class of each.

    Raises:
        InputError: If there are no subfolders, or one holds no image.
    """
    files: list[Path] = []
    classes: list[str] = []
    for folder in subfolders(root):
        images = sorted(filter(is_image, folder.iterdir()))
        if not images:
            raise InputError(
                f"the class folder {folder} holds no image. Remove it; if it is a part of the set "
                "or above the classes, give its folders as path and test_path."
            )
        files += images
        classes += [folder.name] * len(images)
    if not files:
        raise InputError(
            f"{root} has no subfolders. Accepted: one subfolder per class (cats/1.jpg, "
            "dogs/7.jpg), or train, val and test with one subfolder per class each."
        )
    return files, classes


def file_states(files: Sequence[Path]) -> tuple[list[Any], list[int]]:
    """Return name, size and times of each file, and checksums of the start of four files.

    Sizes and times may all be equal in an unpacked archive.
    """
    states = [(file, file.stat()) for file in files]
    times = [(str(f), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for f, s in states]
    return times, [_checksum(file) for file in files[:: max(1, len(files) // 4)]]


def _checksum(path: Path) -> int:
    with path.open("rb") as file:
        return zlib.crc32(file.read(1 << 20))
