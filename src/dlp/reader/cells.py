"""The only converter of cells: columns of a table become numbers, dates or texts."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .encoder import Array, Cell, Floats, Options
from .notation import (
    FLOAT32_LIMIT,
    column_option,
    iso_date,
    missing_values,
    number,
    text_numbers,
)
from .rows import RowNumbers

Places = NDArray[np.int64]
#: Cells of a column, (N,): an array, or a sequence of texts, numbers and any other objects.
Cells = Array | Sequence[Cell]
_Value = TypeVar("_Value")

_EPOCH = np.datetime64("1970-01-01", "us")
_DAY = np.timedelta64(1, "D")


class CellConverter:
    """Converter of the cells of a table into numbers, dates and texts.

    Training decides with it which columns contain numbers or dates; a trained model calls it for
    new rows. It uses the arguments ``decimal``, ``thousands``, ``na_values`` and ``date_format``.

    Args:
        options: Arguments of ``pandas.read_csv`` by which the training table was read.
        dates: Columns of dates, whose number is the days since 1970 in UTC.
        texts: Columns of texts, in which a missing cell is an empty text.
        accepts_missing: Whether cells of other columns may be missing.
        categories: Known categories of columns, some of which may be the text of a list.
        zoned: Columns of dates that had an offset from UTC in training, and must have one.
    """

    def __init__(
        self,
        options: Options | None = None,
        dates: Collection[str] = (),
        texts: Collection[str] = (),
        accepts_missing: bool = True,
        categories: Mapping[str, Sequence[str]] | None = None,
        zoned: Collection[str] = (),
    ) -> None:
        self.options = options or {}
        self.texts = texts
        self.dates = dates
        self.accepts_missing = accepts_missing
        self.categories = categories or {}
        self.zoned = zoned

    def numbers(self, name: str, cells: Cells, index: RowNumbers) -> Floats:
        """Return the numbers of a column, float64 (N,); a missing cell is NaN.

        Arrays of numbers or dates, and texts of numbers, are converted at once.

        Args:
            name: Name of the column.
            cells: Its cells, (N,).
            index: Row numbers, (N,), for errors.

        Raises:
            ValueError: If a cell is not a number, or is missing where it may not be. The message
                names the column and the row.
        """
        values = self._days(name, cells) if name in self.dates else self._plain(name, cells)
        missing = self._missing_numbers(name)
        if values is not None:
            if missing:
                values[np.isin(values, missing)] = np.nan
            is_accepted = abs(values) < FLOAT32_LIMIT
            if self.accepts_missing:
                is_accepted |= np.isnan(values)
            if is_accepted.all():
                return values
        numbers, places = self._distinct(name, cells, index, self._number, np.nan, missing)
        return np.array(numbers, np.float64)[places]

    def distinct_dates(
        self, name: str, cells: Cells, index: RowNumbers
    ) -> tuple[list[datetime | None], Places]:
        """Return the distinct dates of a column, and the place of each cell's date in them, (N,).

        The date of a missing cell is None. See `numbers` for the arguments and errors.
        """
        return self._distinct(name, cells, index, self._date, None)

    def distinct_texts(
        self, name: str, cells: Cells, index: RowNumbers
    ) -> tuple[list[str], Places]:
        """Return the distinct texts of a column, and the place of each cell's text in them, (N,).

        The text of a missing cell is empty. See `numbers` for the arguments and errors.
        """
        return self._distinct(name, cells, index, self._text, "")

    def date_format(self, name: str) -> str | None:
        """Return the format of a column of dates; None is ISO 8601."""
        form = column_option(self.options, "date_format", name)
        return None if form == "ISO8601" else form

    # All cells at once -------------------------------------------------------------------------

    def _plain(self, name: str, cells: Cells) -> Floats | None:
        """Return the numbers of cells that are all numbers, or all texts of numbers, else None."""
        if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
            return cells.astype(np.float64)
        missing = {None, np.nan, *self._missing_texts(name)}
        try:
            present = [cell for cell in cells if cell not in missing]
            types = set(map(type, present))
            if types <= {str}:
                numbers = text_numbers(present, self.options)
            elif types <= {bool, int, float}:
                numbers = np.array(present, np.float64)
            else:
                return None
        except (ValueError, TypeError, OverflowError):  # another text; a cell that is a list
            return None
        if len(present) == len(cells):
            return numbers
        values = np.full(len(cells), np.nan)
        values[[cell not in missing for cell in cells]] = numbers
        return values

    def _days(self, name: str, cells: Cells) -> Floats | None:
        """Return the days since 1970 of dates as objects or as an array; None for other cells."""
        if name in self.zoned:
            if not all(map(_is_zoned, cells)):
                return None
            dates = [None if cell != cell else _in_utc(cell) for cell in cells]
            cells = np.array(dates, "datetime64[us]")
        if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
            days: Floats = (cells.astype("datetime64[us]") - _EPOCH) / _DAY
            return days
        return None

    # Cell by cell ------------------------------------------------------------------------------

    def _distinct(
        self,
        name: str,
        cells: Cells,
        index: RowNumbers,
        convert: Callable[[str, Cell], _Value],
        empty: _Value,
        missing_numbers: Sequence[float] = (),
    ) -> tuple[list[_Value], Places]:
        """Return the values of the distinct cells of a column, and the place of each cell's value.

        Args:
            name: Name of the column.
            cells: Its cells, (N,).
            index: Row numbers, (N,).
            convert: Function of the name and a cell.
            empty: Value of a missing cell.
            missing_numbers: Numbers that are missing.
        """
        missing = [*self._missing_texts(name), *missing_numbers]
        keys: list[Cell] = list(cells)
        if set(map(type, keys)) != {str}:  # as a key True equals 1, and lists have no hash
            keys = [key if isinstance(key, str) else (repr(key),) for key in keys]
        firsts = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
        places: dict[object, int] = {}
        values: list[_Value] = []
        for first in sorted(firsts.values()):
            places[keys[first]] = len(values)
            value = self._value(name, index[first], cells[first], convert, missing)
            values.append(empty if value is None else value)
        return values, np.fromiter(map(places.__getitem__, keys), np.int64, len(keys))

    def _value(
        self,
        name: str,
        row: object,
        cell: Cell,
        convert: Callable[[str, Cell], _Value],
        missing: Collection[Cell],
    ) -> _Value | None:
        """Return the value of a cell, None if it is missing; the row number is for errors."""
        if isinstance(cell, Mapping | list) and not self._is_known(name, str(cell)):
            raise ValueError(
                f"column {name!r} of row {row} takes one text or number, not {cell!r:.80}."
            )
        value = None
        if not _is_missing(cell, missing):
            try:
                value = convert(name, cell)
            except (ValueError, TypeError, OverflowError) as error:
                accepted = "finite numbers"
                if name in self.dates:
                    accepted = f"dates {self.date_format(name) or 'by ISO 8601'}"
                if name in self.zoned:
                    accepted += " with an offset from UTC, such as 2024-01-05T12:00:00+01:00"
                raise ValueError(
                    f"column {name!r} of row {row} takes {accepted}, not {str(cell)!r:.80}."
                ) from error
        if value is not None and value not in missing:  # -999 is -999.0
            return value
        if not self.accepts_missing and name not in self.texts:
            raise ValueError(
                f"column {name!r} of row {row} is missing; fill it in, or train with missing: mean."
            )
        return None

    def _number(self, name: str, cell: Cell) -> float:
        """Return the number of a cell, of a date the days since 1970."""
        if name not in self.dates:
            return number(_python_float(cell), self.options)
        date = _in_utc(self._date(name, cell))
        return float((np.datetime64(date, "us") - _EPOCH) / _DAY)

    def _date(self, name: str, cell: Cell) -> datetime:
        """Return the date of a cell."""
        form = self.date_format(name)
        if form is not None and isinstance(cell, str):
            date = datetime.strptime(cell, form)
        else:
            date = iso_date(str(cell))
        if name in self.zoned and date.tzinfo is None:
            raise ValueError
        return date

    def _text(self, name: str, cell: Cell) -> str:
        """Return the text of a category."""
        if name in self.dates:
            return str(self._date(name, cell))
        # Missing cells made floats of whole numbers.
        return re.sub(r"^(-?\d+)\.0$", r"\1", str(_python_float(cell)))

    def _is_known(self, name: str, text: str) -> bool:
        """Return True for a category of the training, or if the categories are being learned."""
        categories = self.categories.get(name)
        return categories is None or text in categories

    def _missing_texts(self, name: str) -> list[str]:
        """Return the texts that are missing values of a column."""
        return list(map(str, missing_values(self.options, name)))

    def _missing_numbers(self, name: str) -> list[float]:
        """Return the numbers among the missing values of a column, -999 also where it is text.

        Those of a column of dates are days.
        """
        numbers: list[float] = []
        for value in missing_values(self.options, name):
            with suppress(ValueError, TypeError):
                if name in self.dates:
                    numbers.append(self._number(name, value))
                else:
                    numbers.append(float(value))
        return numbers


def _is_missing(cell: Cell, missing: Collection[Cell]) -> bool:
    """Return True for None, NaN, pandas.NA, and cells whose text is among the missing ones."""
    try:
        return cell is None or (np.ndim(cell) == 0 and (bool(cell != cell) or str(cell) in missing))
    except TypeError:  # pandas.NA is neither true nor false
        return True


def _is_zoned(cell: Cell) -> bool:
    """Return True for a date with an offset from UTC, as pandas gives it, and for its NaT."""
    return isinstance(cell, datetime) and (cell.tzinfo is not None or cell != cell)


def _in_utc(date: datetime) -> datetime:
    """Return a date in UTC, as one without an offset."""
    if date.tzinfo is None:
        return date
    return date.astimezone(UTC).replace(tzinfo=None)


def _python_float(cell: Cell) -> Cell:
    """Return a float for one of NumPy, of which a float32 has another text."""
    return float(cell) if isinstance(cell, np.floating) else cell
