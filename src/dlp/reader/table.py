"""Reader of rows of a table."""

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, time
from typing import Any

import numpy as np

from .rows import Columns, Reader, Spec
from .text import tokenise

_EPOCH = np.datetime64("1970-01-01", "us")
_DAY = np.timedelta64(1, "D")
_FLOAT32_LIMIT = 3.4e38
_ISO_DATE = "%Y-%m-%d"


class TableReader(Reader):
    """Reader of rows into numbers, float64 (N, K), and codes, int64 (N, any).

    A missing number is NaN. Codes are the numbers of a row's categories and words among all of
    training; -1 fills up rows that have fewer than others.
    """

    form = "columns"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.csv = spec.get("read_csv") or {}
        self.numeric = list(dict.fromkeys([*spec["scales"], *spec["indicators"]]))
        self.names = [*self.numeric, *spec["categories"]]
        self.texts = spec.get("texts", ())  # not in models of 1.1
        self.dates = {*spec["dates"]}
        features = spec.get("features") or {}
        for name, dtype in features.get("dtypes", {}).items():  # not in models of 1.2.0
            if dtype.startswith("datetime64"):
                self.dates.add(name)

    def __call__(self, rows: Any) -> list[Any]:
        """Encode rows: dictionaries by column, or `Columns`."""
        if not isinstance(rows, Columns):
            cells = {name: [self._cell(row, name) for row in rows] for name in self.names}
            rows = Columns(cells, range(len(rows)))
        codes, lengths = self.read_codes(rows)
        width = max(2, lengths.max(initial=0))  # ONNX fixes a size of 1
        places = np.arange(width)
        padded = np.full((len(rows), width), -1)
        padded[places < lengths[:, None]] = codes
        return [self.read_matrix(rows), padded]

    def read_matrix(self, rows: Columns) -> Any:
        """Return the numbers of all columns, float64 (N, K)."""
        numbers = np.empty((len(rows), len(self.numeric)))
        for place, name in enumerate(self.numeric):
            numbers[:, place] = self.read_numbers(name, rows)
        return numbers

    def read_codes(self, rows: Columns) -> tuple[Any, Any]:
        """Return the codes of row after row, int32 (M,), and the number of codes of a row, (N,)."""
        columns = []
        lengths = np.zeros(len(rows), np.int64)
        first = 0
        for name, terms in self.spec["categories"].items():
            codes_by_term = {term: code for code, term in enumerate(terms, first)}
            first += len(terms)
            columns.append(self._column_codes(name, rows, codes_by_term))
            lengths += columns[-1][1]
        codes = np.empty(lengths.sum(), np.int32)
        starts = np.cumsum(lengths) - lengths
        for column, counts in columns:
            codes[_ranges(starts, counts)] = column
            starts += counts
        return codes, lengths

    def _cell(self, row: Any, name: str) -> Any:
        """Return a cell of a row, or the cells of a table."""
        if not isinstance(row, Mapping):
            raise ValueError(f"a row is a dictionary by column, not {row!r:.80}.")
        if name not in row:
            given = ", ".join(map(repr, row))
            raise ValueError(
                f"column {name!r} is absent; the model takes {', '.join(self.names)}, and the rows "
                f"have {given:.300}."
            )
        return row[name]

    def read_numbers(self, name: str, rows: Columns) -> Any:
        """Return numbers, float64 (N,); an array of numbers or dates is converted at once.

        A date is the days since 1970 in UTC.
        """
        cells = self._cell(rows.cells, name)
        kind = getattr(cells, "dtype", np.dtype(object)).kind
        is_date = name in self.spec["dates"]
        values = np.full(len(rows), np.inf)
        if is_date and kind == "M":
            values = (cells.astype("datetime64[us]") - _EPOCH) / _DAY
            values[np.isin(values, self._missing_numbers(name))] = np.nan
        elif not is_date and kind in "biuf":
            values = cells.astype(np.float64)
            values[np.isin(values, self._missing_numbers(name))] = np.nan
        is_accepted = abs(values) < _FLOAT32_LIMIT
        if self.spec["missing"] != "error":
            is_accepted |= np.isnan(values)
        if is_accepted.all():
            return values
        numbers, codes = self._factorize(name, rows, False)
        return np.array(numbers)[codes]

    def read_texts(self, name: str, rows: Columns) -> list[str]:
        """Return the distinct texts, or categories as text; that of a missing cell is empty."""
        return self._factorize(name, rows, True)[0]

    def read_text_column(self, name: str, rows: Columns) -> list[str]:
        """Return the text of each row; that of a missing cell is empty."""
        texts, codes = self._factorize(name, rows, True)
        return [texts[code] for code in codes]

    def _column_codes(
        self, name: str, rows: Columns, codes_by_term: Mapping[str, int]
    ) -> tuple[Any, Any]:
        """Return the codes of a column of categories or texts as `read_codes` does."""
        texts, places = self._factorize(name, rows, True)
        is_text = name in self.texts
        if not is_text and (unseen := sorted(set(texts) - set(codes_by_term))):
            warnings.warn(f"column {name!r}: unseen in training: {unseen[:5]}", stacklevel=7)
        codes = []
        lengths = []
        for text in texts:
            terms = dict.fromkeys(tokenise(text)) if is_text else [text]
            known = [codes_by_term[term] for term in terms if term in codes_by_term]
            codes += known
            lengths.append(len(known))
        counts = np.array(lengths, np.int64)
        starts = np.cumsum(counts) - counts
        counts = counts[places]
        return np.array(codes, np.int32)[_ranges(starts[places], counts)], counts

    def fields(self) -> list[dict[str, Any]]:
        """Return name, kind, typical cell, categories, and range in training of each column.

        Dates have the format of the training table.
        """
        fields = []
        for name, cell in self.spec["typical"].items():
            categories = None
            if name not in self.texts:
                categories = self.spec["categories"].get(name)
            kind = "text" if isinstance(cell, str) else "number"
            form = None
            if name in self.dates:
                kind = "date"
                form = self.date_format(name)
                if cell:
                    date = datetime.fromisoformat(cell)
                    if form is None and date.tzinfo is not None:
                        form = "%Y-%m-%dT%H:%M:%S%z"
                    elif form is None and date.time() != time():
                        form = "%Y-%m-%dT%H:%M:%S"
                    cell = date.strftime(form or _ISO_DATE)
                form = form or _ISO_DATE
            elif categories:
                kind = "category"
            field = {
                "name": name,
                "kind": kind,
                "typical": cell,
                "categories": categories,
                "date_format": form,
                "range": self.spec.get("ranges", {}).get(name),  # not in models of 1.1
            }
            fields.append(field)
        return fields

    def _factorize(self, name: str, rows: Columns, is_text: bool) -> tuple[list[Any], Any]:
        """Return the values of the distinct cells of a column, and the place of each row's in them.

        A missing cell is NaN, or an empty text.
        """
        holes: list[Any] = list(map(str, missing_values(self.csv, name)))
        if not is_text:
            holes += self._missing_numbers(name)
        values: list[Any] = []
        places: dict[str, int] = {}
        codes = []
        for row, cell in zip(rows.index, self._cell(rows.cells, name), strict=True):
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
        for value in missing_values(self.csv, name):
            with suppress(ValueError, TypeError):
                if name in self.spec["dates"]:
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
                if name in self.spec["dates"]:
                    accepted = f"dates {self.date_format(name) or 'by ISO 8601'}"
                raise ValueError(
                    f"column {name!r} of row {row} takes {accepted}, not {str(cell)!r:.80}."
                ) from error
        if value is None or value in holes:  # -999 is -999.0
            if self.spec["missing"] == "error" and name not in self.texts:
                raise ValueError(
                    f"column {name!r} of row {row} is missing; fill it in, or train with "
                    "missing: mean."
                )
            return "" if is_text else np.nan
        return value

    def _is_known(self, name: str, text: str) -> bool:
        """Return True for a category of the training, or if the categories are being learned."""
        categories = self.spec["categories"].get(name)
        return categories is None or text in categories

    def _convert(self, name: str, cell: Any, is_text: bool) -> Any:
        """Return a number, of a date the days since 1970, or the text of a category."""
        if name in self.spec["dates"]:
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
        return number(cell, self.csv)

    def date_format(self, name: str) -> str | None:
        """Return the format of a column of dates; None is ISO 8601."""
        form = column_option(self.csv, "date_format", name)
        return None if form == "ISO8601" else form


def _ranges(starts: Any, lengths: Any) -> Any:
    """Return the numbers of all ranges, one after the other."""
    if (lengths == 1).all():
        return starts
    shifts = starts - np.cumsum(lengths) + lengths
    return np.repeat(shifts, lengths) + np.arange(lengths.sum())


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
