"""Images decoded once: uint8 pixels of one size, memory-mapped from the cache folder.

From the second epoch, and the second run, no image file is opened. Sets that would take too
much room are decoded anew in every epoch, one batch ahead of the training.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

from dlp.cache import kept_folder
from dlp.console import image_bar, say
from dlp.datamodules.images.decoding import CorruptImageError
from dlp.datamodules.images.on_all_cores import (
    ImageFormat,
    ImageSource,
    decode_some,
    describe,
    on_all_cores,
)
from dlp.datamodules.images.properties import COLUMNS
from dlp.datamodules.splitting.splits import Indices
from dlp.errors import InputError
from dlp.files import cache_dir

#: Part of every key: another number makes all images be decoded anew.
FORMAT = 4
_GIGABYTE = 10**9
#: The most pixels, in gigabytes, that stay in memory where the cache cannot be written.
_IN_MEMORY = 4
#: The file that says how far a decoding has come, and the seconds after which it is written anew.
BEGUN = "begun.npz"
_SAVE_SECONDS = 5.0


@dataclass(frozen=True)
class DecodedOnDemand:
    """Pixels that are decoded whenever they are asked for, on all cores."""

    source: ImageSource
    form: ImageFormat

    def __getitem__(self, rows: Indices) -> NDArray[np.uint8]:
        """Return the images numbered `rows`, (n, H, W, C)."""
        decoded = np.empty((len(rows), *self.form.shape), np.uint8)
        place = 0
        for numbers, some in on_all_cores(self.source, rows.tolist(), self.form, decode_some):
            for number, why in zip(numbers, some.found, strict=True):
                if isinstance(why, CorruptImageError):
                    name = self.source.names[number]
                    raise CorruptImageError(f"{name} could be read before and cannot now: {why}")
            decoded[place : place + len(numbers)] = some.images
            place += len(numbers)
        return decoded


#: Of many images by number, uint8 (N, H, W, C): in memory, on disk or yet to be decoded.
Pixels = NDArray[np.uint8] | DecodedOnDemand


@dataclass(frozen=True)
class Decoded:
    """What a scan of all images found.

    Args:
        pixels: uint8 (N, H, W, C) by number; what stands at a corrupt one means nothing.
        hashes: One number an image, equal for equal pixels, uint64 (N,).
        properties: What each file is like, float32 (N, 5): see `dlp.datamodules.images.properties`.
        corrupt: The numbers of the images that cannot be read, and why.
    """

    pixels: Pixels
    hashes: NDArray[np.uint64]
    properties: NDArray[np.float32]
    corrupt: dict[int, str] = field(default_factory=dict)


class StoredImages:
    """Some of the decoded images: a batch of them is float32 in [0, 1], channels last in memory.

    Args:
        pixels: The pixels of all images.
        rows: The numbers of these, (N,).
        all_hashes: One number for each of all images, equal for equal pixels; None if unknown.
    """

    def __init__(
        self, pixels: Pixels, rows: Indices, all_hashes: NDArray[np.uint64] | None = None
    ) -> None:
        self.pixels = pixels
        self.rows = rows
        self.all_hashes = all_hashes
        self.slow = isinstance(pixels, DecodedOnDemand)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def chosen(self, index: Indices) -> "StoredImages":
        """Return the images numbered `index` among these."""
        return StoredImages(self.pixels, self.rows[index], self.all_hashes)

    @property
    def hashes(self) -> NDArray[np.uint64] | None:
        """One number an image, equal for equal pixels, (N,); None where nobody took them."""
        return None if self.all_hashes is None else self.all_hashes[self.rows]

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the images `index`, float32 (n, C, H, W)."""
        pixels = self.pixels[self.rows[index.numpy()]]
        # NumPy turns bytes into fractions in one pass, on one core: the threads of torch take
        # longer to begin and to wait for each other than a batch of some images takes.
        fractions = np.divide(pixels, np.float32(255), dtype=np.float32)
        return torch.from_numpy(fractions).permute(0, 3, 1, 2)


def decode(source: ImageSource, form: ImageFormat, cache_gb: float, keep: bool = True) -> Decoded:
    """Return the images of `source`: from the cache, or decoded into it, with a progress bar.

    Args:
        source: The encoded images.
        form: What to make of them.
        cache_gb: The most the pixels may take, in gigabytes; larger sets are only scanned, and
            decoded again whenever they are used.
        keep: Write the cache; else all stays in memory.
    """
    size = len(source) * int(np.prod(form.shape))
    streams = size > cache_gb * _GIGABYTE
    if not keep:
        return _in_memory(source, form, streams)
    key = xxhash.xxh3_128_hexdigest(repr((FORMAT, form, source.stamp(), streams)).encode())
    home = cache_dir() / "images" / key

    def write(folder: Path) -> None:
        room = shutil.disk_usage(folder).free
        if size > room and not streams:
            raise _NoRoomError(room)
        _write(folder, source, form, streams)

    try:
        return kept_folder(
            home, "images", lambda at: _load(at, source, form, streams), write, BEGUN
        )
    except _NoRoomError as error:
        say(
            f"the decoded images would take {size / _GIGABYTE:.1f} GB and {home.parent} has "
            f"{error.room / _GIGABYTE:.1f} GB left: they are decoded anew in every epoch. Set "
            "DLP_CACHE_DIR to a folder with room for more speed."
        )
        return decode(source, form, cache_gb=0)
    except OSError as error:
        if isinstance(error, InputError):  # an image is the matter, not the cache
            raise
        streams = streams or size > _IN_MEMORY * _GIGABYTE
        instead = "are decoded anew in every epoch" if streams else "stay in memory"
        say(f"cannot write the cache {home} ({error.strerror}): the images {instead}")
        return _in_memory(source, form, streams)


