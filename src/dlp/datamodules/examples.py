"""Rows as they were read, the encoder that stores them, and what parts have in common."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.batches import StoredRows
from dlp.datamodules.splits import Indices

#: Name of a folder or of a table of the Hub -> part.
PART_NAMES = {"train": "train", "test": "test"}
PART_NAMES |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")


@dataclass(frozen=True)
class Examples:
    """Rows as they were read.

    Args:
        inputs: A data frame, texts, images or an array of N rows.
        targets: Values of the target column(s), (N,) or (N, T); None for unlabelled rows.
        index: Row number of each row in its file, (N,); None for all rows in order.
        names: Path or id of each row, (N,).
        groups: Group of each row, (N,).
        times: Time of each row, (N,).
        hashes: Hash of each input row, uint64 (N,).
    """

    inputs: Any
    targets: NDArray[Any] | None = None
    index: NDArray[np.int64] | None = None
    names: Sequence[Any] | None = None
    groups: NDArray[Any] | None = None
    times: NDArray[Any] | None = None
    hashes: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Indices) -> "Examples":
        """Return the rows of the given numbers."""
        index = np.arange(len(self)) if self.index is None else self.index
        inputs = self.inputs.iloc[rows] if hasattr(self.inputs, "iloc") else self.inputs[rows]
        names = None if self.names is None else [self.names[row] for row in rows.tolist()]
        fields = {name: getattr(self, name) for name in ("targets", "groups", "times", "hashes")}
        fields = {name: None if f is None else f[rows] for name, f in fields.items()}
        return Examples(inputs, index=index[rows], names=names, **fields)


class Encoder(ABC):
    """Encoder of rows into the stored form that batches are sliced from.

    It learns from the training part alone; each split has a new copy. Its attributes are plain
    values: `fit` sets `input_shape`, the shape of one encoded row.
    """

    input_shape: tuple[int, ...] = ()

    @abstractmethod
    def fit(self, inputs: Any, targets: NDArray[Any]) -> None:
        """Learn from the rows of the training part."""

    @abstractmethod
    def transform(self, inputs: Any) -> StoredRows:
        """Encode rows."""

    def state(self) -> dict[str, Any]:
        """Return what was learned as plain values."""
        return dict(vars(self))

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a `state`."""
        vars(self).update(state)


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
