"""Exact duplicates that stand in two parts: counted in one printed line, removed if asked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.splits import Parts


def without_duplicates(
    parts: Parts, digests: NDArray[np.uint64], test: NDArray[np.uint64] | None, drop: bool
) -> Parts:
    """Return the parts without the rows that also stand in a later one, if `drop`; count them.

    Args:
        parts: The parts of the labelled rows.
        digests: One number a labelled row, equal for equal rows, (N,).
        test: The same of the rows of the test part; None where there is none.
        drop: Remove from the training part what also stands in the validation or test part, and
            from the validation part what also stands in the test part.
    """
    train, val = digests[parts.train], digests[parts.val]
    test = np.empty(0, np.uint64) if test is None else test
    counts = {
        "validation and training": int(np.isin(val, train).sum()),
        "test and training": int(np.isin(test, train).sum()),
        "test and validation": int(np.isin(test, val).sum()),
    }
    found = ", ".join(f"{count:,} in both {name}" for name, count in counts.items() if count)
    if not found:
        return parts
    if not drop:
        say(f"exact duplicates across parts: {found}; drop_duplicates: true removes them")
        return parts
    say(f"exact duplicates across parts: {found}; the copies outside the later part are dropped")
    kept = ~np.isin(train, np.concatenate([val, test]))
    return replace(parts, train=parts.train[kept], val=parts.val[~np.isin(val, test)])


def row_digests(rows: Sequence[Any] | NDArray[Any]) -> NDArray[np.uint64]:
    """Return one number a row of an array, equal for equal rows."""
    digests = (xxhash.xxh3_64_intdigest(np.ascontiguousarray(row).data) for row in rows)
    return np.fromiter(digests, np.uint64, len(rows))
