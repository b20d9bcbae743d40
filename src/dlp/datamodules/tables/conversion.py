"""Columns of texts of a training table become numbers, dates and categories.

A CSV is read as text, and other files and data frames may hold texts too. All cells of a column
decide what it contains. In use, `trained_types` converts to the types that were decided here.
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

_CODE = r"^\s*0\d+\s*$"  # 00501, of which a number keeps 501
_EXACT = 2**53  # integers below it are floats without rounding


def convert_columns(
    frame: pd.DataFrame,
    options: Options,
    source: str,
    columns: Collection[str | None],
    numbers: Collection[str] = (),
    classes: Collection[str] = (),
) -> pd.DataFrame:
    """Convert the columns of texts whose cells are all numbers, or which are named as dates.

    Args:
        frame: Table, whose columns are replaced one after the other, so that its texts and numbers
            are not in memory together. Columns of other types than text stay as they are.
        options: The user's arguments of ``pandas.read_csv``.
        source: Name of the table, for errors.
        columns: Columns to convert, of those that the table has; others stay as they are.
        numbers: Columns that the user lists as numbers, in which 00501 is 501.
        classes: Columns that stay texts if a cell is a code, such as 00501.

    Raises:
        InputError: If a column of dates has other cells, or a number would be another one than its
            text, as 501 of 00501.
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
    pa.default_memory_pool().release_unused()  # the texts took as much as the numbers
    return frame


def without_missing(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Make the cells that ``na_values`` lists missing, as in a CSV.

    Args:
        frame: Table, whose columns are replaced.
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
            with suppress(ValueError):  # the encoder names a number that is not finite
                is_missing = np.isnan(converter.numbers(name, column.to_numpy(), column.index))
        elif column.dtype != "object":  # lists
            missing = list(map(str, missing_values(options, name)))
            is_missing = column.isin(missing).to_numpy()
        if is_missing.any():
            if column.dtype == "bool":
                column = column.astype("boolean")
            frame[name] = column.mask(is_missing)
    return frame


def date_columns(options: Options) -> list[str]:
    """Return the columns that ``parse_dates`` names."""
    names = options.get("parse_dates")
    return list(map(str, names)) if isinstance(names, list) else []


def _dtype(name: str, options: Options) -> Any:
    """Return the argument ``dtype`` for a column; None leaves it to its cells."""
    dtype = column_option(options, "dtype", name)
    with naming("read_csv: dtype"):
        return None if dtype is None else pd.api.types.pandas_dtype(dtype)


def _cast(column: Column, numbers: Any, dtype: Any) -> Any:
    """Return numbers in another type; only floats may be rounded.

    Args:
        column: Texts of the numbers.
        numbers: The numbers.
        dtype: Type of pandas.

    Raises:
        ValueError: If the type cannot represent a number.
    """
    cast = numbers.astype(dtype)
    is_changed = (cast != numbers).fillna(False) & numbers.notna()
    if is_changed.any() and not pd.api.types.is_float_dtype(dtype):
        raise ValueError(
            f"{column[is_changed].iloc[0]!r} is not of dtype {dtype}, which read_csv names. Give "
            "float, or leave dtype out."
        )
    return cast


def _as_written(column: Column, values: Floats, options: Options) -> Any:
    """Return numbers as pandas types them: without decimals they are integers, or booleans.

    Whole numbers that fit neither into a float nor into an integer of 64 bits stay text.
    """
    cells = pa.array(column)
    numbers = pd.Series(values, column.index, name=column.name)
    is_missing = np.isnan(values)
    if (is_missing | (values == 0) | (values == 1)).all() and not is_missing.all():
        words = {text.lower() for text in cells.unique().to_pylist() if text}
        if words <= {"true", "false"}:
            return numbers.astype("boolean" if is_missing.any() else "bool")
    if not (values == np.floor(values)).all():  # a missing number is not equal
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
    """Return the first text that is a code or a date, but would become a number; None for none."""
    cells = pa.array(column)
    mark = converter.options.get("thousands")
    if values is not None:
        code = _CODE
        if mark:
            code += rf"|^\s*[-+]?0\d*{re.escape(mark)}"
        else:
            cells = cells.filter(pa.array(values == np.floor(values)))
        cells = cells.filter(compute.less(cells, "1"))  # blanks, signs and 0 come before 1
        codes = cells.filter(compute.match_substring_regex(cells, code))
        return str(codes[0]) if len(codes) else None
    if not mark:
        return None
    # With marks at other places 1.5 would be 15, and 12.03.2024 12032024.
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
    """Refuse numbers of a file with semicolons whose dots may all be marks of thousands."""
    is_given = "decimal" in options or "thousands" in options
    if is_given or options.get("sep") != ";" or not is_grouped(column.dropna(), "."):
        return
    text = column[column.str.contains(".", regex=False, na=False)].iloc[0]
    raise InputError(
        f"{source}: column {column.name!r} contains {text!r}, which is "
        f"{text.replace('.', '')} with read_csv: {{thousands: .}} and {float(text):g} with "
        "read_csv: {decimal: .}. Give the one that is meant."
    )


def _other_number(
    frame: pd.DataFrame, source: str, codes: Mapping[str, str], options: Options
) -> InputError:
    """Return the refusal of columns whose numbers would be others than their texts.

    Args:
        frame: Table, in which these columns are text.
        source: Name of the table.
        codes: The first such text of each column.
        options: The user's arguments of ``pandas.read_csv``.
    """
    first, text = next(iter(codes.items()))
    fix: Fix = read_arguments(first, frame[first].dropna(), options)
    if "parse_dates" not in fix:
        fix = {"dtype": dict.fromkeys(codes, "category")}
    advice = "int instead of category reads numbers"
    if options.get("thousands"):
        advice += "; or leave thousands out, or give parse_dates with date_format"
    return InputError(
        f"{source}: column {first!r} contains numbers and {text!r}, whose meaning a number would "
        f"lose. Keep its texts by {inline({'read_csv': fix})} ({advice}).",
        {"read_csv": fix},
    )


def _dates(column: Column, converter: CellConverter, source: str) -> Any:
    """Return the dates of texts; if their offsets from UTC differ, as in summer, in UTC."""
    name = str(column.name)
    form = converter.date_format(name)
    codes, texts = pd.factorize(column, use_na_sentinel=False)  # days repeat
    try:
        distinct, places = converter.distinct_dates(name, texts.to_numpy(), range(len(texts)))
        dates = dates_column(distinct, name, source)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"{source}: the cells of column {name!r}, such as {column.dropna().iloc[0]!r}, are not "
            f"all dates of the date_format {form or 'ISO 8601'!r}. Correct them, or give "
            "read_csv: {date_format: '%d.%m.%Y'} or the like."
        ) from error
    return dates.take(places[codes]).set_axis(column.index)
