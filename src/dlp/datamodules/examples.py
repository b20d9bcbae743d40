"""Rows as they were read, and the encoder that turns them into stored rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.batches import StoredRows
from dlp.datamodules.splits import Indices


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
        """Return the number of rows, N."""
        return len(self.inputs)

    def take(self, rows: Indices) -> "Examples":
        """Return the rows of the given numbers."""
        index = np.arange(len(self)) if self.index is None else self.index
        inputs = self.inputs.iloc[rows] if hasattr(self.inputs, "iloc") else self.inputs[rows]
        names = None if self.names is None else [self.names[row] for row in rows.tolist()]
        fields = {name: getattr(self, name) for name in ("targets", "groups", "times", "hashes")}
        fields = {name: None if f is None else f[rows] for name, f in fields.items()}
        return Examples(inputs, index=index[rows], names=names, **fields)


class Encoder(Protocol):
    """Encoder of rows into the stored form that batches are sliced from.

    It learns from the training part alone; each split has a new copy.
    """

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded row, once it is fitted."""

    def fit(self, inputs: Any, targets: NDArray[Any]) -> None:
        """Learn from the rows of the training part."""

    def transform(self, inputs: Any) -> StoredRows:
        """Encode rows."""

    def state(self) -> dict[str, Any]:
        """Return what was learned as plain values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a `state`."""
