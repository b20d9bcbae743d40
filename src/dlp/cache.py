"""Folders of what can be made again: made by one process at a time, whole, checked before use."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import xxhash
from filelock import FileLock

from dlp.console import say

#: The file that holds the hash of every other file of a folder.
SUMS = "sums.json"

T = TypeVar("T")


def kept_folder(
    home: Path,
    what: str,
    load: Callable[[Path], T],
    write: Callable[[Path], None],
    begun: str | None = None,
) -> T:
    """Return what `load` reads from a folder, which `write` fills first where it is not whole.

    Of several processes one writes, and the others wait for it. What is there is read where
    nothing can be written, too.

    Args:
        home: The folder.
        what: What is kept in it, in words (plural): a damaged folder is said.
        load: Reads it.
        write: Fills an empty folder; or with `begun` goes on where it was broken off.
        begun: The file by which `write` says how far it has come, see `new_folder`.

    Raises:
        OSError: It cannot be written.
    """
    before = _inode(home)
    if (found := read_folder(home, load, what)) is not None:
        return found
    with only_one(home):
        if _inode(home) != before and (found := read_folder(home, load, what)) is not None:
            return found  # another process was faster
        with new_folder(home, begun) as folder:
            write(folder)
        found = read_folder(home, load, what, checks=False)  # hashed when it was written
    if found is None:
        raise OSError(errno.EIO, "what was written there cannot be read", str(home))
    return found


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Wait until no other process makes what is kept at `home`, and let none begin meanwhile.

    Raises:
        OSError: Nothing can be written there.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        yield


def read_folder(home: Path, load: Callable[[Path], T], what: str, checks: bool = True) -> T | None:
    """Return what `load` reads from a folder; None where there is none, or not as it was written.

    Args:
        home: The folder.
        load: Reads it.
        what: What is kept in it, in words (plural): a damaged folder is said.
        checks: Read all of it first, to see whether it has changed.
    """
    if not home.is_dir():
        return None
    try:
        sums = json.loads((home / SUMS).read_text(encoding="utf-8")) if checks else {}
        for name, expected in sums.items():
            if _hash(home / name) != expected:
                raise ValueError(f"{name} has changed")
        return load(home)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        say(f"the cached {what} in {home} are damaged ({error}); they are made again")
        return None


@contextmanager
def new_folder(home: Path, begun: str | None = None) -> Iterator[Path]:
    """Yield an empty folder to write to, which takes the place of `home` if the block succeeds.

    The caller is the `only_one` to do so.

    Args:
        home: The place.
        begun: The name of a file by which the block says how far it has come. A folder that has it
            is kept when the block is broken off, and given again the next time.

    Raises:
        OSError: It cannot be written.
    """
    new = home.with_name(f".{home.name}")
    if begun is None or not (new / begun).exists():
        shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
    new.mkdir(parents=True, exist_ok=True)
    keep = begun is not None
    try:
        yield new
        if begun is not None:
            (new / begun).unlink(missing_ok=True)
        files = sorted(file for file in new.rglob("*") if file.is_file())
        sums = {file.relative_to(new).as_posix(): _hash(file) for file in files}
        (new / SUMS).write_text(json.dumps(sums), encoding="utf-8")
        shutil.rmtree(home, ignore_errors=True)
        new.rename(home)
    except OSError:
        keep = False  # what is there may be why the disk is full
        raise
    finally:
        if not (keep and begun is not None and (new / begun).exists()):
            shutil.rmtree(new, ignore_errors=True)


def _hash(path: Path) -> str:
    """Return a hash of a file, of some gigabytes in a second."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()


def _inode(home: Path) -> int | None:
    """Return what tells a folder from one that takes its place; None where there is none."""
    try:
        return home.stat().st_ino
    except FileNotFoundError:
        return None
