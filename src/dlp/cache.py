"""Files that are built once and kept in the cache folder."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from dlp.console import say
from dlp.files import atomic_path, cache_dir, write_text

T = TypeVar("T")


def cached_file(name: str, build: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """Return the content of a cached file; build the file if it is missing or damaged.

    Its name contains a key of everything that the content depends on. The checksum is compared
    before each use. `build` writes the file to a path, `load` reads it.
    """
    path = cache_dir() / name
    checksum = path.with_name(f"{path.name}.crc32")
    is_built = path.exists() and checksum.exists()
    if is_built and checksum.read_text("utf-8") != crc32(path):
        say(f"{path} is damaged; it is built again")
        is_built = False
    if not is_built:
        with atomic_path(path) as temporary:
            build(temporary)
            write_text(checksum, crc32(temporary))
    return load(path)


def crc32(path: Path) -> str:
    """Return the CRC-32 of a file, which finds damage."""
    return f"{zlib.crc32(np.memmap(path, mode='r').data):08x}"
