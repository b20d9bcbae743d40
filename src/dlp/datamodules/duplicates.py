"""Exact duplicates across parts, and a fingerprint of rows."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.examples import Examples


def row_hashes(rows: Iterable[Any]) -> NDArray[np.uint64]:
    """Return a hash per row of bytes or contiguous arrays, uint64 (N,)."""
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def without_duplicates(parts: Mapping[str, Examples], drop: bool) -> dict[str, Examples]:
    """Count the rows that are in two parts; return the parts, without them if `drop`.

    A duplicate is dropped from the earlier part.
    """
    hashes = {name: part.hashes for name, part in parts.items() if part.hashes is not None}
    unique = {name: np.ones(len(values), np.bool_) for name, values in hashes.items()}
    counts = []
    for earlier, later in (("train", "val"), ("train", "test"), ("val", "test")):
        if earlier in hashes and later in hashes:
            is_double = is_among(hashes[earlier], hashes[later])
            unique[earlier] &= ~is_double
            if is_double.any():
                counts.append(f"{is_double.sum():,} in {later} and {earlier}")
    if counts:
        action = "removed from the earlier part" if drop else "drop_duplicates: true removes them"
        say(f"exact duplicates: {', '.join(counts)}; {action}")
    if not drop:
        return dict(parts)
    rows = {name: np.flatnonzero(is_unique) for name, is_unique in unique.items()}
    return {name: part.take(rows[name]) if name in rows else part for name, part in parts.items()}


def is_among(values: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return ``np.isin(values, others)``; for 4 million hashes in 0.9 s instead of 2.1 s."""
    order, ordered = np.argsort(values), np.sort(others)
    wanted = values[order]  # neighbours are searched in neighbouring places
    places = np.searchsorted(ordered, wanted).clip(max=len(ordered) - 1)
    result = np.empty(len(values), np.bool_)
    result[order] = ordered[places] == wanted
    return result


def fingerprint(parts: Iterable[Examples]) -> str:
    """Return a hash of the rows of some parts; other data or another split has another one."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(f"{len(part)} rows".encode())
        for values in (part.index, part.hashes):
            if values is not None:
                state.update(np.ascontiguousarray(values).data)
    return state.hexdigest()
