"""Texts of a table become numbers, dates and categories.

A CSV is read as text, and other files and data frames may hold texts too. In training all cells of
a column decide what it holds; in use the model knows it. Both convert by `CellConverter`.
"""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from dlp.datamodules.tables.kinds import is_date, is_numeric_or_date, read_arguments
from dlp.errors import Fix, InputError, inline, naming
from dlp.reader.cells import CellConverter, Floats, column_option, missing_values
from dlp.reader.encoder import Options

_CODE = r"^\s*0\d+\s*$"  # 00501, of which a number keeps 501
_CELLS_PER_BLOCK = 2**16  # they stay in the cache
_EXACT = 2**53  # integers below it are floats without rounding


def convert_columns(
    frame: pd.DataFrame,
    options: Options,
    source: str,
    columns: Collection[str | None],
    numbers: Collection[str] = (),
) -> pd.DataFrame:
    """Convert the columns of texts whose cells are all numbers, or which are named as dates.

    Args:
        frame: Table, whose columns are replaced one after the other, so that its texts and numbers
            are not in memory together. Columns of other types than text stay as they are.
        options: The user's arguments of ``pandas.read_csv``.
        source: Name of the table, for errors.
        columns: Columns to convert, of those that the table has; others stay as they are.
        numbers: Columns that the user lists as numbers, in which 00501 is 501.

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
                values = _numbers(column, converter)
            code = None
            if dtype is None and name not in numbers:
                code = _first_code(column, values, converter)
            if code is not None:
                codes[name] = code
            elif values is not None:
                typed = _as_written(column, values, options)
                with naming(f"{source}, column {name!r}"):
                    frame[name] = typed if dtype is None else typed.astype(dtype)
    if codes:
        raise _other_number(frame, source, codes, options)
    pa.default_memory_pool().release_unused()  # the texts took as much as the numbers
    return frame


def without_missing(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Make the cells that ``na_values`` names missing, as those of a CSV are.

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


def table_as_trained(
    frame: pd.DataFrame, options: Options, dtypes: Mapping[str, str]
) -> pd.DataFrame:
    """Convert the columns of texts that held numbers or dates in training.

    A column with a cell of another kind stays as it is, so that the encoder names the cell.

    Args:
        frame: Table.
        options: The user's arguments of ``pandas.read_csv``.
        dtypes: Type of each column in training.
    """
    dates = trained_dates(dtypes)
    converter = CellConverter(options, dates, zoned=zoned_columns(dtypes))
    for name, dtype in dtypes.items():
        is_text = name in frame and frame[name].dtype == "str"
        if is_text and (name in dates or pd.api.types.is_numeric_dtype(dtype)):
            with suppress(ValueError):
                frame[name] = column_as_trained(frame[name], dtype, converter)
    return frame


def column_as_trained(column: "pd.Series[Any]", dtype: str, converter: CellConverter) -> Any:
    """Return a column with the type that it had in training, however its cells are given.

    Raises:
        ValueError: If a cell is of another kind.
    """
    if dtype == "str":
        texts, places = converter.distinct_texts(str(column.name), column.to_numpy(), column.index)
        result: Any = pd.Series(np.array(texts, object)[places], column.index, "str")
        return result.where(result != "")
    is_moment = dtype.startswith("datetime64")
    is_converted = is_date(column) and column.name not in converter.zoned
    if is_moment and is_converted:
        return column
    if not is_moment and not pd.api.types.is_numeric_dtype(dtype):
        return column
    numbers = pd.Series(_numbers(column, converter), column.index)
    if is_moment:
        microseconds = (numbers * 86_400e6).round()
        moments: Any = pd.to_datetime(microseconds, unit="us", utc="," in dtype)
        return moments.astype(dtype)
    return _exactly(numbers, dtype)


def categories_as_trained(
    column: "pd.Series[Any]", trained: pd.CategoricalDtype, converter: CellConverter
) -> "pd.Series[Any]":
    """Return a column of categories with the codes that they had in training.

    Unseen categories have the codes after these.
    """
    if _have_same_codes(column.dtype, trained):
        return column
    name = str(column.name)
    known = trained.categories.to_numpy(object)
    known_texts, known_places = converter.distinct_texts(name, known, range(len(known)))
    texts, places = converter.distinct_texts(name, column.to_numpy(object), column.index)
    names = [known_texts[place] for place in known_places]
    unseen = sorted(set(texts) - {*names, ""})
    codes_by_text = {text: code for code, text in enumerate([*names, *unseen]) if text}
    codes = np.array([codes_by_text.get(text, -1) for text in texts])[places]  # -1 is missing
    dtype = trained
    if unseen:
        dtype = pd.CategoricalDtype([*known, *unseen], trained.ordered)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype), column.index)


def _have_same_codes(own: Any, trained: pd.CategoricalDtype) -> bool:
    """Return True if a type has the categories of another one, in its order."""
    if not isinstance(own, pd.CategoricalDtype) or own.ordered != trained.ordered:
        return False
    return bool(own.categories.equals(trained.categories))


def _exactly(numbers: "pd.Series[float]", dtype: str) -> "pd.Series[Any]":
    """Return numbers in another type, or as they are if that type does not hold all of them."""
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            typed = numbers.astype(pd.api.types.pandas_dtype(dtype))
    except (TypeError, ValueError):
        return numbers
    return typed if typed.astype("float64").equals(numbers) else numbers


def trained_dates(dtypes: Mapping[str, str]) -> list[str]:
    """Return the columns of dates."""
    return [name for name, dtype in dtypes.items() if dtype.startswith("datetime64")]


def zoned_columns(dtypes: Mapping[str, str]) -> list[str]:
    """Return the columns of dates with a time zone."""
    return [name for name in trained_dates(dtypes) if "," in dtypes[name]]


def date_columns(options: Options) -> list[str]:
    """Return the columns that ``parse_dates`` names."""
    names = options.get("parse_dates")
    return list(map(str, names)) if isinstance(names, list) else []


def _dtype(name: str, options: Options) -> Any:
    """Return the argument ``dtype`` for a column; None leaves it to its cells."""
    dtype = column_option(options, "dtype", name)
    with naming("read_csv: dtype"):
        return None if dtype is None else pd.api.types.pandas_dtype(dtype)


def _numbers(column: "pd.Series[Any]", converter: CellConverter) -> Floats:
    """Return the numbers of a column, float64 (N,), NaN for a missing one.

    Most texts of numbers are converted by Arrow, in a third of the time. What it takes is a number
    for `CellConverter` too; what it does not take is decided there.

    Raises:
        ValueError: If a cell is not a number.
    """
    name = str(column.name)
    if column.dtype != "str":
        return converter.numbers(name, column.to_numpy(), column.index)
    cells = pa.array(column)
    numbers = np.empty(len(cells))
    for first in range(0, len(cells), _CELLS_PER_BLOCK):
        block = slice(first, first + _CELLS_PER_BLOCK)
        plain = _plain_numbers(name, cells[block], converter)
        numbers[block] = converter.numbers(name, plain, column.index[block])
    return numbers


def _plain_numbers(name: str, block: Any, converter: CellConverter) -> Any:
    """Return the numbers of a block of texts, or the texts if Arrow does not take all of them."""
    options = converter.options
    is_plain = options.get("decimal", ".") == "." and not options.get("thousands")
    if is_plain and name not in converter.dates:
        try:
            numbers = block.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return block.to_pylist()
        if np.isfinite(numbers).sum() == len(block) - block.null_count:  # Arrow takes nan and inf
            return numbers
    return block.to_pylist()


def _as_written(column: "pd.Series[Any]", values: Floats, options: Options) -> Any:
    """Return numbers as pandas types them: without decimals they are integers, or booleans.

    Whole numbers that neither a float nor an integer of 64 bits holds stay text.
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


