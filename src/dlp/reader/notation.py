"""Notation of a table: what the text of one number or date means, and which cells are missing."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np

from .encoder import Cell, Floats, Options

#: Texts that pandas takes as missing, with ``keep_default_na: true``.
DEFAULT_MISSING = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
#: Numbers from it on are none of 32 bits.
FLOAT32_LIMIT = 3.4e38
_YEAR_OR_MONTH = re.compile(r"\d{4}(-\d\d)?")
_TRUTH = {"true": 1.0, "false": 0.0}


def missing_values(options: Options, name: str) -> list[Cell]:
    """Return the cells of a column that mean a missing value: empty, or in ``na_values``.

    With ``keep_default_na: true`` these are also the texts that pandas takes as missing.
    """
    values = column_option(options, "na_values", name)
    if isinstance(values, str | int | float):
        values = [values]
    defaults = DEFAULT_MISSING if options.get("keep_default_na") else ()
    return ["", *defaults, *(values or ())]


def column_option(options: Options, argument: str, name: str) -> Any:
    """Return an argument of ``read_csv`` for a column.

    By ``header: null`` columns are called 0, 1, 2, ..., of which YAML makes numbers.
    """
    value = options.get(argument)
    if isinstance(value, Mapping):
        return {str(column): each for column, each in value.items()}.get(name)
    return value


def text_numbers(texts: Sequence[str], options: Options) -> Floats:
    """Return the number of each text, float64 (N,), as `number` does.

    Texts that ``float`` reads in the same way are converted at once.

    Raises:
        ValueError: If a text is not a number.
    """
    mark = options.get("thousands")
    decimal = options.get("decimal", ".")
    joined = "\n".join(texts)
    needs_number = "_" in joined or (mark and mark in joined) or (decimal != "." and "." in joined)
    if not needs_number:
        plain = texts
        if decimal != ".":
            plain = [text.replace(decimal, ".") for text in texts]
        with suppress(ValueError):  # true and false are numbers too
            numbers = np.fromiter(map(float, plain), np.float64, len(texts))
            if (abs(numbers) < FLOAT32_LIMIT).all():
                return numbers
    values = {text: number(text, options) for text in set(texts)}
    return np.fromiter(map(values.__getitem__, texts), np.float64, len(texts))


def number(cell: Cell, options: Options) -> float:
    """Return a finite number; its text follows ``decimal`` and ``thousands`` of ``read_csv``.

    Raises:
        ValueError: If the cell is not a number.
    """
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
        cell = _TRUTH.get(cell.lower(), cell)
    if isinstance(cell, np.datetime64 | np.timedelta64 | np.complexfloating):  # float takes them
        raise ValueError
    value = float(cell)
    if not abs(value) < FLOAT32_LIMIT:
        raise ValueError
    return value


def iso_date(text: str) -> datetime:
    """Return a date by ISO 8601; of a year or a month it is the first day."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        if not _YEAR_OR_MONTH.fullmatch(text):
            raise
        return datetime.fromisoformat((text + "-01-01")[:10])
