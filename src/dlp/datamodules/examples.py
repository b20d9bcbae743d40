"""Rows as they were read, the encoder that stores them, and what parts have in common."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.rows import Indices

#: Name of a folder or of a table of the Hub -> part.
PART_NAMES = {"train": "train", "test": "test"}
PART_NAMES |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")


@dataclass(frozen=True)
class Examples:
    """Rows as they were read.

    Args:
        inputs: N rows of one kind, `Rows`.
        targets: Values of the target column(s), (N,) or (N, T); None for unlabelled rows.
        index: Row number of each row in its file, (N,); None for all rows in order.
        names: Path or id of each row, (N,), by the column of ``predictions.csv`` that shows it.
        groups: Group of each row, (N,).
        times: Time of each row, (N,).
        hashes: Hash of each input row, uint64 (N,).
    """

    inputs: Any
    targets: NDArray[Any] | None = None
    index: NDArray[np.int64] | None = None
    names: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    groups: NDArray[Any] | None = None
    times: NDArray[Any] | None = None
    hashes: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Indices) -> "Examples":
        """Return the rows of the given numbers."""
        index = np.arange(len(self)) if self.index is None else self.index
        positions = rows.tolist()
        return Examples(
            inputs=self.inputs[rows],
            targets=_take(self.targets, rows),
            index=index[rows],
            names={name: [cells[row] for row in positions] for name, cells in self.names.items()},
            groups=_take(self.groups, rows),
            times=_take(self.times, rows),
            hashes=_take(self.hashes, rows),
        )

    def columns(self) -> dict[str, Any]:
        """Return the columns that identify the rows: number, path or id, text."""
        return {"index": self.index, **self.names, **self.inputs.columns()}

    def readable(self) -> list[str]:
        """Return a line per row as people read it: its cells, its text, its path or its numbers."""
        lines: list[str] = self.inputs.readable()
        for cells in self.names.values():
            lines = lines or [str(cell) for cell in cells]
        return lines


def _take(values: NDArray[Any] | None, rows: Indices) -> NDArray[Any] | None:
    return None if values is None else values[rows]


def row_hashes(rows: Iterable[Any]) -> NDArray[np.uint64]:
    """Return a hash per row of bytes or contiguous arrays, uint64 (N,)."""
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def without_duplicates(parts: Mapping[str, Examples], drop: bool) -> dict[str, Examples]:
    """Count the rows that are in two parts; if `drop`, remove them from the earlier part."""
    hashes = {name: part.hashes for name, part in parts.items() if part.hashes is not None}
    is_unique = {name: np.ones(len(values), np.bool_) for name, values in hashes.items()}
    counts = []
    names = [name for name in ("train", "val", "test") if name in hashes]
    for earlier, later in combinations(names, 2):
        is_double = np.isin(hashes[earlier], hashes[later])
        is_unique[earlier] &= ~is_double
        if count := is_double.sum():
            counts.append(f"{count:,} in {later} and {earlier}")
    if counts:
        action = "removed from the earlier part" if drop else "drop_duplicates: true removes them"
        say(f"exact duplicates of inputs: {', '.join(counts)}; {action}")
    rows = {name: np.flatnonzero(mask) for name, mask in is_unique.items()} if drop else {}
    return {name: part.take(rows[name]) if name in rows else part for name, part in parts.items()}


def count_shared_groups(parts: Mapping[str, Examples]) -> int:
    """Return the number of groups of the test part that are also trained or validated on."""
    groups = {n: {*p.groups.tolist()} for n, p in parts.items() if p.groups is not None}
    return len(groups.get("test", set()) & (groups.get("train", set()) | groups.get("val", set())))
