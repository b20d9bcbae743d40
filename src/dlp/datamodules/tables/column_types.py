"""From cells of text to columns of numbers, dates, booleans and texts, one format a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.tables.cell_dates import DateCells, look_at_dates
from dlp.datamodules.tables.cell_numbers import CLOCKS, FEW_AMOUNTS, look_at_numbers
from dlp.datamodules.tables.table_format import ColumnFormat, TableFormat
from dlp.datamodules.targets import is_name
from dlp.table_places import place

#: Texts that mean "missing" in many files, and are texts here unless `na_values` names them.
LIKE_MISSING = {"na", "n/a", "nan", "none", "null", "nil", "-", "--", "?", ".", "missing", "#n/a"}
_BOOLEANS = {"true": True, "false": False}
_MARKS, _ORDERS = {".", ","}, {"day first", "month first"}


@dataclass(frozen=True)
class TypedColumn:
    """A column with the type that its cells have.

    Args:
        values: Its values: numbers, bool, datetime64, or texts (object; None where missing).
        format: How its cells are written.
        problem: Why cells that look like numbers or dates could not be read: they stay texts.
        advice: What to do with an input that has the problem.
    """

    values: "pd.Series[Any]"
    format: ColumnFormat
    problem: str = ""
    advice: str = ""


def typed_columns(
    columns: Mapping[str, "pd.Series[Any]"],
    options: TableFormat,
    separator: str,
    learned: Mapping[str, ColumnFormat],
    texts: Sequence[str] = (),
    categories: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> dict[str, TypedColumn]:
    """Return columns of cells with the types that the cells have.

    What one column leaves open, the others of its file may tell: 1.234 is a thousand in a file
    whose other columns have decimal commas. Where the columns that were trained on were written in
    two ways, none tells of another that can be read as it was.

    Args:
        columns: Of each column its cells, without blanks around them; None where one is missing.
        options: What the person says of the file.
        separator: The separator of the file, which is evidence too; empty where it has none.
        learned: The formats of the columns of the table that was trained on.
        texts: Columns that are texts whatever they hold.
        categories: Columns of which each distinct value is a category: whole numbers or texts.
        classes: Columns of names of classes: texts if one is written as numbers are not, like 1.10.
    """
    looked = {
        name: _looked_at(cells, learned.get(name), name in texts, name not in categories)
        for name, cells in columns.items()
    }
    told = {name: _told_by(form) for name, form in learned.items()}
    differ = [both for both in (_MARKS, _ORDERS) if both <= set(told.values())]
    for name, column in looked.items():
        if any(told.get(name) in both for both in differ):
            column.read_as(learned[name])
    proven = {column.proves for column in looked.values()}
    marks, orders = proven & _MARKS, proven & _ORDERS
    decimal, day_first = options.decimal, options.day_first
    if decimal is None and len(marks) == 1:
        decimal = "," if "," in marks else "."
    if day_first is None and len(orders) == 1:
        day_first = "day first" in orders
    separator = ";" if len(marks) == 2 else separator  # both marks: nothing goes without saying
    known = replace(options, separator=separator or None, decimal=decimal, day_first=day_first)
    typed: dict[str, TypedColumn] = {}
    for name, column in looked.items():
        before = learned.get(name)
        found = _decided(column, known, before)
        whole = found.format.whole or (before is not None and before.whole)
        kept = found.format.kind == "boolean" or (found.format.kind == "number" and whole)
        named = name in classes and found.format.kind == "number"
        named = named and any(map(is_name, column.cells.dropna().unique()))
        if (name in categories or named) and not kept:
            found = TypedColumn(column.cells, ColumnFormat("text"))
        typed[name] = found
    return typed


@dataclass
class _Looked:
    """What one column of cells can be, before the other columns are asked.

    Args:
        cells: Its cells.
        filled: Which are not missing, bool (N,).
        readings: Each format that all its cells allow, and the values of those that are filled.
        proves: What it tells of other columns: the decimal mark, or what stands first in dates.
        problem: Why there is no reading, though most cells look like numbers or dates.
        advice: What to do with an input that has the problem.
    """

    cells: "pd.Series[Any]"
    filled: NDArray[np.bool_]
    readings: Sequence[tuple[ColumnFormat, NDArray[Any]]] = ()
    proves: str = ""
    problem: str = ""
    advice: str = ""

    def read_as(self, before: ColumnFormat) -> None:
        """Keep the reading in the format that was trained on, if there is one."""
        for form, values in self.readings:
            same = (form.date, form.decimal) == (before.date, before.decimal)
            same = same and form.thousands in ("", before.thousands)
            if same and (not before.whole or np.all(values % 1 == 0)):
                self.readings = [(form, values)]
                return

    def texts(self, problem: str = "", advice: str = "") -> TypedColumn:
        """Return the column as the texts that it holds."""
        return TypedColumn(self.cells, ColumnFormat("text"), problem, advice)


def _looked_at(
    cells: "pd.Series[Any]", before: ColumnFormat | None, is_text: bool, amounts: bool
) -> _Looked:
    """Return what cells can be, given their format in the table that was trained on.

    They may be named texts whatever they hold, or no amounts, as 12 kg and 1:30 are.
    """
    column = _Looked(cells, cells.notna().to_numpy())
    filled = cells.to_numpy(object)[column.filled]
    if not len(filled):
        column.readings = [(ColumnFormat("empty"), filled)]
        return column
    if is_text or (before is not None and before.kind in ("text", "empty")):
        return column
    codes, distinct = pd.factorize(filled)
    texts: list[str] = distinct.tolist()
    if {text.lower() for text in texts} <= set(_BOOLEANS):
        if before is None or before.kind == "boolean":
            values = np.array([_BOOLEANS[text.lower()] for text in texts])[codes]
            column.readings = [(ColumnFormat("boolean"), values)]
        return column
    known = before is not None and before.kind == "number"
    dates = look_at_dates(texts)
    if known and dates.readings and dates.readings[0][0].date == "YYYYMMDD":
        dates = DateCells([])
    if dates.readings:
        column.readings = [(form, values[codes]) for form, values in dates.readings]
        column.proves = str(column.readings[0][0].date) if dates.proven else ""
        return column
    many = len(texts) > FEW_AMOUNTS or 2 * len(texts) > len(filled)
    numbers = look_at_numbers(texts, amounts and (known or many))
    if len(numbers.readings) == 1:
        column.proves = _told_by(numbers.readings[0][0])
    if not numbers.readings:
        _say_what_is_wrong(column, numbers.bad[codes], dates, texts)
    elif len(numbers.units) > 1:
        shown = " and ".join(unit or "no unit" for unit in sorted(numbers.units))
        column.problem = f"holds numbers in {shown}: write all of them in one unit"
    else:
        column.readings = [(form, values[codes]) for form, values in numbers.readings]
    return column


def _told_by(form: ColumnFormat) -> str:
    """Return what a column so written tells of others: the decimal mark, or the order of dates."""
    if form.kind == "date":
        return form.date if form.date in _ORDERS else ""
    if form.kind != "number" or form.unit in CLOCKS:
        return ""
    return "" if form.whole and form.thousands not in _MARKS else form.decimal


def _say_what_is_wrong(
    column: _Looked, bad: NDArray[np.bool_], dates: DateCells, distinct: list[str]
) -> None:
    """Note which cell is wrong, in a column of which most cells are numbers, or dates."""
    if 2 * bad.sum() < len(bad):
        row = int(np.flatnonzero(column.filled)[bad.argmax()])
        others = sorted(set(column.cells[column.filled][bad]))
        column.problem = (
            f"holds numbers, but {column.cells.iloc[row]!r} in {place(column.cells, row)} is none "
            f"({int(bad.sum()):,} such cells)"
        )
        column.advice = (
            "Correct it, leave it empty (see missing), or list the column in categorical_columns"
        )
        if all(other.lower() in LIKE_MISSING for other in others):
            words = ", ".join(f"'{other}'" for other in others)
            column.advice = f"If that means missing, say table_format: {{na_values: [{words}]}}"
    elif 2 * dates.share > 1:
        cell = distinct[dates.bad]
        row = int((column.cells == cell).to_numpy().argmax())
        column.problem = (
            f"holds dates, but {cell!r} in {place(column.cells, row)} is none, or written in "
            "another way: write all as 2024-01-31, years with four digits"
        )


def _decided(column: _Looked, known: TableFormat, before: ColumnFormat | None) -> TypedColumn:
    """Return a column in the format that is known of its file; as texts where nothing tells it."""
    if not column.readings:
        return column.texts(column.problem, column.advice)
    form, filled = column.readings[0]
    if len(column.readings) > 1:
        choose = _with_order if form.kind == "date" else _with_mark
        chosen = choose(column, known, before)
        if chosen is None:
            return column.texts(_two_ways(column))
        form, filled = chosen
    if form.kind == "number" and (unlike := _unlike_training(form, filled, before)) is not None:
        return column.texts(unlike)
    if form.kind == "boolean":
        values = np.full(len(column.cells), None, object)
    elif form.kind == "date":
        values = np.full(len(column.cells), "NaT", dtype="datetime64[us]")
    else:
        values = np.full(len(column.cells), np.nan)
    values[column.filled] = filled
    if column.filled.all() and (form.kind == "boolean" or form.whole):  # else they have holes
        values = values.astype(np.bool_ if form.kind == "boolean" else np.int64)
    return TypedColumn(pd.Series(values, column.cells.index), form)


def _with_order(
    column: _Looked, known: TableFormat, before: ColumnFormat | None
) -> tuple[ColumnFormat, NDArray[Any]] | None:
    """Choose whether the day or the month stands first; None where nothing tells it."""
    order = None if before is None else before.date
    if known.day_first is not None:
        order = "day first" if known.day_first else "month first"
    for form, dates in column.readings:
        if form.date == order:
            return form, dates
    (one, dates), (_, others) = column.readings
    return (one, dates) if np.array_equal(dates, others) else None


def _with_mark(
    column: _Looked, known: TableFormat, before: ColumnFormat | None
) -> tuple[ColumnFormat, NDArray[Any]] | None:
    """Choose the decimal mark; None where nothing tells it."""
    by_mark = {form.decimal: (form, values) for form, values in reversed(column.readings)}
    if known.decimal in by_mark:
        return by_mark[known.decimal]
    marked = before is not None and (before.thousands in (".", ",") or before.decimal == ",")
    if before is not None and marked and (known.separator, before.decimal) != (",", ","):
        return by_mark.get(before.decimal)
    if known.separator == ";" or marked:
        return None
    cells = column.cells[column.filled].tolist()
    unmarked = [not {".", ","} & set(cell) for cell in cells]
    below = abs(column.readings[0][1][unmarked]) < 1000
    grouped = len(below) > 0 and below.all()  # 980: what is above a thousand may have its mark
    if not any("," in cell for cell in cells):  # 1.234: as every program writes numbers
        were_decimals = before is not None and before.kind == "number" and not before.whole
        return by_mark.get(".") if were_decimals or not grouped else None
    return by_mark.get(".") if grouped else None  # 1,234


def _two_ways(column: _Looked) -> str:
    """Return the question to a person about a column that can be read in two ways."""
    cells = column.cells[column.filled].tolist()
    if column.readings[0][0].kind == "date":
        return (
            f"holds dates such as {cells[0]!r}, whose day may stand first or second: say which by "
            "table_format: {day_first: true} or {day_first: false}"
        )
    row = next(row for row, cell in enumerate(cells) if "." in cell or "," in cell)
    one, other = (values[row] for _, values in column.readings[:2])
    return (
        f"holds {cells[row]!r}, which may be {one:.12g} or {other:.12g}: say what the decimal mark "
        "is, by table_format: {decimal: '.'} or {decimal: ','}"
    )


def _unlike_training(
    form: ColumnFormat, values: NDArray[np.float64], before: ColumnFormat | None
) -> str | None:
    """Return how numbers differ in kind from those that were trained on; None if they do not."""
    if before is not None and before.kind == "boolean":
        if set(np.unique(values)) <= {0.0, 1.0}:
            return None
        return "holds other numbers than 0 and 1, and those trained on were true and false"
    if before is None or before.kind != "number" or before.unit == form.unit:
        return None
    if not (before.unit and form.unit) and (before.unit or form.unit) not in ("%", *CLOCKS):
        return None  # a currency or kg that one of the two files leaves out
    return (
        f"holds numbers in {form.unit or 'no unit'}, and those that were trained on are in "
        f"{before.unit or 'no unit'}: write them as those were"
    )