def _first_code(
    column: "pd.Series[Any]", values: Floats | None, converter: CellConverter
) -> str | None:
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
            converter.numbers(str(column.name), [text], [0])
        except ValueError:
            others.append(text)
    mark = re.escape(mark)
    marked = re.compile(rf"\s*[-+]?\d[\d.,{mark}]*{mark}[\d.,{mark}]*(e[-+]?\d+)?\s*", re.I)
    return others[0] if all(map(marked.fullmatch, others)) else None


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
    fix: Fix = read_arguments(first, frame[first].dropna())
    if "parse_dates" not in fix:
        fix = {"dtype": dict.fromkeys(codes, "category")}
    advice = "int makes numbers of codes"
    if options.get("thousands"):
        advice += "; or leave thousands out, or give parse_dates with date_format"
    return InputError(
        f"{source}: column {first!r} would make another number of {text!r}. Keep it by "
        f"{inline({'read_csv': fix})} ({advice}).",
        {"read_csv": fix},
    )


def _dates(column: "pd.Series[Any]", converter: CellConverter, source: str) -> Any:
    """Return the dates of texts, which are all in one time zone or have none."""
    name = str(column.name)
    form = converter.date_format(name)
    try:
        distinct, places = converter.distinct_dates(name, column.to_numpy(), column.index)
        dates: Any = pd.to_datetime(pd.Series(distinct, dtype="object"))
    except ValueError as error:
        raise InputError(
            f"{source}: the cells of column {name!r}, such as {column.dropna().iloc[0]!r}, are not "
            f"all dates of the date_format {form or 'ISO 8601'!r}, in one time zone. Correct them, "
            "or give read_csv: {date_format: '%d.%m.%Y'} or the like; a time_column of several "
            "zones is not parsed."
        ) from error
    return dates.take(places).set_axis(column.index)
