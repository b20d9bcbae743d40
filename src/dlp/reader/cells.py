"""The one converter of cells: a number, a date or a text of what stands in a column of a table."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np

_EPOCH = np.datetime64("1970-01-01", "us")
_DAY = np.timedelta64(1, "D")
_FLOAT32_LIMIT = 3.4e38


class CellConverter:
    """Converter of the cells of a table into numbers and texts.

    Args:
        options: Arguments of ``pandas.read_csv`` by which the training table was read.
        dates: Columns of dates, whose number is the days since 1970 in UTC.
        texts: Columns of texts, in which a missing cell is an empty text.
        accepts_missing: Whether cells of other columns may be missing.
        categories: Known categories of columns, some of which may be the text of a list.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        dates: Collection[str] = (),
        texts: Collection[str] = (),
        accepts_missing: bool = True,
        categories: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.options = options or {}
        self.dates = dates
        self.texts = texts
        self.accepts_missing = accepts_missing
        self.categories = categories or {}

    def numbers(self, name: str, cells: Any, index: Any) -> Any:
        """Return the numbers of a column, float64 (N,); a missing cell is NaN.

        An array of numbers or dates is converted at once.

        Args:
            name: Name of the column.
            cells: Its cells, (N,).
            index: Row numbers, (N,), for errors.
        """
        kind = getattr(cells, "dtype", np.dtype(object)).kind
        is_date = name in self.dates
        values = np.full(len(cells), np.inf)
        if is_date and kind == "M":
            values = (cells.astype("datetime64[us]") - _EPOCH) / _DAY
            values[np.isin(values, self._missing_numbers(name))] = np.nan
        elif not is_date and kind in "biuf":
            values = cells.astype(np.float64)
            values[np.isin(values, self._missing_numbers(name))] = np.nan
        is_accepted = abs(values) < _FLOAT32_LIMIT
        if self.accepts_missing:
            is_accepted |= np.isnan(values)
        if is_accepted.all():
            return values
        numbers, places = self._distinct(name, cells, index, False)
        return np.array(numbers)[places]

    def distinct_texts(self, name: str, cells: Any, index: Any) -> tuple[list[str], Any]:
        """Return the distinct texts of a column, and the place of each cell's text in them, (N,).

        The text of a missing cell is empty.
        """
        return self._distinct(name, cells, index, True)

    def date_format(self, name: str) -> str | None:
        """Return the format of a column of dates; None is ISO 8601."""
        form = column_option(self.options, "date_format", name)
        return None if form == "ISO8601" else form

    def _distinct(self, name: str, cells: Any, index: Any, is_text: bool) -> tuple[list[Any], Any]:
        """Return the values of the distinct cells of a column, and the place of each row's in them.

        A missing cell is NaN, or an empty text.
        """
        holes: list[Any] = list(map(str, missing_values(self.options, name)))
        if not is_text:
            holes += self._missing_numbers(name)
        values: list[Any] = []
        places: dict[str, int] = {}
        codes = []
        for row, cell in zip(index, cells, strict=True):
            key = repr(cell)  # as a key True equals 1, and lists have no hash
            if key not in places:
                places[key] = len(values)
                values.append(self._value(name, row, cell, is_text, holes))
            codes.append(places[key])
        return values, np.array(codes, np.int64)

    def _missing_numbers(self, name: str) -> list[float]:
        """Return the numbers among the missing values of a column, -999 also where it is text.

        Those of a column of dates are days.
        """
        numbers: list[float] = []
        for value in missing_values(self.options, name):
            with suppress(ValueError, TypeError):
                if name in self.dates:
                    numbers.append(self._convert(name, value, False))
                else:
                    numbers.append(float(value))
        return numbers

    def _value(self, name: str, row: Any, cell: Any, is_text: bool, holes: Sequence[Any]) -> Any:
        """Return the number or text of a cell; the number of its row is for errors."""
        if isinstance(cell, Mapping | list) and not (is_text and self._is_known(name, str(cell))):
            raise ValueError(
                f"column {name!r} of row {row} takes one text or number, not {cell!r:.80}."
            )
        value = None
        if not _is_missing(cell, holes):
            try:
                value = self._convert(name, cell, is_text)
            except (ValueError, TypeError, OverflowError) as error:
                accepted = "finite numbers"
                if name in self.dates:
                    accepted = f"dates {self.date_format(name) or 'by ISO 8601'}"
                raise ValueError(
                    f"column {name!r} of row {row} takes {accepted}, not {str(cell)!r:.80}."
                ) from error
        if value is None or value in holes:  # -999 is -999.0
            if not self.accepts_missing and name not in self.texts:
                raise ValueError(
                    f"column {name!r} of row {row} is missing; fill it in, or train with "
                    "missing: mean."
                )
            return "" if is_text else np.nan
        return value

    def _is_known(self, name: str, text: str) -> bool:
        """Return True for a category of the training, or if the categories are being learned."""
        categories = self.categories.get(name)
        return categories is None or text in categories

    def _convert(self, name: str, cell: Any, is_text: bool) -> Any:
        """Return a number, of a date the days since 1970, or the text of a category."""
        if name in self.dates:
            form = self.date_format(name)
            if form is None or not isinstance(cell, str):
                date = datetime.fromisoformat(str(cell))
            else:
                date = datetime.strptime(cell, form)
            if is_text:
                return str(date)
            date = date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
            return (np.datetime64(date, "us") - _EPOCH) / _DAY
        if isinstance(cell, np.floating):  # a float32 has another text
            cell = float(cell)
        if is_text:
            return re.sub(r"^(-?\d+)\.0$", r"\1", str(cell))  # holes make floats of whole numbers
        return number(cell, self.options)


def missing_values(options: Mapping[str, Any], name: str) -> list[Any]:
    """Return the cells of a column that are missing: the empty one, and ``na_values``."""
    values = column_option(options, "na_values", name)
    if isinstance(values, str | int | float):
        values = [values]
    return ["", *(values or ())]


def column_option(options: Mapping[str, Any], argument: str, name: str) -> Any:
    """Return an argument of ``read_csv`` for a column."""
    value = options.get(argument)
    if isinstance(value, Mapping):
        return value.get(name)
    return value


def _is_missing(cell: Any, holes: Sequence[Any]) -> bool:
    """Return True for None, NaN, pandas.NA, and cells whose text is among holes."""
    try:
        return cell is None or (np.ndim(cell) == 0 and (bool(cell != cell) or str(cell) in holes))
    except TypeError:  # pandas.NA is neither true nor false
        return True


def number(cell: Any, options: Mapping[str, Any]) -> float:
    """Return a finite number; its text follows ``decimal`` and ``thousands`` of ``read_csv``."""
    if isinstance(cell, str):
        mark = options.get("thousands")
        decimal = options.get("decimal", ".")
        if mark and mark in cell:
            groups = rf"\s*[-+]?\d{{1,3}}({re.escape(mark)}\d{{3}})+(?!\d).*"
            if not re.fullmatch(groups, cell):
                raise ValueError
            cell = cell.replace(mark, "")
        if "_" in cell or (decimal != "." and "." in cell):  # float takes both
            raise ValueError
        cell = cell.replace(decimal, ".")
        cell = {"true": 1, "false": 0}.get(cell.lower(), cell)
    if isinstance(cell, np.datetime64 | np.timedelta64 | np.complexfloating):  # float takes them
        raise ValueError
    value = float(cell)
    if not abs(value) < _FLOAT32_LIMIT:
        raise ValueError
    return value
