"""Where files lie and how they are written: folders, atomic writes, verified downloads."""

import csv
import errno
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dlp.errors import InputError


def cache_dir() -> Path:
    """Return the folder for what can be made again: ``DLP_CACHE_DIR``, else one per user."""
    return Path(os.environ.get("DLP_CACHE_DIR") or platformdirs.user_cache_path("dlp"))


def data_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the reference sets: `given`, ``DLP_DATA_DIR``, else one per user."""
    return Path(given or os.environ.get("DLP_DATA_DIR") or cache_dir() / "data")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, moved onto it if the block succeeds.

    A reader sees the old file or the whole new one, and a failure (a full disk, a kill) leaves
    the old one as it was. Folders are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_place(path: Path) -> None:
    """Refuse a file that cannot be written, before anything is computed. Nothing is left behind.

    Raises:
        InputError: It is a folder, or lies where nothing can be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: give --output the name of a file in it.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror} ({folder}). Choose another --output."
        ) from error


def written(folder: Path) -> dict[str, int]:
    """Return the files and folders of a folder by name, each with the time of its last writing."""
    shown = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.name + "/" * path.is_dir(): path.stat().st_mtime_ns for path in shown}


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write `rows` to `path` atomically, the first of them as the header."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def save_tensors(content: object, path: Path) -> None:
    """Write `content` by ``torch.save``, atomically.

    Raises:
        OSError: It cannot be written; torch itself raises a RuntimeError where a disk is full.
    """
    import torch

    with atomic_path(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:
            if "inline_container" not in str(error) and "PytorchStream" not in str(error):
                raise
            text = "no space left on the disk, or in a quota"
            raise OSError(errno.ENOSPC, text, str(path)) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Download:
    """A file of a reference set: where it comes from and what it must be.

    Nothing of pooch's would be used but the check of the hash: it begins an interrupted download
    anew too (``w+b``, no range is asked for), and knows no way out for a machine without network.

    Args:
        url: Its address.
        sha256: The SHA-256 its bytes must have, in hexadecimal.
        md5: The MD5 they must have, where its origin publishes no more.
    """

    url: str
    sha256: str = ""
    md5: str = ""

    @property
    def expected(self) -> str:
        """What its bytes must be, in words: the kind of hash, then the hash."""
        return f"SHA-256 {self.sha256}" if self.sha256 else f"MD5 {self.md5}"

    def fetch(self, path: Path) -> Path:
        """Return `path` once it holds this file: as it is if it does, else downloaded.

        Raises:
            InputError: The file at `path`, or what came from the origin, has another hash; or
                the origin could not be reached. A file already at `path` stays as it was.
        """
        if path.exists():
            self.check(path, path)
            return path
        try:
            with atomic_path(path) as temporary:
                print(f"downloading {self.url}", flush=True)
                with (
                    urllib.request.urlopen(self.url, timeout=60) as source,
                    temporary.open("wb") as target,
                ):
                    while block := source.read(1 << 20):
                        target.write(block)
                self.check(temporary, path)
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            ConnectionError,
            TimeoutError,
        ) as error:
            raise InputError(
                f"cannot reach {self.url} ({getattr(error, 'reason', error)}). On a machine "
                f"with network, download it and copy it to {path} here ({self.expected})."
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot write {path}: {error.strerror}. Set DLP_DATA_DIR (or data_dir) to a "
                "folder with room that you can write to, or put the file there yourself."
            ) from error
        return path

    def check(self, path: Path, name: Path) -> None:
        """Raise an InputError that speaks of `name` if `path` does not hold this file."""
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256" if self.sha256 else "md5").hexdigest()
        if found != (self.sha256 or self.md5):
            raise InputError(
                f"{name} is not the file it should be: its hash is {found}, expected "
                f"{self.expected} ({self.url}). It is corrupt or truncated: delete {name} if it is "
                "there, and run again."
            )
