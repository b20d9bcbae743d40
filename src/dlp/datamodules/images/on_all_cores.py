"""Images of a source decoded on all cores, some at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
import xxhash
from numpy.typing import NDArray

from dlp.cores import num_cores
from dlp.datamodules.images.decoding import CorruptImageError, ImageHeader, read_with_header
from dlp.datamodules.images.properties import table_of

Fit = Literal["squeeze", "crop"]
T = TypeVar("T")

#: The most images that a thread is handed at once: handing over is a tenth of decoding one.
_AT_ONCE = 16


class ImageSource(Protocol):
    """Encoded images by number."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """What people call each image: its path."""
        ...

    def stamp(self) -> object:
        """Return a plain value that changes when an image does."""
        ...

    def __getitem__(self, number: int) -> Path | bytes:
        """Return the file or the bytes of an image."""
        ...

    def chosen(self, rows: Sequence[int]) -> "ImageSource":
        """Return the images numbered `rows`, in that order."""
        ...


@dataclass(frozen=True)
class ImageFormat:
    """What every image is made into.

    Args:
        size: Height and width.
        fit: ``squeeze`` to that size, or ``crop`` the middle of the resized image.
        channels: 3 for colours, 1 for grey.
    """

    size: tuple[int, int]
    fit: Fit = "squeeze"
    channels: Literal[1, 3] = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return (*self.size, self.channels)


@dataclass(frozen=True)
class DecodedImages:
    """Some images that were decoded by one thread.

    Args:
        images: uint8 (n, H, W, C), black where an image is corrupt.
        found: What the file of each says, or why it cannot be read.
    """

    images: NDArray[np.uint8]
    found: list[ImageHeader | CorruptImageError]


def decode_some(contents: Sequence[Path | bytes], form: ImageFormat) -> DecodedImages:
    """Decode some images."""
    images = np.empty((len(contents), *form.shape), np.uint8)
    found: list[ImageHeader | CorruptImageError] = []
    for place, content in enumerate(contents):
        try:
            images[place], header = read_with_header(content, form.size, form.fit, form.channels)
            found.append(header)
        except CorruptImageError as error:
            images[place] = 0
            found.append(error)
    return DecodedImages(images, found)


def describe(
    contents: Sequence[Path | bytes], form: ImageFormat
) -> tuple[DecodedImages, list[int], NDArray[np.float32]]:
    """Decode some images; return them with their hashes and properties, 0 of corrupt ones."""
    some = decode_some(contents, form)
    headers = [None if isinstance(one, CorruptImageError) else one for one in some.found]
    hashes = [
        0 if header is None else xxhash.xxh3_64_intdigest(image.data)
        for header, image in zip(headers, some.images, strict=True)
    ]
    return some, hashes, table_of(headers, some.images)


def on_all_cores(
    source: ImageSource,
    numbers: Sequence[int],
    form: ImageFormat,
    work: Callable[[Sequence[Path | bytes], ImageFormat], T],
) -> Iterator[tuple[Sequence[int], T]]:
    """Yield what `work` makes of the images `numbers`, some at a time in their order."""
    cores = num_cores()
    length = min(_AT_ONCE, max(1, len(numbers) // (4 * cores)))
    waiting: deque[tuple[Sequence[int], Future[T]]] = deque()
    with ThreadPoolExecutor(cores) as pool:  # Pillow decodes without the GIL
        try:
            for start in range(0, len(numbers), length):
                some = numbers[start : start + length]
                # Files are opened by the threads; what the source itself does, here.
                contents = [source[number] for number in some]
                waiting.append((some, pool.submit(work, contents, form)))
                if len(waiting) > 2 * cores:
                    before, made = waiting.popleft()
                    yield before, made.result()
            while waiting:
                before, made = waiting.popleft()
                yield before, made.result()
        finally:
            for _, late in waiting:
                late.cancel()
