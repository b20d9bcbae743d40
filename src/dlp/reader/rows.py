"""Rows as people have them, and errors of those that cannot be read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from .encoder import Array, Cell

if TYPE_CHECKING:
    import pandas as pd

#: Numbers of the rows of a table, (N,).
RowNumbers: TypeAlias = "range | Array | pd.Index[Any]"


class ReaderError(ValueError):
    """A row or a file that cannot be read; the message is one sentence for its owner."""


class MissingCodeError(ReaderError):
    """A class or an object that a file cannot bring, and that was neither imported nor given."""


@dataclass(frozen=True)
class Columns:
    """Rows of a table as columns.

    Args:
        cells: Cells (N,) of each column by name: an array, a list or a series of pandas.
        index: Row numbers (N,), for errors.
    """

    cells: Mapping[str, Any]
    index: RowNumbers

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[dict[str, Cell]]:
        for row in zip(*self.cells.values(), strict=True):
            yield dict(zip(self.cells, row, strict=True))

    def __getitem__(self, rows: slice) -> "Columns":
        cells = {name: column[rows] for name, column in self.cells.items()}
        return Columns(cells, self.index[rows])

    def array(self, name: str) -> Array:
        """Return the cells of a column as an array, or a list of any objects."""
        cells = self.cells[name]
        array: Array = cells.to_numpy() if hasattr(cells, "to_numpy") else cells
        return array


#: Rows of a table: dictionaries by column, `Columns`, or a data frame of pandas.
Table = Any


def as_columns(rows: Table, names: Sequence[str] | None = None) -> Columns:
    """Return rows of a table as columns.

    Args:
        rows: Dictionaries by column, columns, or a data frame.
        names: Columns that are needed; None takes the columns of the first row.

    Raises:
        ValueError: If a row is not a dictionary, or lacks a column.
        ReaderError: If two columns of a data frame have the same name.
    """
    if hasattr(rows, "iloc"):
        cells = {str(name): column for name, column in rows.items()}
        if len(cells) < rows.shape[1]:
            names = list(map(str, rows))
            twice = next(name for name in names if names.count(name) > 1)
            raise ReaderError(f"the rows have two columns called {twice!r}. Rename one.")
        rows = Columns(cells, rows.index)
    if isinstance(rows, Columns):
        needed = names or ()
        for name in needed:
            if name not in rows.cells:
                raise _absent(name, needed, rows.cells)
        return rows
    columns: dict[str, list[Cell]] = {name: [] for name in names or ()}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ValueError(f"a row is a dictionary by column, not {described(row)}.")
        for name in names or list(map(str, rows[0])):
            if name not in row:  # the names of a data frame may be numbers
                row = {str(key): cell for key, cell in row.items()}
            if name not in row:
                if names is None:
                    raise ValueError(f"column {name!r} of row {number} is absent.")
                raise _absent(name, names, row)
            columns.setdefault(name, []).append(row[name])
    return Columns(columns, range(len(rows)))


def described(value: object) -> str:
    """Return what an error calls a value: a text or a number itself, another object by its type."""
    if value is None or isinstance(value, str | bytes | int | float):
        return f"{value!r:.80}"
    return f"a {type(value).__name__}"


def _absent(name: str, names: Iterable[str], given: Iterable[str]) -> ValueError:
    """Return the error of a column that rows lack."""
    present = ", ".join(map(repr, given))
    return ValueError(
        f"column {name!r} is absent; the model takes {', '.join(names)}, and the rows have "
        f"{present:.300}."
    )
