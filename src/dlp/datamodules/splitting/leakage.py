"""Exact duplicates that stand in two parts, and test rows that a run has trained on."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.splitting.by_sorting import is_among
from dlp.datamodules.splitting.splits import Parts


def without_duplicates(
    parts: Parts,
    hashes: NDArray[np.uint64],
    test: NDArray[np.uint64] | None,
    drop: bool,
    report: Callable[[str, str], None],
) -> Parts:
    """Return the parts without the rows that also stand in a later one, if `drop`; count them.

    Args:
        parts: The parts of the labelled rows.
        hashes: One number a labelled row, equal for equal rows, (N,).
        test: The same of the rows of the test part; None where there is none.
        drop: Whether to remove; else they are counted alone.
        report: Takes a name for the kind of message, and the message.
    """
    train, val = hashes[parts.train], hashes[parts.val]
    test = np.empty(0, np.uint64) if test is None else test
    counts = {
        "validation and training": int(is_among(val, train).sum()),
        "test and training": int(is_among(test, train).sum()),
        "test and validation": int(is_among(test, val).sum()),
    }
    found = ", ".join(f"{count:,} in both {name}" for name, count in counts.items() if count)
    if not found:
        return parts
    if not drop:
        advice = "drop_duplicates: true removes them"
        report("duplicates", f"exact duplicates across parts: {found}; {advice}")
        return parts
    done = "the copies outside the later part are dropped"
    report("duplicates", f"exact duplicates across parts: {found}; {done}")
    kept = ~is_among(train, np.concatenate([val, test]))
    return replace(parts, train=parts.train[kept], val=parts.val[~is_among(val, test)])


def shared_groups(labelled: NDArray[Any] | None, test: NDArray[Any] | None) -> str:
    """Return a sentence on groups of a test part that labelled rows have too; else nothing.

    Args:
        labelled: The group of each labelled row, (N,), or None.
        test: The group of each row of the test part, (M,), or None.
    """
    if test is None or labelled is None:
        return ""
    shared = len(np.intersect1d(test.astype(np.str_), labelled.astype(np.str_)))
    return f"{shared:,} groups of the test part are also trained or validated on" if shared else ""


def row_hashes(rows: Sequence[Any] | NDArray[Any]) -> NDArray[np.uint64]:
    """Return one number a row of an array, equal for equal rows."""
    hashes = (xxhash.xxh3_64_intdigest(np.ascontiguousarray(row).data) for row in rows)
    return np.fromiter(hashes, np.uint64, len(rows))


@dataclass(frozen=True)
class Seen:
    """The rows that a run has trained or validated on, for its checkpoint.

    Parts are cut anew whenever data is read. Where files came or went since, or the split is
    another, rows once trained on may fall into the test part: that is said.

    Args:
        hashes: One number a row, uint64 (N,); None where rows have none.
        in_test: How many rows of the test part had these numbers then: true duplicates.
    """

    hashes: NDArray[np.uint64] | None = None
    in_test: int = 0

    @classmethod
    def of(
        cls, parts: Parts, hashes: NDArray[np.uint64] | None, test: NDArray[np.uint64] | None
    ) -> "Seen":
        """Return what a fit on these parts sees."""
        if hashes is None:
            return cls()
        seen = hashes[np.concatenate([parts.train, parts.val])]
        return cls(seen, 0 if test is None else int(is_among(test, seen).sum()))

    @classmethod
    def of_state(cls, state: dict[str, Any] | None) -> "Seen":
        """Return what `state` gave; nothing is known of an older checkpoint."""
        if state is None or state["digests"] is None:
            return cls()
        return cls(np.frombuffer(b64decode(state["digests"]), np.uint64), state["in_test"])

    def state(self) -> dict[str, Any]:
        """Return it as plain values, for a checkpoint."""
        hashes = None if self.hashes is None else b64encode(self.hashes.tobytes()).decode()
        return {"digests": hashes, "in_test": self.in_test}

    def check_test(self, test: NDArray[np.uint64]) -> None:
        """Say how many test rows the run has seen, beside the duplicates there were."""
        if self.hashes is None:
            return
        count = int(is_among(test, self.hashes).sum())
        if count > self.in_test:
            say(
                f"{count:,} of the {len(test):,} test rows were trained or validated on in the run "
                "of this checkpoint: the data or the split is no longer that run's"
            )

    def check_resumed(self, parts: Parts, hashes: NDArray[np.uint64]) -> None:
        """Say so if the rows to go on with are not those of the run that is resumed."""
        if self.hashes is None:
            return
        rows = hashes[np.concatenate([parts.train, parts.val])]
        if np.array_equal(rows, self.hashes):  # as in every run that is not resumed
            return
        strange = int((~is_among(rows, self.hashes)).sum())
        gone = int((~is_among(self.hashes, rows)).sum())
        if strange or gone:
            say(
                "the training and validation rows are no longer those of the run that is resumed: "
                f"{strange:,} are new, {gone:,} are gone"
            )
