"""The columns of a large Parquet file, read when they are looked at.

Parquet keeps each column by itself: 10 million numbers are read in 0.04 s, less time than picking
rows of them takes. So a large table need not stand in memory beside the matrix that is made of it,
nor once more for each part. Columns of texts, dates and the like do: what their cells mean is
worked out once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.errors import InputError
from dlp.table_places import TableRows

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: A file whose numbers take no more bytes than this is read whole: opening it takes time, too.
IN_MEMORY = 1 << 28
#: Numbers that are read at once.
_PIECE = 1 << 16


@dataclass(frozen=True)
class ParquetColumns:
    """Some rows of a Parquet file: ``rows[name]`` is a column, as that of a data frame.

    Args:
        path: The file.
        metadata: What its end says of it.
        stamp: Size and time of its last change.
        columns: The names of all columns, in order.
        index: The numbers of the rows in the file.
        kept: The columns that stand in memory, with all rows of the file.
        marks: Numbers that mean "missing".
    """

    path: Path
    metadata: "pq.FileMetaData"
    stamp: tuple[int, int]
    columns: Sequence[str]
    index: "pd.Index[int]"
    kept: pd.DataFrame
    marks: "pd.Series[Any] | None" = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.index)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the columns."""
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a column."""
        return name in self.columns

    def __getitem__(self, name: str) -> "pd.Series[Any]":
        """Return a column; numbers are read anew.

        Raises:
            InputError: The file was changed after it was first looked at.
        """
        if name not in self.columns:
            raise KeyError(name)
        if name in self.kept:
            return self.kept[name] if self._is_whole else self.kept[name].iloc[self._rows]
        values = self._read(name)
        some = values if self._is_whole else values[self._rows]
        return without_marks(pd.Series(some, self.index, name=name, copy=False), self.marks)

    @property
    def numbers(self) -> list[str]:
        """The names of the columns that are read anew."""
        return [name for name in self.columns if name not in self.kept]

    def only(self, names: Sequence[str]) -> "ParquetColumns":
        """Return some of the columns."""
        return replace(self, columns=list(names))

    def chosen(self, rows: NDArray[np.int64]) -> "ParquetColumns":
        """Return the rows at these positions."""
        return replace(self, index=self.index[rows])

    def in_memory(self) -> pd.DataFrame:
        """Return all of it as a data frame."""
        return pd.DataFrame({name: self[name] for name in self.columns}, self.index, copy=False)

    @property
    def _is_whole(self) -> bool:
        return isinstance(self.index, pd.RangeIndex)

    @property
    def _rows(self) -> NDArray[np.int64]:
        return self.index.to_numpy(np.int64)

    def _read(self, name: str) -> NDArray[Any]:
        """Return the numbers of all rows of the file, (N,): read piece by piece."""
        import pyarrow.parquet as pq

        if _stamp(self.path) != self.stamp:
            raise InputError(f"{self.path} was changed while it was used. Start again.")
        with pq.ParquetFile(self.path, metadata=self.metadata) as file:
            start, values = 0, np.empty(0)
            for batch in file.iter_batches(_PIECE, columns=[name], use_threads=False):
                piece = batch.column(name).to_numpy(zero_copy_only=False)
                if not start:
                    values = np.empty(self.metadata.num_rows, piece.dtype)
                if piece.dtype.kind == "f" and values.dtype.kind != "f":  # holes in whole numbers
                    values = values.astype(piece.dtype)
                values[start : start + len(piece)] = piece
                start += len(piece)
        return values


def read_parquet(path: Path) -> pd.DataFrame | ParquetColumns:
    """Return a Parquet file: a data frame, or where its numbers would fill memory its columns.

    Raises:
        InputError: Two columns have one name, or there is no row.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as opened:
        file = pq.ParquetFile(opened)
        names = [str(name) for name in file.schema_arrow.names]
        for name in names:  # before it is read, which twins would end in Arrow's own words
            if names.count(name) > 1:
                raise twice(path, name)
        rows = file.metadata.num_rows
        if not rows:
            raise InputError(f"{path} has no row.")
        kinds = zip(names, file.schema_arrow.types, strict=True)
        numbers = {name for name, kind in kinds if _is_number(kind, pa.types)}
        if 8 * rows * len(numbers) <= IN_MEMORY:
            return _frame_of(file.read()).set_axis(names, axis=1)
        kept = [name for name in names if name not in numbers]
        index = pd.RangeIndex(rows, name="row")
        frame = pd.DataFrame(index=index)
        if kept:
            frame = _frame_of(file.read(kept)).set_axis(index)[kept]
        return ParquetColumns(path, file.metadata, _stamp(path), names, index, frame)


def in_memory(rows: TableRows) -> pd.DataFrame:
    """Return the rows of a table as a data frame."""
    if isinstance(rows, ParquetColumns):
        return rows.in_memory()
    assert isinstance(rows, pd.DataFrame)
    return rows


def columns_of(rows: TableRows, names: list[str]) -> TableRows:
    """Return some of the columns."""
    return rows.only(names) if isinstance(rows, ParquetColumns) else in_memory(rows).loc[:, names]


def chosen(rows: TableRows, index: NDArray[np.int64]) -> TableRows:
    """Return the rows at the positions `index`."""
    return rows.chosen(index) if isinstance(rows, ParquetColumns) else in_memory(rows).iloc[index]


def without_marks(series: "pd.Series[Any]", marks: "pd.Series[Any] | None") -> "pd.Series[Any]":
    """Return numbers; those that mean "missing" are NaN."""
    return series if marks is None or not len(marks) else series.mask(series.isin(marks))


def twice(path: Path, name: str) -> InputError:
    """Return the error for two columns of one name."""
    return InputError(
        f"{path}: two columns have the name {name!r}. Give each a name of its own, or delete one."
    )


def _frame_of(arrow: "pa.Table") -> pd.DataFrame:
    """Return a data frame: column by column, each freed when it is converted."""
    frame: pd.DataFrame = arrow.to_pandas(
        ignore_metadata=True, split_blocks=True, self_destruct=True
    )
    return frame


def _is_number(kind: "pa.DataType", types: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
