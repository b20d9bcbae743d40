"""Convert the text columns of a training table to numbers, dates and categories.

A CSV is read as text, and other files and data frames may also contain text columns. All cells of a
column decide its type. In tables that are read later, such as a test table, `trained_types`
converts the columns to the types that were decided here.
"""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from dlp.datamodules.tables.files import dates_column
from dlp.datamodules.tables.kinds import is_grouped, read_arguments
from dlp.datamodules.tables.trained_types import column_numbers
from dlp.errors import Fix, InputError, inline, naming
from dlp.reader.cells import CellConverter
from dlp.reader.encoder import Floats, Options
from dlp.reader.fields import Column, is_date, is_numeric_or_date
from dlp.reader.notation import column_option, missing_values

_CODE = r"^\s*0\d+\s*$"  # such as 00501, which would become the number 501
_EXACT = 2**53  # a float represents every integer below this one exactly


def convert_columns(
    frame: pd.DataFrame,
    options: Options,
    source: str,
    columns: Collection[str | None],
    numbers: Collection[str] = (),
    classes: Collection[str] = (),
) -> pd.DataFrame:
    """Convert the text columns of a training table.

    A column is converted to numbers if all of its cells are numbers, to dates if ``parse_dates``
    lists it, and to categories if its ``dtype`` is ``category``. Other text columns stay text.

    Args:
        frame: Table. Its columns are replaced one after the other, so that all texts and all
            numbers are never in memory at the same time. Columns that are not text stay unchanged.
        options: The user's arguments of ``pandas.read_csv``.
        source: Name of the table, for error messages.
        columns: Columns to convert if the table has them. The others stay unchanged.
        numbers: Columns that the user lists as numbers. In these columns 00501 becomes 501.
        classes: Columns that stay text if a cell is a code, such as 00501.

    Raises:
        InputError: If a column of dates contains other cells, or if a cell would lose its meaning
            as a number, such as the code 00501.
    """
    converter = CellConverter(options, date_columns(options))
    codes: dict[str, str] = {}
    for name in map(str, frame):
        column = frame[name]
        if name not in columns or column.dtype != "str":
            continue
        dtype = _dtype(name, options)
        if name in converter.dates:
            frame[name] = _dates(column, converter, source)
        elif dtype == "category":
            frame[name] = column.astype("category")
        elif dtype is None or pd.api.types.is_numeric_dtype(dtype):
            values = None
            with suppress(ValueError):
                values = column_numbers(column, converter)
            code = None
            if dtype is None and name not in numbers:
                if values is not None:
                    _check_mark(column, options, source)
                code = _first_code(column, values, converter)
            if code is not None:
                if name not in classes:
                    codes[name] = code
            elif values is not None:
                typed = _as_written(column, values, options)
                if dtype is not None:
                    with naming(f"{source}, column {name!r}"):
                        typed = _cast(column, typed, dtype)
                frame[name] = typed
    if codes:
        raise _other_number(frame, source, codes, options)
    pa.default_memory_pool().release_unused()  # the texts took as much memory as the numbers
    return frame


