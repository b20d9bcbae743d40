"""The contract of readers: rows as people have them become arrays of NumPy."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: What an encoder learned of its rows, plain values by name.
Spec = Mapping[str, Any]


class ReaderError(ValueError):
    """A row or a file that cannot be read; the message is one sentence for its owner."""


@dataclass(frozen=True)
class Columns:
    """Rows of a table as columns.

    Args:
        cells: Cells (N,) of each column, by name.
        index: Row numbers (N,), for errors.
    """

    cells: Mapping[str, Any]
    index: Any

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in zip(*self.cells.values(), strict=True):
            yield dict(zip(self.cells, row, strict=True))

    def __getitem__(self, rows: slice) -> "Columns":
        cells = {name: column[rows] for name, column in self.cells.items()}
        return Columns(cells, self.index[rows])


class Reader(ABC):
    """Reader of rows as people have them; it returns arrays of NumPy with N rows each.

    A page asks for a row in a `form`: ``columns``, ``text``, ``file`` or ``json``.

    Args:
        spec: `Encoder.spec` of the rows.
    """

    form = "json"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @abstractmethod
    def __call__(self, rows: Any) -> list[Any]:
        """Encode rows.

        Raises:
            ValueError: If a row cannot be read; the message is a sentence for its owner.
        """

    def fields(self) -> list[dict[str, Any]]:
        """Return name, kind, typical cell, categories, ... of each column."""
        return []
