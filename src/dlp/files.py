"""Folders of the project, atomic writes, cached files and checked downloads."""

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
    """Return the folder of rebuildable files: ``DLP_CACHE_DIR``, else ``~/.cache/dlp``."""
    if folder := os.environ.get("DLP_CACHE_DIR"):
        return Path(folder)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "dlp"


def find_data_dir(path: AnyPath | None = None) -> Path:
    """Return the folder of the reference sets: `path`, ``DLP_DATA_DIR``, else the cache's data."""
    return Path(path or os.environ.get("DLP_DATA_DIR") or cache_dir() / "data").expanduser()


@contextmanager
def atomic_path(path: Path, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to `path`; move it there if the block succeeds.

    Without `sync` the file may be lost or empty after a power failure within seconds.
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
        if error.filename in (None, str(temporary)):  # a full disk names no file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files of `atomic_path` that killed processes left in a folder."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..+\.[0-9a-f]{32}", path.name):
            path.unlink(missing_ok=True)


def move(source: Path, path: Path) -> None:
    """Move a file to `path`, on the same file system, once it is on the disk."""
    _sync(source, os.O_RDWR)
    source.replace(path)
    with suppress(OSError):  # Windows and some file systems sync no folders
        _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    """Wait until a file, or the names in a folder, are on the disk: power may fail at any time."""
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
    """Writer of a table in pieces; the file is there once its block succeeds with rows.

    Floats have nine digits, those of object columns all.

    Args:
        path: Path of the file, CSV or .parquet; None prints the rows.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        self._temporary: Path | None = None
        self._columns: pd.Index[Any] | None = None
        self._parquet: Any = None

    def append(self, frame: "pd.DataFrame") -> None:
        """Append rows, with the columns of the first ones."""
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
        with naming(f"{self.path} has one type per column, .csv any"):
            self._parquet.write_table(pa.Table.from_pandas(rows, self._parquet.schema))


def write_table(path: Path | None, frame: "pd.DataFrame") -> None:
    """Write a table at once, as `TableWriter` does."""
    with TableWriter(path) as table:
        table.append(frame)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure atomically, as PNG or what the ending of the path names."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in the name of a class
        figure.savefig(temporary, format=path.suffix[1:], dpi=110)


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Run the block in one process at a time; the others wait.

    Args:
        name: Name of what the block writes, the same in all processes.
    """
    from filelock import FileLock  # 0.1 seconds that most commands do not need

    path = cache_dir() / "locks" / name
    lock = FileLock(path)  # gone with its process
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

    Its name contains a key of everything that the content depends on. The checksum is compared
    before each use. `build` writes the file to a path, `load` reads it. Of several processes one
    builds a missing file and the others wait.
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
        with suppress(Exception):  # each reader fails in its own way
            if checksum.read_text("utf-8") == crc32(path):
                return load(path)
        say(f"{path} is damaged; it is built again")
        write()
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error}). Free some space, or set DLP_CACHE_DIR to a folder "
            "that can be written."
        ) from error
    return load(path)


def crc32(path: Path) -> str:
    """Return the CRC-32 of a file, which finds damage; of a large file that of 64 MB."""
    import numpy as np  # readers of runs do not wait for it

    content = np.memmap(path, mode="r")
    checksum = len(content)
    for start in range(0, len(content), max(_PIECE, len(content) // 64)):
        checksum = zlib.crc32(content[start : start + _PIECE].data, checksum)
    return f"{checksum:08x}"


def absent(path: Path, advice: str = "") -> InputError:
    """Return the error for a path that does not exist, with the most similar one of its folder."""
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
    """Return the path of a published file; download it if it is missing.

    Its SHA-256 begins with `expected`, which is empty if none is published.
    """
    if not path.exists():
        import torch

        say(f"downloading {url}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), expected, progress=False)
        except (OSError, RuntimeError) as error:  # RuntimeError: another hash
            raise InputError(
                f"cannot download {url} ({error}). On a machine with network, download it and copy "
                f"it to {path}."
            ) from error
    elif not sha256(path).startswith(expected):
        raise InputError(f"{path} is not the published file; delete it and run again.")
    return path


def hub_commit(name: str) -> str | None:
    """Return the newest commit of a data set of the Hub; without network the last one seen."""
    from huggingface_hub import HfApi  # 0.2 seconds that most commands do not need

    last_seen = cache_dir() / "texts" / f"{name.replace('/', '_')}.commit"
    with suppress(Exception):  # of the Hub and the network, each its own
        write_text(last_seen, str(HfApi().dataset_info(name, timeout=10).sha))
    if not last_seen.exists():
        return None
    return last_seen.read_text("utf-8")
