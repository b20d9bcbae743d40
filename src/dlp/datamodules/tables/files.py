"""The one reader of tables: a CSV or Parquet file becomes typed columns, and says how."""

import datetime
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlp.datamodules.tables.column_types import LIKE_MISSING, TypedColumn, typed_columns
from dlp.datamodules.tables.column_values import text_cells, without_marks
from dlp.datamodules.tables.csv_cells import CSVCells, read_cells
from dlp.datamodules.tables.parquet_columns import (
    ParquetColumns,
    in_memory,
    read_parquet,
    twice,
)
from dlp.datamodules.tables.table_format import ColumnFormat, TableFormat
from dlp.errors import InputError, MissingInputError, suggestion
from dlp.table_places import TableRows, line_index

CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
#: What pandas calls a column without a name; Arrow writes an index so.
_NAMELESS = re.compile(r"(Unnamed: \d+(\.\d+)*|__index_level_\d+__)?")


@dataclass
class Table:
    """A table as it was understood.

    Args:
        frame: Its columns: numbers, bool, datetime64, or texts (object; None where missing). Its
            index, ``row`` or ``line`` and ``row``, says where each row stands: see `place`. Of a
            large Parquet file it reads a column when it is looked at.
        source: The file and how it was read, in words.
        formats: How the cells of each column are written.
        skipped: Columns that are no data, and why: row numbers without a name, empty ones.
        notes: What else was passed over.
        examples: The first cell of each column that is not empty, as it stands in the file.
        problems: Columns whose cells could not be understood: why, and what to do with an input.
    """

    frame: TableRows
    source: str
    formats: dict[str, ColumnFormat]
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)
    problems: dict[str, tuple[str, str]] = field(default_factory=dict)

    def in_memory(self) -> pd.DataFrame:
        """Return its columns as a data frame."""
        return in_memory(self.frame)

    def check(self, columns: Iterable[str], inputs: bool = True) -> None:
        """Refuse columns whose cells could not be understood.

        Args:
            columns: Their names.
            inputs: Whether they are inputs, of which cells may be missing.

        Raises:
            InputError: There is one; column, cell and way out are named.
        """
        for name in columns:
            problem, advice = self.problems.get(name, ("", ""))
            if problem:
                advice = advice if inputs or not advice else "Correct it"
                raise InputError(f"column {name!r} {problem}.{advice and f' {advice}.'}")


