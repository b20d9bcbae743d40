"""The columns of a large Parquet file, read when they are looked at.

Parquet keeps each column by itself: 10 million numbers are read in 0.04 s, less time than picking
rows of them takes. So a large table need not stand in memory beside the matrix that is made of it,
nor once more for each part. Long texts are taken out of it a few at a time. Other columns, of
categories, dates and the like, do stand in memory: what their cells mean is worked out once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.tables.column_values import text_cells, without_marks
from dlp.errors import InputError
from dlp.table_places import TableRows

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: A file whose numbers and long texts take no more bytes is read whole: opening takes time, too.
IN_MEMORY = 1 << 28
#: Bytes that a text takes beside its characters.
_TEXT = 1 << 6
#: Numbers that are read at once, and texts.
_PIECE, _TEXTS = 1 << 16, 1 << 12


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
        texts: The columns of long texts, which are read in the order of the file.
        na_values: What means "missing".
    """

    path: Path
    metadata: "pq.FileMetaData"
    stamp: tuple[int, int]
    columns: Sequence[str]
    index: "pd.Index[int]"
    kept: pd.DataFrame
    texts: Sequence[str] = ()
    na_values: Sequence[str] = ()

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
        """Return a column; what does not stand in memory is read anew.

        Raises:
            InputError: The file was changed after it was first looked at.
        """
        if name not in self.columns:
            raise KeyError(name)
        if name in self.kept:
            return self.kept[name] if self._is_whole else self.kept[name].iloc[self._rows]
        if name in self.texts:
            texts: pd.Series[Any] = pd.concat([*self.pieces(name)])
            return texts
        values = self._read(name)
        some = values if self._is_whole else values[self._rows]
        return without_marks(pd.Series(some, self.index, name=name, copy=False), self.na_values)

    def pieces(self, name: str) -> Iterator["pd.Series[Any]"]:
        """Yield a column of long texts, some rows at a time.

        Raises:
            InputError: The file was changed after it was first looked at.
        """
        start, rows = 0, self._rows
        for values in self._batches(name, _TEXTS):
            first, last = np.searchsorted(rows, [start, start + len(values)])
            some = values[rows[first:last] - start]
            series = pd.Series(some, self.index[first:last], name=name, dtype=object)
            yield text_cells(series, self.na_values, as_they_are=True)
            start += len(values)

    def lacks(self, name: str) -> bool:
        """Return whether the file says, without being read, that cells of a column are missing."""
        known = [chunk.statistics for chunk in _chunks(self.metadata, name)]
        return self._is_whole and any(found is not None and found.null_count for found in known)

    @property
    def numbers(self) -> list[str]:
        """The names of the columns of numbers, which are read anew."""
        return [name for name in self.columns if name not in self.kept and name not in self.texts]

    def only(self, names: Sequence[str]) -> "ParquetColumns":
        """Return some of the columns."""
        return replace(self, columns=list(names))

    def chosen(self, rows: NDArray[np.int64]) -> "ParquetColumns":
        """Return the rows at these positions; beside long texts they must ascend."""
        index = self.index[rows]
        if self.texts and not index.is_monotonic_increasing:
            raise ValueError("rows of long texts are chosen in the order of their file")
        return replace(self, index=index)

    def in_memory(self) -> pd.DataFrame:
        """Return all of it as a data frame."""
        return pd.DataFrame({name: self[name] for name in self.columns}, self.index, copy=False)

    @property
    def _is_whole(self) -> bool:
        # Of chosen rows that are equally spaced, too, pandas makes a RangeIndex.
        every = pd.RangeIndex(self.metadata.num_rows)
        return isinstance(self.index, pd.RangeIndex) and self.index.equals(every)

    @property
    def _rows(self) -> NDArray[np.int64]:
        return self.index.to_numpy(np.int64)

    def _read(self, name: str) -> NDArray[Any]:
        """Return the numbers of all rows of the file, (N,): read piece by piece."""
        start, values = 0, np.empty(0)
        for piece in self._batches(name, _PIECE):
            if not start:
                values = np.empty(self.metadata.num_rows, piece.dtype)
            if piece.dtype.kind == "f" and values.dtype.kind != "f":  # holes in whole numbers
                values = values.astype(piece.dtype)
            values[start : start + len(piece)] = piece
            start += len(piece)
        return values

    def _batches(self, name: str, size: int) -> Iterator[NDArray[Any]]:
        """Yield the cells of all rows of the file, `size` at a time.

        Raises:
            InputError: The file was changed after it was first looked at, or is damaged.
        """
        import pyarrow.parquet as pq

        if _stamp(self.path) != self.stamp:
            raise InputError(f"{self.path} was changed while it was used. Start again.")
        # As it comes: by default all of a column stands in memory, packed, until the last is read.
        how = {"pre_buffer": False, "buffer_size": 1 << 20}
        try:
            with pq.ParquetFile(self.path, metadata=self.metadata, **how) as file:
                for batch in file.iter_batches(size, columns=[name], use_threads=False):
                    yield batch.column(name).to_numpy(zero_copy_only=False)
        except (OSError, ValueError) as error:  # Arrow's own among them
            raise InputError(f"{self.path} cannot be read: {str(error).strip(' .')}.") from error


def read_parquet(path: Path, texts: Sequence[str] = ()) -> pd.DataFrame | ParquetColumns:
    """Return a Parquet file: a data frame, or where that would fill memory its columns.

    Args:
        path: The file.
        texts: Columns that may hold long texts.

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
        kinds = dict(zip(names, file.schema_arrow.types, strict=True))
        numbers = {name for name in names if _is_number(kinds[name], pa.types)}
        long = [name for name in texts if name in kinds and _is_text(kinds[name], pa.types)]
        size = rows * (8 * len(numbers) + _TEXT * len(long))
        for name in long:
            size += sum(chunk.total_uncompressed_size for chunk in _chunks(file.metadata, name))
        if size <= IN_MEMORY:
            return _frame_of(file.read()).set_axis(names, axis=1)
        kept = [name for name in names if name not in numbers and name not in long]
        index = pd.RangeIndex(rows, name="row")
        frame = pd.DataFrame(index=index)
        if kept:
            frame = _frame_of(file.read(kept)).set_axis(index)[kept]
        return ParquetColumns(path, file.metadata, _stamp(path), names, index, frame, long)


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


def pieces(rows: TableRows, name: str) -> Iterator["pd.Series[Any]"]:
    """Yield a column, some rows at a time."""
    if isinstance(rows, ParquetColumns) and name in rows.texts:
        yield from rows.pieces(name)
        return
    column = rows[name]
    for start in range(0, len(column), _TEXTS):
        yield column.iloc[start : start + _TEXTS]


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


def _chunks(metadata: "pq.FileMetaData", name: str) -> list["pq.ColumnChunkMetaData"]:
    """Return what a file says of a column, for each group of rows."""
    at = [n for n in range(metadata.num_columns) if metadata.schema.column(n).path == name]
    return [metadata.row_group(n).column(i) for n in range(metadata.num_row_groups) for i in at]


def _is_number(kind: "pa.DataType", types: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_text(kind: "pa.DataType", types: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
