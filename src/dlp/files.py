"""Data and cache folders, atomic writes, cached files and checked downloads."""

import hashlib
import json
import os
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from dlp.console import say
from dlp.errors import InputError, naming

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

T = TypeVar("T")
AnyPath = str | os.PathLike[str]
_PIECE = 1_000_000  # bytes


def cache_dir() -> Path:
    """Return the folder for files that can be built again.

    It is ``DLP_CACHE_DIR`` if that is set, otherwise ``dlp`` in ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if folder := os.environ.get("DLP_CACHE_DIR"):
        return Path(folder)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "dlp"


def find_data_dir(path: AnyPath | None = None) -> Path:
    """Return the folder of the reference sets.

    It is `path` if given, otherwise ``DLP_DATA_DIR`` if that is set, otherwise ``data`` in the
    cache folder.
    """
    return Path(path or os.environ.get("DLP_DATA_DIR") or cache_dir() / "data").expanduser()


@contextmanager
def atomic_path(path: Path, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and rename it to `path` if the block succeeds.

    Args:
        path: Path of the complete file. Its folder is created.
        sync: Whether to wait until the file is on the disk. If False, the file may be lost or empty
            after a power failure within the next seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield temporary
        if sync:
            move(temporary, path)
        else:
            temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # for a full disk, no file name is given
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files from `atomic_path` that killed processes left in a folder."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..+\.[0-9a-f]{32}", path.name):
            path.unlink(missing_ok=True)


def move(source: Path, path: Path) -> None:
    """Wait until a file is on the disk, then move it to `path` on the same file system."""
    _sync(source, os.O_RDWR)
    source.replace(path)
    with suppress(OSError):  # Windows and some file systems cannot sync folders
        _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically; NaN and infinity become null."""
    finite = json.loads(json.dumps(content), parse_constant=lambda name: None)
    write_text(path, json.dumps(finite, indent=2) + "\n")


class TableWriter(ExitStack):
    """Context manager that writes a table in pieces.

    The file appears at the end of the block, if there was no error and at least one piece was
    appended. In a CSV file, floats have nine significant digits, and floats in columns with the
    dtype object have all digits.

    Args:
        path: Path of the file, CSV or .parquet. None prints the rows instead.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        self._temporary: Path | None = None
        self._columns: pd.Index[Any] | None = None
        self._parquet: Any = None

    def append(self, frame: "pd.DataFrame") -> None:
        """Append rows. The columns of the first frame are used for all rows."""
        if self.path is None:
            say(frame.to_string(index=False))
            return
        is_first = self._temporary is None
        if is_first:
            self._columns = frame.columns
            self._temporary = self.enter_context(atomic_path(self.path))
        rows = frame.reindex(columns=self._columns)
        if self.path.suffix != ".parquet":
            rows.to_csv(
                self._temporary, mode="a", header=is_first, index=False, float_format="%.9g"
            )
            return
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        if is_first:
            schema = pa.Schema.from_pandas(rows, preserve_index=False)
            self._parquet = self.enter_context(ParquetWriter(self._temporary, schema))
        with naming(f"{self.path}: each column needs one type; use .csv for mixed types"):
            self._parquet.write_table(pa.Table.from_pandas(rows, self._parquet.schema))


def write_table(path: Path | None, frame: "pd.DataFrame") -> None:
    """Write a whole table in the format that `TableWriter` uses."""
    with TableWriter(path) as table:
        table.append(frame)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure atomically, in the format that the suffix of the path names, such as .png."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in the names of classes
        figure.savefig(temporary, format=path.suffix[1:], dpi=110)


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Run the block in one process at a time; the other processes wait.

    Args:
        name: Name of the lock. It must be equal in all processes that write the same file.

    Raises:
        InputError: If the cache folder cannot be written.
    """
    from filelock import FileLock  # takes 0.1 seconds, and most commands do not need it

    path = cache_dir() / "locks" / name
    lock = FileLock(path)  # released when its process ends
    try:
        lock.acquire()
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error}). Set DLP_CACHE_DIR to a folder that can be written."
        ) from error
    try:
        yield
    finally:
        lock.release()


def cached_file(name: str, build: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """Return the content of a cached file; build the file if it is missing or damaged.

    The checksum of the file is compared before each use. If several processes need a missing file,
    one of them builds it and the others wait.

    Args:
        name: Path in the cache folder. It must contain a key that changes with everything that the
            content depends on.
        build: Function that writes the file to the path that it is given.
        load: Function that reads the file from the path that it is given.

    Raises:
        InputError: If the cache folder cannot be written.
    """
    path = cache_dir() / name
    checksum = path.with_name(f"{path.name}.crc")

    def write() -> None:
        with atomic_path(path) as temporary:
            build(temporary)
            write_text(checksum, crc32(temporary))

    try:
        if not path.exists():
            with one_at_a_time(path.name):
                if not path.exists():
                    write()
        with suppress(Exception):  # the exception for a damaged file depends on the reader
            if checksum.read_text("utf-8") == crc32(path):
                return load(path)
        say(f"{path} is damaged and will be built again")
        write()
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error}). Free some space, or set DLP_CACHE_DIR to a folder "
            "that can be written."
        ) from error
    return load(path)


def crc32(path: Path) -> str:
    """Return the CRC-32 of a file, or of samples of 64 MB in total if the file is larger."""
    import numpy as np  # imported here, because commands that only read runs do not need it

    content = np.memmap(path, mode="r")
    checksum = len(content)
    for start in range(0, len(content), max(_PIECE, len(content) // 64)):
        checksum = zlib.crc32(content[start : start + _PIECE].data, checksum)
    return f"{checksum:08x}"


def absent(path: Path, advice: str = "") -> InputError:
    """Return the error for a path that does not exist.

    Args:
        path: The path. If its folder contains a file with a similar name, the message suggests it.
        advice: Text at the end of the message. It must begin with a space.
    """
    hint = ""
    if path.parent.is_dir():
        names = [neighbour.name for neighbour in path.parent.iterdir()]
        for name in get_close_matches(path.name, names, n=1):
            hint = f" Did you mean {path.parent / name}?"
    return InputError(f"found no file {path} (working directory {Path.cwd()}).{hint}{advice}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, path: Path, expected: str) -> Path:
    """Download a published file if it is missing, and return its path.

    Args:
        url: Address of the file.
        path: Path at which it is stored.
        expected: First characters of its SHA-256. An empty text accepts any file.

    Raises:
        InputError: If the download fails, or the file has another SHA-256.
    """
    if not path.exists():
        import torch

        say(f"downloading {url}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), expected, progress=False)
        except (OSError, RuntimeError) as error:  # RuntimeError: another hash
            raise InputError(
                f"cannot download {url} ({error}). Download it on a machine with a network "
                f"connection and copy it to {path}."
            ) from error
    elif not sha256(path).startswith(expected):
        raise InputError(
            f"{path}: expected the published file, got another one. Delete it and run the command "
            "again."
        )
    return path


def hub_commit(name: str) -> str | None:
    """Return the newest commit of a data set on the Hugging Face Hub.

    Without a network connection, the last commit that was seen is returned, or None.
    """
    from huggingface_hub import HfApi  # takes 0.2 seconds, and most commands do not need it

    last_seen = cache_dir() / "texts" / f"{name.replace('/', '_')}.commit"
    with suppress(Exception):  # the Hub and the network raise many kinds of errors
        write_text(last_seen, str(HfApi().dataset_info(name, timeout=10).sha))
    if not last_seen.exists():
        return None
    return last_seen.read_text("utf-8")
