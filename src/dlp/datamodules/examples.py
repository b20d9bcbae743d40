"""Rows as they were read, before anything is learned from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray

from dlp.datamodules.splitting.by_sorting import num_distinct

Part = Literal["train", "val", "test", "predict"]


@dataclass(frozen=True)
class Examples:
    """Rows as they were read, before anything is learned from them.

    Args:
        rows: The inputs, in whatever form the DataModule's `encode` takes.
        targets: What stands in the target column(s), (N,) or (N, T); None if unlabelled.
        hashes: One number a row, equal for equal inputs, uint64 (N,): finds duplicates.
        names: What people call each row, (N,): the path of its file.
        num_val: The last so many rows are a validation part of the set's own.
        groups: The group of each row, (N,), where no group may stand in two parts.
        times: The time of each row, numbers (N,), where parts follow each other in time.
        places: The number of each row in the file it was read from, from 0, (N,); None where the
            rows are those of the file in its order.
        ids: What stands in the column that says which row is which, (N,).
        truth: What stands in the target column(s) of rows to predict, (N,) or (N, T).
    """

    rows: Any
    targets: NDArray[Any] | None = None
    hashes: NDArray[np.uint64] | None = None
    names: Sequence[str] | None = None
    num_val: int = 0
    groups: NDArray[Any] | None = None
    times: NDArray[Any] | None = None
    places: NDArray[np.int64] | None = None
    ids: NDArray[Any] | None = None
    truth: NDArray[Any] | None = None

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def repeated(self) -> int:
        """Return how many rows have the inputs of an earlier one, where that can be told."""
        return 0 if self.hashes is None else len(self.hashes) - num_distinct(self.hashes)

    def fingerprint(self) -> str:
        """Return one word for targets, and for inputs where they have hashes."""
        found = xxhash.xxh3_64()
        if self.hashes is not None:
            found.update(np.ascontiguousarray(self.hashes).data)
        if self.targets is not None:
            values = self.targets
            words = values.dtype.kind in "OU"
            found.update(repr(values.tolist()).encode() if words else values.tobytes())
        return f"{self.count} rows, {found.hexdigest()}"

    def chosen(self, index: NDArray[np.int64], rows: Any) -> "Examples":
        """Return the examples numbered `index`, whose inputs are `rows`.

        Of a validation part of the set's own, what is left of it stays one.
        """

        def some(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values[index]

        return Examples(
            rows,
            some(self.targets),
            some(self.hashes),
            None if self.names is None else [self.names[number] for number in index.tolist()],
            num_val=int((index >= self.count - self.num_val).sum()),
            groups=some(self.groups),
            times=some(self.times),
            places=index if self.places is None else self.places[index],
            ids=some(self.ids),
            truth=some(self.truth),
        )


def sample_rows(targets: NDArray[Any] | None, num_rows: int, size: int) -> NDArray[np.int64]:
    """Return about `size` row numbers spread evenly, and the first row of every class.

    Sets come sorted by label: the first rows would be of one class.
    """
    spread = np.linspace(0, num_rows - 1, min(size, num_rows)).astype(np.int64)
    if targets is None or targets.ndim > 1:
        return np.unique(spread)
    values, first = np.unique(targets, return_index=True)
    return np.union1d(spread, first) if len(values) <= size else np.unique(spread)
