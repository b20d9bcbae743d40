"""Image files on disk: all below some folders, and what tells that one has changed."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from dlp.console import say
from dlp.datamodules.images.decoding import is_image_name
from dlp.datamodules.part_names import is_seen
from dlp.errors import InputError


@dataclass(frozen=True)
class ImageFiles:
    """Image files on disk.

    Args:
        root: The folder that they are relative to.
        files: The path of each below it.
    """

    root: Path
    files: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    @property
    def names(self) -> list[str]:
        """The path of each file."""
        return [str(self.root / name) for name in self.files]

    def stamp(self) -> object:
        """Return name, size and times of change of each file, and the content of a few.

        Raises:
            InputError: There is no such file (a link to one that is gone), or it cannot be read.
        """
        path = self.root
        try:
            states = []
            for name in self.files:
                path = self.root / name
                state = path.stat()
                states.append((name, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
            contents = []  # of an unpacked archive all times may be equal, and sizes too
            for name in self.files[:: max(1, len(self.files) // 3)]:
                path = self.root / name
                contents.append(xxhash.xxh3_64_hexdigest(path.read_bytes()))
        except OSError as error:
            raise InputError(f"cannot read the image {path}: {error.strerror}.") from error
        return states, contents

    def __getitem__(self, number: int) -> Path:
        """Return the file of an image."""
        return self.root / self.files[number]

    def chosen(self, rows: Sequence[int]) -> "ImageFiles":
        """Return the files numbered `rows`, in that order."""
        return ImageFiles(self.root, tuple(self.files[row] for row in rows))


def find_images(root: Path, folders: Sequence[str] = ("",)) -> list[list[str]]:
    """Return the image files below each of the folders of `root`, by names relative to it.

    They come sorted. Links are followed, hidden files and folders left out. What is no image by
    its name is left out too, and counted by endings in one printed line.
    """
    found: list[list[str]] = []
    others: Counter[str] = Counter()
    for folder in folders:
        images = []
        parents = {str(root / folder): {(root / folder).resolve()}}  # true places of all above
        for parent, inner, files in os.walk(root / folder, followlinks=True):
            above = parents.pop(parent)
            inner[:] = sorted(filter(is_seen, inner))
            for name in list(inner):
                path = Path(parent, name)
                if path.resolve() in above:  # a link to a folder that it stands in
                    inner.remove(name)
                parents[str(path)] = above | {path.resolve()}
            below = Path(parent).relative_to(root / folder).as_posix()
            prefix = "" if below == "." else f"{below}/"
            for name in sorted(name for name in files if not name.startswith(".")):
                if is_image_name(name):
                    images.append(prefix + name)
                else:
                    others[Path(name).suffix.lower() or "without an ending"] += 1
        found.append(images)
    if others:
        kinds = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(6))
        say(f"{root}: files that are no images by their names, left out: {kinds}")
    return found