class _NoRoomError(Exception):
    """The pixels would not fit on the disk.

    Args:
        room: The bytes that are left on it.
    """

    def __init__(self, room: int) -> None:
        super().__init__(room)
        self.room = room


@dataclass
class Scan:
    """What is known of the first `done` images.

    Args:
        hashes: As in `Decoded`, of all N images; 0 of those that are yet to come.
        properties: Likewise.
        corrupt: The numbers of those that cannot be read, and why.
        done: How many images these are.
    """

    hashes: NDArray[np.uint64]
    properties: NDArray[np.float32]
    corrupt: dict[int, str] = field(default_factory=dict)
    done: int = 0

    @classmethod
    def of(cls, count: int) -> "Scan":
        """Return what is known of `count` images at the beginning."""
        return cls(np.zeros(count, np.uint64), np.zeros((count, COLUMNS), np.float32))


def _in_memory(source: ImageSource, form: ImageFormat, streams: bool) -> Decoded:
    """Decode without any file."""
    scan = Scan.of(len(source))
    if streams:
        _scan(source, form, scan, lambda images: None)
        pixels: Pixels = DecodedOnDemand(source, form)
    else:
        kept = pixels = np.empty((len(source), *form.shape), np.uint8)

        def store(images: NDArray[np.uint8]) -> None:
            kept[scan.done :][: len(images)] = images

        _scan(source, form, scan, store)
    return Decoded(pixels, scan.hashes, scan.properties, scan.corrupt)


def _write(folder: Path, source: ImageSource, form: ImageFormat, streams: bool) -> None:
    """Decode into a folder: an empty one, or one where this was broken off."""
    scan, end = _begun(folder, len(source))
    # Written, not memory-mapped: a full disk is an error then, and no bus error.
    with (folder / "pixels.npy").open("r+b" if scan.done else "wb") as file:
        if scan.done:
            file.truncate(end)
            file.seek(end)
        else:
            shape = (0 if streams else len(source), *form.shape)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        saved = time.monotonic()

        def store(images: NDArray[np.uint8]) -> None:
            nonlocal saved
            if time.monotonic() - saved > _SAVE_SECONDS:  # all images before these
                file.flush()
                _save_begun(folder, scan, file.tell())
                saved = time.monotonic()
            if not streams:
                file.write(images.data)

        _scan(source, form, scan, store)
    np.save(folder / "hashes.npy", scan.hashes)
    np.save(folder / "properties.npy", scan.properties)
    (folder / "corrupt.json").write_text(json.dumps(scan.corrupt), encoding="utf-8")


def _save_begun(folder: Path, scan: Scan, end: int) -> None:
    """Write what is known so far; `end` is the size of the file of pixels."""
    new = folder / f"new_{BEGUN}"
    np.savez(
        new,
        hashes=scan.hashes,
        properties=scan.properties,
        corrupt=np.array(json.dumps(scan.corrupt)),
        done=scan.done,
        end=end,
    )
    new.replace(folder / BEGUN)


def _begun(folder: Path, count: int) -> tuple[Scan, int]:
    """Return what `_save_begun` wrote: of none of `count` images where it wrote nothing whole."""
    try:
        with (folder / BEGUN).open("rb") as file, np.load(file) as found:
            corrupt = json.loads(str(found["corrupt"]))
            end, done = int(found["end"]), int(found["done"])
            scan = Scan(found["hashes"], found["properties"], {}, done)
        scan.corrupt.update({int(number): why for number, why in corrupt.items()})
        if (folder / "pixels.npy").stat().st_size < end:
            return Scan.of(count), 0
    except (OSError, ValueError, KeyError, BadZipFile):
        return Scan.of(count), 0
    say(f"{scan.done:,} of {count:,} images were decoded before: the others follow")
    return scan, end


def _load(folder: Path, source: ImageSource, form: ImageFormat, streams: bool) -> Decoded:
    """Return what `_write` wrote."""
    corrupt = json.loads((folder / "corrupt.json").read_text(encoding="utf-8"))
    pixels: Pixels = DecodedOnDemand(source, form)
    if not streams:  # copied on write: torch warns of memory it cannot write to
        pixels = np.load(folder / "pixels.npy", mmap_mode="c")
    return Decoded(
        pixels,
        np.load(folder / "hashes.npy"),
        np.load(folder / "properties.npy"),
        {int(number): why for number, why in corrupt.items()},
    )


def _scan(
    source: ImageSource,
    form: ImageFormat,
    scan: Scan,
    store: Callable[[NDArray[np.uint8]], None],
) -> None:
    """Decode every image that is not `done` and hand some at a time to `store`, in their order.

    What is stored for a corrupt image is black.
    """
    count = len(source)

    def each() -> Iterator[int]:
        left = range(scan.done, count)
        for numbers, (some, hashes, properties) in on_all_cores(source, left, form, describe):
            store(some.images)
            rows = slice(scan.done, scan.done + len(numbers))
            scan.hashes[rows], scan.properties[rows] = hashes, properties
            for number, found in zip(numbers, some.found, strict=True):
                if isinstance(found, CorruptImageError):
                    scan.corrupt[number] = found.reason
            scan.done = rows.stop
            yield from numbers

    for _ in image_bar(each(), "decoding images", "image", count - scan.done, count):
        pass