def without_missing(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Replace the cells that ``na_values`` lists by missing values, as pandas does in a CSV.

    Args:
        frame: Table. Its columns are replaced.
        options: The user's arguments of ``pandas.read_csv``.
    """
    if "na_values" not in options:
        return frame
    dates = [name for name in map(str, frame) if is_date(frame[name])]
    converter = CellConverter(options, dates)
    for name in map(str, frame):
        column = frame[name]
        is_missing = np.zeros(len(frame), bool)
        if is_numeric_or_date(column):
            with suppress(ValueError):  # the encoder reports numbers that are not finite
                is_missing = np.isnan(converter.numbers(name, column.to_numpy(), column.index))
        elif column.dtype != "object":  # object columns contain lists
            missing = list(map(str, missing_values(options, name)))
            is_missing = column.isin(missing).to_numpy()
        if is_missing.any():
            if column.dtype == "bool":
                column = column.astype("boolean")
            frame[name] = column.mask(is_missing)
    return frame


def date_columns(options: Options) -> list[str]:
    """Return the columns that ``parse_dates`` lists."""
    names = options.get("parse_dates")
    return list(map(str, names)) if isinstance(names, list) else []


def _dtype(name: str, options: Options) -> Any:
    """Return the ``dtype`` that the user gave for a column, or None if its cells decide."""
    dtype = column_option(options, "dtype", name)
    with naming("read_csv: dtype"):
        return None if dtype is None else pd.api.types.pandas_dtype(dtype)


def _cast(column: Column, numbers: Any, dtype: Any) -> Any:
    """Convert numbers to another type. Only a type of floats may round them.

    Args:
        column: Text of each number, for error messages.
        numbers: The numbers.
        dtype: The pandas dtype to convert to.

    Raises:
        ValueError: If the type cannot represent a number, and is not a type of floats.
    """
    cast = numbers.astype(dtype)
    is_changed = (cast != numbers).fillna(False) & numbers.notna()
    if is_changed.any() and not pd.api.types.is_float_dtype(dtype):
        raise ValueError(
            f"expected numbers of dtype {dtype}, as given in read_csv, got "
            f"{column[is_changed].iloc[0]!r}. Give the dtype float, or leave dtype out."
        )
    return cast


def _as_written(column: Column, values: Floats, options: Options) -> Any:
    """Return numbers in the type that pandas would infer: booleans, integers or floats.

    Whole numbers stay text if neither a 64-bit integer nor a float represents them exactly.
    """
    cells = pa.array(column)
    numbers = pd.Series(values, column.index, name=column.name)
    is_missing = np.isnan(values)
    if (is_missing | (values == 0) | (values == 1)).all() and not is_missing.all():
        words = {text.lower() for text in cells.unique().to_pylist() if text}
        if words <= {"true", "false"}:
            return numbers.astype("boolean" if is_missing.any() else "bool")
    if not (values == np.floor(values)).all():  # NaN, for a missing number, is not equal either
        return numbers
    try:
        integers = cells.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        decimal = re.escape(options.get("decimal", "."))
        if compute.any(compute.match_substring_regex(cells, f"[{decimal}eE]")).as_py():
            return numbers
        if (abs(values) >= _EXACT).any():
            return column
        integers = values.astype("int64")
    return pd.Series(integers, column.index, name=column.name)


def _first_code(column: Column, values: Floats | None, converter: CellConverter) -> str | None:
    """Return the first text that is a code or a date but would become a number, or None."""
    cells = pa.array(column)
    mark = converter.options.get("thousands")
    if values is not None:
        code = _CODE
        if mark:
            code += rf"|^\s*[-+]?0\d*{re.escape(mark)}"
        else:
            cells = cells.filter(pa.array(values == np.floor(values)))
        cells = cells.filter(compute.less(cells, "1"))  # codes begin with a blank, a sign or 0
        codes = cells.filter(compute.match_substring_regex(cells, code))
        return str(codes[0]) if len(codes) else None
    if not mark:
        return None
    # Thousands separators in other places are refused. Otherwise 1.5 would become 15, and
    # 12.03.2024 would become 12032024.
    others = []
    for text in cells.drop_null().unique().to_pylist():
        try:
            converter.numbers(str(column.name), [text], range(1))
        except ValueError:
            others.append(text)
    mark = re.escape(mark)
    marked = re.compile(rf"\s*[-+]?\d[\d.,{mark}]*{mark}[\d.,{mark}]*(e[-+]?\d+)?\s*", re.I)
    return others[0] if all(map(marked.fullmatch, others)) else None


def _check_mark(column: Column, options: Options, source: str) -> None:
    """Refuse numbers in a semicolon-separated file if all dots may be thousands separators."""
    is_given = "decimal" in options or "thousands" in options
    if is_given or options.get("sep") != ";" or not is_grouped(column.dropna(), "."):
        return
    text = column[column.str.contains(".", regex=False, na=False)].iloc[0]
    raise InputError(
        f"{source}: column {column.name!r} contains {text!r}, which is "
        f"{text.replace('.', '')} with read_csv: {{thousands: .}} and {float(text):g} with "
        "read_csv: {decimal: .}. Give the argument that is right for this file."
    )


def _other_number(
    frame: pd.DataFrame, source: str, codes: Mapping[str, str], options: Options
) -> InputError:
    """Return the error for columns whose texts would lose their meaning as numbers.

    Args:
        frame: Table, in which these columns are still text.
        source: Name of the table.
        codes: First text that would lose its meaning, by the name of its column.
        options: The user's arguments of ``pandas.read_csv``.
    """
    first, text = next(iter(codes.items()))
    fix: Fix = read_arguments(first, frame[first].dropna(), options)
    if "parse_dates" not in fix:
        fix = {"dtype": dict.fromkeys(codes, "category")}
    advice = "To read the column as numbers, give the dtype int"
    if options.get("thousands"):
        advice += ". You can also leave thousands out, or give parse_dates with date_format"
    return InputError(
        f"{source}: column {first!r} contains numbers and {text!r}, which would lose its meaning "
        f"as a number. Give {inline({'read_csv': fix})}. {advice}.",
        {"read_csv": fix},
    )


def _dates(column: Column, converter: CellConverter, source: str) -> Any:
    """Convert texts to dates, and to UTC if their offsets from UTC differ, as in summer."""
    name = str(column.name)
    form = converter.date_format(name)
    codes, texts = pd.factorize(column, use_na_sentinel=False)  # dates often repeat
    try:
        distinct, places = converter.distinct_dates(name, texts.to_numpy(), range(len(texts)))
        dates = dates_column(distinct, name, source)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"{source}: not all cells of column {name!r}, such as {column.dropna().iloc[0]!r}, are "
            f"dates in the date_format {form or 'ISO 8601'!r}. Correct them, or give the format "
            "that the file uses, such as read_csv: {date_format: '%d.%m.%Y'}."
        ) from error
    return dates.take(places[codes]).set_axis(column.index)
