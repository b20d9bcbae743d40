"""Reader of rows of a table."""

import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from .rows import Reader, Spec
from .text import tokenise

_SECONDS_PER_DAY = 86_400


class TableReader(Reader):
    """Reader of rows into numbers, float64 (N, K), and codes, int64 (N, any).

    A missing number is NaN. Codes are the numbers of a row's categories and words among all of
    training; -1 fills up rows that have fewer than others.
    """

    form = "columns"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.csv = spec.get("read_csv") or {}
        self.numbers = list(dict.fromkeys([*spec["scales"], *spec["indicators"]]))
        self.texts = spec.get("texts", ())  # not in models of 1.1

    def __call__(self, rows: Sequence[Any]) -> list[Any]:
        """Encode rows, dictionaries by column."""
        numbers = [self._cells(rows, name, np.nan) for name in self.numbers]
        codes: list[list[int]] = [[] for _ in rows]
        first = 0
        for name, terms in self.spec["categories"].items():
            places = {term: code for code, term in enumerate(terms, first)}
            first += len(terms)
            texts = self._cells(rows, name, "")
            unseen = sorted(set(texts) - set(places))
            if unseen and name not in self.texts:
                warnings.warn(f"column {name!r}: unseen in training: {unseen[:5]}", stacklevel=4)
            for row, text in zip(codes, texts, strict=True):
                row += known_terms(text, places, name in self.texts)
        # ONNX would fix a size of 1.
        return [np.array(numbers, np.float64).reshape(-1, len(rows)).T, padded(codes, 2)]

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
            if name in self.spec["dates"]:
                kind = "date"
                form = self._date_format(name) or "%Y-%m-%d"
                if cell:
                    cell = datetime.fromisoformat(cell).strftime(form)
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

    def _cells(self, rows: Sequence[Any], name: str, hole: Any) -> list[Any]:
        """Return the converted cells of a column, and `hole` for missing ones."""
        holes = missing_values(self.csv, name)
        texts = list(map(str, holes))
        cells = []
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise ValueError(f"a row is a dictionary by column, not {row!r:.80}.")
            if name not in row:
                names = ", ".join(self.numbers + list(self.spec["categories"]))
                raise ValueError(f"column {name!r} is absent; the model takes {names}.")
            cell = row[name]
            value = None
            if not _is_missing(cell, texts):
                try:
                    value = self._convert(name, cell)
                except (ValueError, TypeError, OverflowError) as error:
                    accepted = "finite numbers"
                    if name in self.spec["dates"]:
                        accepted = f"dates {self._date_format(name) or 'by ISO 8601'}"
                    raise ValueError(
                        f"column {name!r} of row {number} takes {accepted}, not {cell!r:.80}."
                    ) from error
            if value is None or (isinstance(cell, str) and value in holes):  # -999 is -999.0
                if self.spec["missing"] == "error" and name not in self.texts:
                    raise ValueError(f"column {name!r} of row {number} is missing; fill it in.")
                value = hole
            cells.append(value)
        return cells

    def _convert(self, name: str, cell: Any) -> Any:
        """Return a number, of a date the days since 1970, or the text of a category."""
        is_number = name in self.numbers
        if name in self.spec["dates"]:
            form = self._date_format(name)
            if form is None or not isinstance(cell, str):
                date = datetime.fromisoformat(str(cell))
            else:
                date = datetime.strptime(cell, form)
            if not is_number:
                return str(date)
            return date.replace(tzinfo=date.tzinfo or UTC).timestamp() / _SECONDS_PER_DAY
        if is_number:
            return number(cell, self.csv)
        return re.sub(r"^(-?\d+)\.0$", r"\1", str(cell))  # holes make floats of whole numbers

    def _date_format(self, name: str) -> str | None:
        """Return the format of a column of dates; None is ISO 8601."""
        form = column_option(self.csv, "date_format", name)
        return None if form == "ISO8601" else form


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


def known_terms(text: str, places: Mapping[str, int], is_text: bool) -> list[int]:
    """Return the codes of the distinct words of a text; a category is a single word."""
    terms = [text]
    if is_text:
        terms = list(dict.fromkeys(tokenise(text)))
    return [places[term] for term in terms if term in places]


def padded(codes: Sequence[Sequence[int]], least: int = 1) -> Any:
    """Return codes of N rows as int64 (N, longest, at least `least`), -1 after their ends."""
    width = max([least, *map(len, codes)])
    table = np.full((len(codes), width), -1, np.int64)
    for row, numbers in zip(table, codes, strict=True):
        row[: len(numbers)] = numbers
    return table


def _is_missing(cell: Any, holes: Sequence[str]) -> bool:
    """Return True for None, NaN, pandas.NA and the texts of holes."""
    try:
        return cell is None or bool(cell != cell) or cell in holes
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
    value = float(cell)
    if not abs(value) < 3.4e38:
        raise ValueError
    return value
