"""What image files are like: sizes, modes, and those that are unlike the others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.images.decoding import ImageHeader

#: Pillow's modes; a number stands for each in the cache.
_MODES = (
    *("?", "1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "La", "RGBa"),
    *("I;16", "I;16B", "I;16L", "I", "F", "RGBX"),
)
#: What is known of an image: height, width, mode, frames, share of its most frequent colour.
COLUMNS = 5
#: An image is unlike the others if its size or shape is so many times away from the middle one,
#: and so many times as far as the middle distance.
_SIZE, _SHAPE, _SPREAD = 16.0, 3.0, 6.0
#: Nearly one colour, where the middle one is not; a rare mode has at most this share.
_FLAT, _NOT_FLAT, _RARE = 0.9, 0.6, 0.05
#: Fewer images have no middle.
_ENOUGH = 8
_NAMED = 6


def table_of(
    headers: Sequence[ImageHeader | None], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the `COLUMNS` of some images, float32 (n, 5).

    Args:
        headers: What the file of each says, None where it cannot be read: a row of zeros.
        images: What was decoded of them, uint8 (n, H, W, C).
    """
    table = np.zeros((len(headers), COLUMNS), np.float32)
    shares = _shares_of_one_colour(images)
    for row, header, share in zip(table, headers, shares, strict=True):
        if header is not None:
            mode = _MODES.index(header.mode) if header.mode in _MODES else 0
            row[:] = header.height, header.width, mode, header.frames, share
    return table


def _shares_of_one_colour(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of the most frequent of 512 colours in each image."""
    coarse = images[:, ::2, ::2] >> 5
    colours: NDArray[np.uint16] = np.zeros(coarse.shape[:3], np.uint16)
    for channel in range(coarse.shape[3]):
        colours <<= 3
        colours |= coarse[..., channel]
    each = colours.reshape(len(images), -1)
    most = np.array([np.bincount(row).max() for row in each])
    shares: NDArray[np.float64] = most / each.shape[1]
    return shares


@dataclass(frozen=True)
class ImageProperties:
    """What the images of a set are like.

    Args:
        names: What people call each.
        table: The `COLUMNS` of each, (N, 5).
        unreadable: How many others cannot be read.
    """

    names: Sequence[str]
    table: NDArray[np.float32]
    unreadable: int = 0

    @classmethod
    def joined(cls, several: Sequence["ImageProperties"]) -> "ImageProperties":
        """Return those of several sets together."""
        names = [name for one in several for name in one.names]
        table = np.concatenate([one.table for one in several])
        return cls(names, table, sum(one.unreadable for one in several))

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return names and values for `InputReading`."""
        count = f"{len(self.names):,}"
        if self.unreadable:
            count += f", {self.unreadable:,} unreadable"
        height, width = self.table[:, 0], self.table[:, 1]
        middle = f"{np.median(height):.0f} x {np.median(width):.0f}"
        sizes = f"{middle} (height x width), all of them"
        if len(np.unique(self.table[:, :2], axis=0)) > 1:
            order = np.argsort(height * width)
            ends = [f"{height[row]:.0f} x {width[row]:.0f}" for row in (order[0], order[-1])]
            sizes = f"{ends[0]} to {ends[1]} (height x width), middle {middle}"
        kinds = Counter(_MODES[int(mode)] for mode in self.table[:, 2])
        modes = ", ".join(f"{mode} {count:,}" for mode, count in kinds.most_common())
        return (("images", count), ("sizes", sizes), ("modes", modes))

    def odd(self) -> list[tuple[str, str]]:
        """Return name and reason of each image that is unlike the others, the oddest first."""
        height, width, modes, frames, flat = self.table.T.astype(float)
        reasons: list[list[str]] = [[] for _ in self.names]
        for row in np.flatnonzero(frames > 1):
            reasons[row].append(f"{frames[row]:.0f} frames, the first one is read")
        if len(self.names) >= _ENOUGH:
            if np.median(flat) < _NOT_FLAT:
                for row in np.flatnonzero(flat >= _FLAT):
                    reasons[row].append(f"{flat[row]:.0%} of one colour: a placeholder?")
            far = _far(height * width, _SIZE) | _far(width / height, _SHAPE)
            for row in np.flatnonzero(far):
                reasons[row].append(f"{height[row]:.0f} x {width[row]:.0f}")
            counts = Counter(modes)
            for number, mode in enumerate(modes):
                if counts[mode] <= _RARE * len(modes):
                    reasons[number].append(f"mode {_MODES[int(mode)]}")
        found = [(name, why) for name, why in zip(self.names, reasons, strict=True) if why]
        found.sort(key=lambda each: -len(each[1]))
        return [(name, "; ".join(why)) for name, why in found]

    def notes(self, root: Path | None = None) -> tuple[str, ...]:
        """Return one note that names the odd ones, or none."""
        odd = self.odd()
        if not odd:
            return ()
        shown = ", ".join(f"{_short(name, root)} ({why})" for name, why in odd[:_NAMED])
        more = f" and {len(odd) - _NAMED:,} more" if len(odd) > _NAMED else ""
        return (f"images unlike the others: {shown}{more}",)


def _short(name: str, root: Path | None) -> str:
    path = Path(name)
    return str(path.relative_to(root)) if root is not None and path.is_relative_to(root) else name


def _far(values: NDArray[np.float64], times: float) -> NDArray[np.bool_]:
    """Return which values are many times larger or smaller than the middle one."""
    away = np.abs(np.log(values) - np.median(np.log(values)))
    found: NDArray[np.bool_] = away > max(np.log(times), _SPREAD * np.median(away))
    return found
