"""Files that are built once and kept in the cache folder."""

import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from dlp.console import say
from dlp.errors import InputError
from dlp.files import atomic_path, cache_dir, write_text

T = TypeVar("T")


def cached_file(name: str, build: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """Return the content of a cached file; build the file if it is missing or damaged.

    Its name contains a key of everything that the content depends on. The checksum is compared
    before each use. `build` writes the file to a path, `load` reads it.
    """
    path = cache_dir() / name
    checksum = path.with_name(f"{path.name}.crc32")
    try:
        if path.exists() and checksum.exists():
            with suppress(Exception):  # each reader fails in its own way
                if checksum.read_text("utf-8") == crc32(path):
                    return load(path)
            say(f"{path} is damaged; it is built again")
        with atomic_path(path) as temporary:
            build(temporary)
            write_text(checksum, crc32(temporary))
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error}). Free some space, or set DLP_CACHE_DIR to a folder "
            "that can be written."
        ) from error
    return load(path)


def crc32(path: Path) -> str:
    """Return the CRC-32 of a file, which finds damage."""
    return f"{zlib.crc32(np.memmap(path, mode='r').data):08x}"
