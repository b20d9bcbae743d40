"""Encoded rows as the source of batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

#: Inputs of a network for some rows: what it takes, a tensor or a tuple such as a `BagOfWords`.
Batch = Any


class StoredRows(ABC):
    """Encoded rows that become batches when they are served.

    A kind of row whose encoded rows are one tensor needs no such class, see `TensorRows`. A batch
    is taken in two steps: `select` returns it as it is stored, `expand` turns it into the inputs of
    the network. In between it goes to the device, so that images travel as bytes.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def select(self, index: Tensor) -> Batch:
        """Return the rows of the given indices, (B,), as they are stored."""

    def expand(self, batch: Batch) -> Batch:
        """Return the inputs of the network for the result of `select`, on its device."""
        return batch

    def __getitem__(self, index: Tensor) -> Batch:
        """Return the inputs of the network for the rows of the given indices, (B,)."""
        return self.expand(self.select(index))

    def select_each(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Batch]]:
        """Yield the indices of each batch and the result of `select`.

        Rows override it if several batches cost less at once than one after the other.
        """
        for index in indices:
            yield index, self.select(index)


#: Encoded rows of a part.
Stored = Tensor | StoredRows


@dataclass(eq=False)
class TensorRows(StoredRows):
    """Rows of a tensor, (N, ...)."""

    tensor: Tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def select(self, index: Tensor) -> Tensor:
        """Return a batch."""
        return self.tensor.index_select(0, index)  # half the time of tensor[index]


def stored_rows(inputs: Stored) -> StoredRows:
    """Return encoded rows as `StoredRows`."""
    if isinstance(inputs, Tensor):
        return TensorRows(inputs)
    return inputs
