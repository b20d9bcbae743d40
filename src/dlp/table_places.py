"""Where a row or a column of a table stands, in words and numbers, and which cells are empty.

The index of a frame says it: ``row``, or ``line`` and ``row`` for a file of lines.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.errors import MissingInputError, suggestion


class TableRows(Protocol):
    """Rows of a table whose columns are looked at one by one: a data frame, or what reads them."""

    @property
    def columns(self) -> Any:
        """The names of the columns, in order."""
        ...

    @property
    def index(self) -> "pd.Index[Any]":
        """Where each row stands."""
        ...

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Yield the names of the columns."""
        ...

    def __contains__(self, name: Any, /) -> bool:
        """Return whether there is such a column."""
        ...

    def __getitem__(self, name: str, /) -> "pd.Series[Any]":
        """Return a column."""
        ...


def line_index(lines: Sequence[int], rows: Sequence[int] | None = None) -> pd.MultiIndex:
    """Return the index of rows that begin in these lines of their file, from 1.

    Args:
        lines: The lines.
        rows: The number of each row in the file, from 0; by default they follow each other.
    """
    rows = range(len(lines)) if rows is None else rows
    return pd.MultiIndex.from_arrays([np.array(lines), np.array(rows)], names=["line", "row"])


def place(rows: "TableRows | pd.Series[Any]", number: int) -> str:
    """Return where row `number` (a position) of a table stands, in words."""
    if rows.index.names[0] == "line":
        label = rows.index.get_level_values(0)[number]
        return f"line {label} of the file"
    return f"row {rows.index[number]} (counted from 0)"


def row_numbers(frame: TableRows) -> NDArray[np.int64]:
    """Return the number of each row in the file it was read from, 0 below the header, (N,)."""
    return frame.index.get_level_values(-1).to_numpy(np.int64)


def empty_cells(cells: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Return which cells hold nothing, or a text of blanks alone, (N,)."""
    empty = cells.isna().to_numpy(np.bool_)
    if pd.api.types.is_numeric_dtype(cells):
        return empty
    return empty | np.array([isinstance(c, str) and not c.strip() for c in cells], np.bool_)


def absent(what: str, name: str, columns: Iterable[str]) -> MissingInputError:
    """Return the error for a column that is not there, with the nearest one."""
    known = list(columns)
    shown = ", ".join(known[:30]) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
    more = ""
    if len(known) == 1:
        more = " If these are several, say by table_format: {separator: ...} what separates them."
    elif sum(bool(re.fullmatch(r"[-+.,\d\s]+", column)) for column in known) * 2 > len(known):
        more = (
            " The first line must name the columns; it seems to hold values. Write a header above "
            f"it, or name each column by table_format: {{header: [{name}, ...]}}."
        )
    return MissingInputError(
        f"{what}: there is no column {name!r}.{suggestion(name, known)} The columns are {shown}."
        f"{more}"
    )
