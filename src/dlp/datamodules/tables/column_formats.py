"""From cells of text to columns of numbers, dates, booleans and texts, one format a column."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.tables.cell_dates import DateCells, DateStyle, look_at_dates, parsed_dates
from dlp.datamodules.tables.cell_numbers import (
    CLOCKS,
    FEW_AMOUNTS,
    Mark,
    NumberCells,
    NumberStyle,
    look_at_amounts,
    look_at_numbers,
)
from dlp.datamodules.tables.table_format import TableFormat

#: Texts that mean "missing" in many files, and are texts here unless `na_values` names them.
LIKE_MISSING = {"na", "n/a", "nan", "none", "null", "nil", "-", "--", "?", ".", "missing", "#n/a"}
_BOOLEANS = {"true": True, "false": False}
#: Larger whole numbers lose digits as float64: they are numbers of things, not amounts.
_EXACT = 2**53


@dataclass(frozen=True)
class ColumnFormat:
    """How the cells of a column are written, as plain values for a checkpoint.

    Args:
        kind: What they are; ``plain`` is a column that was no text in its file (Parquet).
        decimal: The decimal mark of numbers.
        thousands: The mark between thousands.
        unit: A currency, % or word that every number has.
        whole: Whether the numbers are whole.
        date: The style of dates.
        problem: Why cells that look like numbers or dates could not be read; they stay texts. A
            NUL stands for the place of `row`.
        advice: What to do with an input that has the problem.
        row: The row (a position) that shows the problem.
    """

    kind: Literal["number", "boolean", "date", "text", "empty", "plain"]
    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    whole: bool = False
    date: DateStyle | None = None
    problem: str = ""
    advice: str = ""
    row: int = 0

    def words(self) -> str:
        """Return what is worth saying of it."""
        if self.kind == "number":
            return NumberStyle(self.decimal, self.thousands, self.unit).words()
        if self.kind == "date" and self.date not in (None, "year first"):
            return f"written {self.date}"
        return ""

    def state(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass
class _Column:
    """A column of texts while its file is looked at as a whole."""

    cells: NDArray[np.object_]
    filled: NDArray[np.bool_]
    numbers: NumberCells | None = None
    dates: DateCells | None = None


def typed_columns(
    columns: Mapping[str, Sequence[str | None]],
    options: TableFormat,
    separator: str,
    learned: Mapping[str, ColumnFormat] | None = None,
    texts: Sequence[str] = (),
    categories: Sequence[str] = (),
) -> tuple[dict[str, "pd.Series[Any]"], dict[str, ColumnFormat]]:
    """Return columns of texts as what they are, and their formats.

    What one column leaves open, the others of its file may tell: 1.234 is a thousand in a file
    whose other columns have decimal commas.

    Args:
        columns: Of each column its cells, without blanks around them; None where one is missing.
        options: What the person says of the file.
        separator: The separator of the file, which is evidence too; empty where it has none.
        learned: The formats of the columns of the table that was trained on.
        texts: Columns that are texts whatever they hold.
        categories: Columns of which each distinct value is a category: whole numbers or texts.
    """
    learned = learned or {}
    looked: dict[str, _Column] = {}
    for name, cells in columns.items():
        array = np.array(cells, dtype=object)
        column = looked[name] = _Column(array, np.array([c is not None for c in cells], np.bool_))
        before = learned.get(name)
        if name in texts or (before is not None and before.kind in ("text", "empty")):
            continue
        _look(column, before, name not in categories)
    marks = {c.numbers.mark() for c in looked.values() if c.numbers is not None} - {""}
    orders = {c.dates.styles[0] for c in looked.values() if c.dates and c.dates.proven}
    mark: Mark = marks.pop() if len(marks) == 1 else ""
    separator = separator if not marks or mark else ";"  # both marks: nothing goes without saying
    order = orders.pop() if len(orders) == 1 else None
    typed: dict[str, pd.Series[Any]] = {}
    formats: dict[str, ColumnFormat] = {}
    for name, column in looked.items():
        style = _Decision(options, separator, mark, order, learned.get(name))
        typed[name], found = style.typed(column)
        before = learned.get(name)
        whole = found.whole or (before is not None and before.whole)
        kept = found.kind == "boolean" or (found.kind == "number" and whole)
        if name in categories and not kept:
            typed[name], found = _texts(column), ColumnFormat("text")
        formats[name] = found
    return typed, formats


def _look(column: _Column, before: ColumnFormat | None, amounts: bool) -> None:
    """Look at the cells as numbers and dates, as far as they are anything like that.

    Args:
        column: The column, to be filled.
        before: Its format in the table that was trained on.
        amounts: Whether 12 kg and 1:30 may be numbers.
    """
    cells = list(dict.fromkeys(column.cells[column.filled].tolist()))
    if not cells or {cell.lower() for cell in cells} <= set(_BOOLEANS):
        return
    places = {cell: number for number, cell in enumerate(cells)}
    every = np.array([places[cell] for cell in column.cells[column.filled]])
    dates = look_at_dates(cells)
    if before is not None and before.kind == "number" and dates.styles == ("YYYYMMDD",):
        dates = DateCells((), 0.0, 0)
    if dates.dates:
        bad = int(np.flatnonzero(every == dates.bad)[0]) if dates.bad else 0
        column.dates = replace(dates, bad=bad)
    if dates.styles:
        return
    known = before is not None and before.kind == "number"
    many = len(cells) > FEW_AMOUNTS or 2 * len(cells) > len(every)
    found = look_at_amounts(cells) if amounts and (known or many) else look_at_numbers(cells)
    if found.whole and (abs(found.readings[0][1]) >= _EXACT).any():
        return
    column.numbers = NumberCells(
        [(style, values[every]) for style, values in found.readings],
        found.bad[every],
        found.units,
        found.whole,
    )


@dataclass
class _Decision:
    """What decides a column: what the person says, its file, and the table trained on."""

    options: TableFormat
    separator: str
    mark: Mark
    order: DateStyle | None
    before: ColumnFormat | None

    def typed(self, column: _Column) -> tuple["pd.Series[Any]", ColumnFormat]:
        """Return the values of a column and its format."""
        if not column.filled.any():
            return pd.Series(np.full(len(column.cells), np.nan)), ColumnFormat("empty")
        if column.dates is None and column.numbers is None:
            lower = {str(cell).lower() for cell in column.cells[column.filled]}
            wanted = self.before is None or self.before.kind == "boolean"
            if lower <= set(_BOOLEANS) and wanted:
                return self._booleans(column), ColumnFormat("boolean")
            return _texts(column), ColumnFormat("text")
        if column.dates is not None and column.dates.styles:
            return self._dates(column, column.dates)
        if column.numbers is not None and column.numbers.readings:
            return self._numbers(column, column.numbers)
        return _texts(column), self._mixed(column)

    def _booleans(self, column: _Column) -> "pd.Series[Any]":
        values = [None if c is None else _BOOLEANS[str(c).lower()] for c in column.cells]
        return pd.Series(values, dtype=bool if column.filled.all() else object)

    def _dates(self, column: _Column, dates: DateCells) -> tuple["pd.Series[Any]", ColumnFormat]:
        style: DateStyle | None = dates.styles[0]
        if len(dates.styles) == 2:
            style = self.order or (None if self.before is None else self.before.date)
            if self.options.day_first is not None:
                style = "day first" if self.options.day_first else "month first"
            style = style if style in dates.styles else None
            style = style or (dates.styles[0] if dates.same else None)
        filled = column.cells[column.filled]
        if style is None:
            problem = (
                f"holds dates such as {filled[0]!r}, whose day may stand first or second: say "
                "which by table_format: {day_first: true} or {day_first: false}"
            )
            return _texts(column), ColumnFormat("text", problem=problem)
        values = np.full(len(column.cells), "NaT", dtype="datetime64[us]")
        values[column.filled] = parsed_dates(filled.tolist(), style)
        return pd.Series(values), ColumnFormat("date", date=style)

    def _numbers(
        self, column: _Column, numbers: NumberCells
    ) -> tuple["pd.Series[Any]", ColumnFormat]:
        if len(numbers.units) > 1:
            shown = " and ".join(unit or "no unit" for unit in sorted(numbers.units))
            problem = f"holds numbers in {shown}: write all of them in one unit"
            return _texts(column), ColumnFormat("text", problem=problem)
        style, filled = numbers.readings[0]
        if len(numbers.readings) > 1:
            chosen = self._decided(column, numbers)
            if chosen is None:
                cells = column.cells[column.filled]
                shown = next(cell for cell in cells if "." in cell or "," in cell)
                row = list(cells).index(shown)
                one, other = (values[row] for _, values in numbers.readings[:2])
                problem = (
                    f"holds {shown!r}, which may be {one:.12g} or {other:.12g}: say what the "
                    "decimal mark is, by table_format: {decimal: '.'} or {decimal: ','}"
                )
                return _texts(column), ColumnFormat("text", problem=problem)
            style, filled = chosen
        if (unlike := self._unlike_training(style, filled)) is not None:
            return _texts(column), ColumnFormat("text", problem=unlike)
        whole = bool(numbers.whole and np.all(filled % 1 == 0) and np.all(abs(filled) < _EXACT))
        values = np.full(len(column.cells), np.nan)
        values[column.filled] = filled
        series = pd.Series(values.astype(np.int64) if whole and column.filled.all() else values)
        return series, ColumnFormat("number", style.decimal, style.thousands, style.unit, whole)

    def _decided(
        self, column: _Column, numbers: NumberCells
    ) -> tuple[NumberStyle, NDArray[np.float64]] | None:
        """Return the one of two readings that something speaks for."""
        by_mark = {style.decimal: (style, values) for style, values in reversed(numbers.readings)}
        mark = self.mark if self.options.decimal is None else self.options.decimal
        if mark in by_mark:
            return by_mark[mark]
        before = self.before
        marked = before is not None and (before.thousands in (".", ",") or before.decimal == ",")
        if before is not None and marked and (self.separator, before.decimal) != (",", ","):
            return by_mark.get(before.decimal)
        if self.separator == ";" or marked:
            return None
        cells = [str(cell) for cell in column.cells[column.filled]]
        if not any("," in cell for cell in cells):  # 1.234: as every program writes numbers
            return by_mark.get(".")
        plain = [abs(float(c)) < 1000 for c in cells if c.lstrip("+-").isdigit()]
        if plain and all(plain):  # 1,234 and 980: every number above a thousand has its comma
            return by_mark.get(".")
        return None

    def _unlike_training(self, style: NumberStyle, values: NDArray[np.float64]) -> str | None:
        """Return what is wrong with numbers, beside the table that was trained on."""
        if self.before is not None and self.before.kind == "boolean":
            if set(np.unique(values)) <= {0.0, 1.0}:
                return None
            return "holds other numbers than 0 and 1, and those trained on were true and false"
        if self.before is None or self.before.kind != "number" or self.before.unit == style.unit:
            return None
        one, other = self.before.unit, style.unit
        if not (one and other) and (one or other) not in ("%", *CLOCKS):
            return None  # a currency or kg that one of the two files leaves out
        return (
            f"holds numbers in {style.unit or 'no unit'}, and those that were trained on are in "
            f"{self.before.unit or 'no unit'}: write them as those were"
        )

    def _mixed(self, column: _Column) -> ColumnFormat:
        """Return the format of texts; with the problem, if most of them are something else."""
        filled = np.flatnonzero(column.filled)
        cells = column.cells[filled]
        numbers, dates = column.numbers, column.dates
        if numbers is not None and 2 * numbers.bad.sum() < len(cells):
            bad = numbers.bad
            row, what = int(filled[bad.argmax()]), "numbers"
        elif dates is not None and 2 * dates.dates > 1:
            row, what = int(filled[dates.bad]), "dates"
            bad = np.zeros(len(cells), np.bool_)
        else:
            return ColumnFormat("text")
        cell = str(column.cells[row])
        count = f" ({int(bad.sum()):,} such cells)" if bad.any() else ""
        others = {str(cell) for cell in cells[bad]} or {cell}
        if what == "dates":
            words = (
                f"holds dates, but {cell!r} in \0 is none, or written in another way: write all "
            )
            problem = f"{words}as 2024-01-31, years with four digits"
            return ColumnFormat("text", problem=problem, row=row)
        advice = (
            "Correct it, leave it empty (see missing), or list the column in categorical_columns"
        )
        if all(other.lower() in LIKE_MISSING for other in others):
            words = ", ".join(f"'{other}'" for other in sorted(others))
            advice = f"If that means missing, say table_format: {{na_values: [{words}]}}"
        problem = f"holds {what}, but {cell!r} in \0 is none{count}"
        return ColumnFormat("text", problem=problem, advice=advice, row=row)


def _texts(column: _Column) -> "pd.Series[Any]":
    return pd.Series(list(column.cells), dtype=object)


def formats_state(formats: Mapping[str, ColumnFormat]) -> dict[str, dict[str, Any]]:
    """Return formats as plain values, for a checkpoint."""
    return {name: found.state() for name, found in formats.items()}


def formats_of(state: Mapping[str, Mapping[str, Any]]) -> dict[str, ColumnFormat]:
    """Return what `formats_state` gave."""
    return {name: ColumnFormat(**found) for name, found in state.items()}
