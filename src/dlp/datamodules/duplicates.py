"""Exact duplicates across parts, and a fingerprint of rows."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dlp.console import say

if TYPE_CHECKING:
    from dlp.datamodules.base import Examples


def row_hashes(rows: Iterable[Any]) -> NDArray[np.uint64]:
    """Return a hash per row of bytes or contiguous arrays, uint64 (N,)."""
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def without_duplicates(parts: "dict[str, Examples]", drop: bool) -> "dict[str, Examples]":
    """Count the rows that are in two parts; return the parts, without them if `drop`.

    A duplicate is dropped from the earlier part.
    """
    unique, counts = dict(parts), []
    for earlier, later in (("train", "val"), ("train", "test"), ("val", "test")):
        if earlier not in unique or later not in unique or unique[earlier].hashes is None:
            continue
        is_double = is_among(unique[earlier].hashes, unique[later].hashes)
        if is_double.any():
            counts.append(f"{is_double.sum():,} in {later} and {earlier}")
            unique[earlier] = unique[earlier].take(np.flatnonzero(~is_double))
    if counts:
        action = "removed from the earlier part" if drop else "drop_duplicates: true removes them"
        say(f"exact duplicates: {', '.join(counts)}; {action}")
    return unique if drop else parts


def fingerprint(parts: "Iterable[Examples]") -> str:
    """Return a hash of the rows of some parts; other data or another split has another one."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        if part.hashes is not None:
            state.update(np.ascontiguousarray(part.hashes).data)
    return state.hexdigest()


def is_among(values: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return ``np.isin(values, others)``; for 4 million hashes in 0.07 s instead of 3.7 s."""
    ordered = np.sort(others)
    places = np.searchsorted(ordered, values).clip(max=max(0, len(ordered) - 1))
    return ordered[places] == values if len(ordered) else np.zeros(len(values), np.bool_)