def read_table(
    path: str | os.PathLike[str],
    options: TableFormat | None = None,
    learned: Mapping[str, ColumnFormat] | None = None,
    texts: Sequence[str] = (),
    categories: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Table:
    """Return the table of a CSV (also .tsv, .txt, packed by gzip) or Parquet file.

    Only the empty cell is missing, and what `options` name. Every line of a CSV must have as many
    cells as its header; no two columns may have one name.

    Args:
        path: The file.
        options: What a person says of it.
        learned: The formats of the table that was trained on, for what this file leaves open.
        texts: Columns that are texts whatever they hold, kept as they are.
        categories: Columns of which each distinct value is a category.
        classes: Columns of names of classes.

    Raises:
        MissingInputError: There is no such file.
        InputError: It cannot be read, or is no table, or has no row.
    """
    path, options = Path(path), options or TableFormat()
    name = path.name.lower()
    if not name.endswith(CSV_ENDINGS + PARQUET_ENDINGS):
        accepted = ", ".join(CSV_ENDINGS + PARQUET_ENDINGS)
        more = (
            " Save a spreadsheet as CSV UTF-8." if name.endswith((".xlsx", ".xls", ".ods")) else ""
        )
        raise InputError(f"{path} is no table by its name; accepted endings: {accepted}.{more}")
    if not path.exists():
        siblings = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise MissingInputError(
            f"there is no file {path} (looked from {Path.cwd()}).{suggestion(path.name, siblings)}"
        )
    try:
        if name.endswith(PARQUET_ENDINGS):
            rows, source = read_parquet(path, texts), f"{path.name}, Parquet"
            if isinstance(rows, ParquetColumns):
                return _of_columns(rows, source, options, learned, texts, categories, classes)
            return of_frame(rows, source, options, learned, texts, categories, classes)
        found = read_cells(path, options)
        frame, unnamed = _of_cells(path, found)
    except InputError:
        raise
    except ValueError as error:  # Arrow's own among them
        raise InputError(f"{path} cannot be read as a table: {str(error).strip(' .')}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    source = f"{path.name}, {found.dialect}"
    kinds = texts, categories, classes
    table = of_frame(frame, source, options, learned, *kinds, found.separator)
    table.skipped.update(dict.fromkeys(unnamed, "it has neither name nor value"))
    table.notes[:0] = found.notes
    return table


def _of_cells(path: Path, found: CSVCells) -> tuple[pd.DataFrame, list[str]]:
    """Return the cells of a CSV as a frame of texts, and the columns without name or value."""
    columns: dict[str, tuple[str, ...]] = {}
    unnamed: list[str] = []
    cells_of = zip(*found.rows, strict=True)
    for number, (name, cells) in enumerate(zip(found.header, cells_of, strict=True)):
        if not name:
            name = f"Unnamed: {number}"  # as pandas calls it
            if not any(cell.strip() for cell in cells):
                unnamed.append(name)
                continue
        if name in columns:
            raise twice(path, name)
        columns[name] = cells
    index = line_index(found.lines, found.numbers)
    return pd.DataFrame(columns, index=index, dtype=object), unnamed


def of_frame(
    frame: pd.DataFrame,
    source: str,
    options: TableFormat | None = None,
    learned: Mapping[str, ColumnFormat] | None = None,
    texts: Sequence[str] = (),
    categories: Sequence[str] = (),
    classes: Sequence[str] = (),
    separator: str = "",
) -> Table:
    """Return a frame as a table: its columns of texts become what they hold.

    Raises:
        InputError: A column without a name holds data.
    """
    options = options or TableFormat()
    if frame.index.nlevels == 1:
        numbered = pd.api.types.is_integer_dtype(frame.index.dtype)
        index = frame.index if numbered else pd.RangeIndex(len(frame))
        frame = frame.set_axis(index.rename("row"))
    columns: dict[str, pd.Series[Any]] = {str(name): series for name, series in frame.items()}
    cells = {
        name: text_cells(series, options.na_values, name in texts)
        for name, series in columns.items()
        if separator or _holds_texts(series)
    }
    typed = typed_columns(cells, options, separator, learned or {}, texts, categories, classes)
    typed |= {
        name: _plain(series, options.na_values, name in texts)
        for name, series in columns.items()
        if name not in typed
    }
    values = {name: typed[name].values for name in columns}
    for name, series in values.items():
        if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
            values[name] = without_marks(series, options.na_values)
    filled = {name: series.notna().to_numpy() for name, series in values.items()}
    table = Table(
        pd.DataFrame(values, index=frame.index, copy=False),
        source,
        {name: found.format for name, found in typed.items()},
        examples={
            name: str(columns[name].iloc[int(there.argmax())]) if there.any() else ""
            for name, there in filled.items()
        },
        problems={name: (c.problem, c.advice) for name, c in typed.items() if c.problem},
    )
    for name in columns:
        _look_at_nameless(table, name)
        _look_for_missing(table, name)
    return table


def _of_columns(
    rows: ParquetColumns,
    source: str,
    options: TableFormat,
    learned: Mapping[str, ColumnFormat] | None,
    texts: Sequence[str],
    categories: Sequence[str],
    classes: Sequence[str],
) -> Table:
    """Return a large Parquet file as a table: numbers and long texts do not stand in memory."""
    kept = of_frame(rows.kept, source, options, learned, texts, categories, classes)
    formats = {name: kept.formats.get(name, ColumnFormat("plain")) for name in rows}
    formats |= dict.fromkeys(rows.texts, ColumnFormat("text"))
    frame = replace(rows, kept=in_memory(kept.frame), na_values=options.na_values)
    table = replace(kept, frame=frame, formats=formats)
    for name in rows.texts:
        filled = (text for piece in frame.pieces(name) for text in piece.dropna())
        table.examples[name] = next(filled, "")
        _look_at_nameless(table, name)
    for name in rows.numbers:
        series = rows[name]
        there = without_marks(series, options.na_values).notna().to_numpy()
        table.examples[name] = str(series.iloc[int(there.argmax())]) if there.any() else ""
        _look_at_nameless(table, name)
    return table


def _holds_texts(series: "pd.Series[Any]") -> bool:
    """Return whether a column holds texts and nothing else, and is no set of categories."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return False
    if series.dtype == object:
        return all(issubclass(kind, str) for kind in set(map(type, series.dropna())))
    return pd.api.types.is_string_dtype(series)


def _plain(series: "pd.Series[Any]", na_values: Sequence[str], as_they_are: bool) -> TypedColumn:
    """Return a column that is no text: instants in UTC, durations in days, times in hours.

    A set of texts stays one, without those that mean "missing".
    """
    form = ColumnFormat("plain")
    of_categories = isinstance(series.dtype, pd.CategoricalDtype)
    if of_categories and _holds_texts(series.cat.categories.to_series()):
        return TypedColumn(text_cells(series, na_values, as_they_are).astype("category"), form)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return TypedColumn(series.dt.tz_convert("UTC").dt.tz_localize(None), form)
    if pd.api.types.is_timedelta64_dtype(series):
        return TypedColumn(series.dt.total_seconds() / 86_400, form)
    if series.dtype == object:
        kinds, values = set(map(type, series.dropna())), series.where(series.notna())
        if kinds == {Decimal}:
            return TypedColumn(values.astype(np.float64), form)
        if kinds == {datetime.time}:
            return TypedColumn(values.map(_hours, na_action="ignore").astype(np.float64), form)
        if kinds and all(issubclass(kind, datetime.date) for kind in kinds):
            return TypedColumn(pd.to_datetime(series, utc=True).dt.tz_localize(None), form)
        if kinds == {bool}:
            form = ColumnFormat("boolean")
    return TypedColumn(series, form)


def _hours(time: datetime.time) -> float:
    return time.hour + time.minute / 60 + (time.second + time.microsecond / 1e6) / 3600


def _look_at_nameless(table: Table, name: str) -> None:
    """Leave out row numbers that a program wrote as a first column without a name."""
    if not _NAMELESS.fullmatch(name):
        return
    series = table.frame[name]
    if series.nunique(dropna=False) == len(series) and table.formats[name].kind != "empty":
        table.skipped[name] = "row numbers or names that a program wrote without a name"
    elif not name.startswith("Unnamed") or table.formats[name].kind == "empty":
        table.skipped[name] = "it has no name"
    else:
        raise InputError(
            f"column {int(re.findall(r'[0-9]+', name)[0]) + 1} of {table.source} has no name, and "
            "holds data. Name it in the header, or delete it."
        )


def _look_for_missing(table: Table, name: str) -> None:
    """Note the texts that may mean "missing", such as NA."""
    if table.formats[name].kind != "text" or name in table.problems:
        return
    series = table.frame[name].dropna()
    found = sorted({cell for cell in series.unique() if cell.lower() in LIKE_MISSING})
    if found and series.nunique() <= max(20, len(series) // 2):
        words = ", ".join(repr(cell) for cell in found)
        table.notes.append(
            f"{words} in column {name!r} is a text like others; if it means missing: table_format: "
            f"{{na_values: [{words}]}}"
        )


def read_as_pandas(path: str | os.PathLike[str]) -> Table:
    """Return a table with the types that pandas gives, as runs of older versions had them."""
    path = Path(path)
    if path.name.lower().endswith(PARQUET_ENDINGS):
        frame = in_memory(read_parquet(path))
        return Table(frame.set_axis(pd.RangeIndex(len(frame), name="row")), path.name, {})
    found = read_cells(path, TableFormat())
    cells, _ = _of_cells(path, found)
    text = io.StringIO(cells.to_csv(index=False))
    frame = pd.read_csv(text, index_col=False, low_memory=False)
    return Table(frame.set_axis(cells.index), f"{path.name}, {found.dialect}", {})


def without_unlabelled(table: Table, targets: Sequence[str]) -> tuple[Table, int]:
    """Return a table without the rows that lack a target, and how many those are.

    Whole numbers that holes made floats are whole again, if the holes are gone.

    Raises:
        InputError: No row is left.
    """
    left_out = np.logical_or.reduce([table.frame[name].isna() for name in targets])
    if not left_out.any():
        return table, 0
    frame = table.in_memory().loc[~left_out].copy()
    if not len(frame):
        raise InputError(f"{table.source}: no row has a target.")
    for name, found in table.formats.items():
        if name in frame and not frame[name].isna().any():
            if found.kind == "number" and found.whole:
                frame[name] = frame[name].astype(np.int64)
            elif found.kind == "boolean":
                frame[name] = frame[name].astype(bool)
    return replace(table, frame=frame), int(left_out.sum())
