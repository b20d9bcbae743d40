"""Convert the columns of new tables to the types that they had in training."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlp.reader.cells import CellConverter
from dlp.reader.encoder import Floats, Options
from dlp.reader.fields import Column, is_date

_CELLS_PER_BLOCK = 2**16  # a block fits into the CPU's cache


def table_as_trained(
    frame: pd.DataFrame, options: Options, dtypes: Mapping[str, str]
) -> pd.DataFrame:
    """Convert text columns that contained numbers or dates in training.

    If a cell cannot be converted, its column stays unchanged, and the encoder reports the cell.

    Args:
        frame: Table. Its columns are replaced.
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


def column_as_trained(column: Column, dtype: str, converter: CellConverter) -> Any:
    """Return a column with the type that it had in training, regardless of the type of its cells.

    Raises:
        ValueError: If a cell cannot be converted.
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
    numbers = pd.Series(column_numbers(column, converter), column.index)
    if is_moment:
        microseconds = (numbers * 86_400e6).round()
        moments: Any = pd.to_datetime(microseconds, unit="us", utc="," in dtype)
        return moments.astype(dtype)
    return _exactly(numbers, dtype)


def categories_as_trained(
    column: Column, trained: pd.CategoricalDtype, converter: CellConverter
) -> Column:
    """Return a column of categories with the codes that they had in training.

    Categories that are unseen in training have the next codes.
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
    """Return True if a type has the same categories as another one, in the same order."""
    if not isinstance(own, pd.CategoricalDtype) or own.ordered != trained.ordered:
        return False
    return bool(own.categories.equals(trained.categories))


def _exactly(numbers: "pd.Series[float]", dtype: str) -> Column:
    """Return numbers in another type, or unchanged if that type cannot represent all of them."""
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            typed = numbers.astype(pd.api.types.pandas_dtype(dtype))
    except (TypeError, ValueError):
        return numbers
    return typed if typed.astype("float64").equals(numbers) else numbers


def trained_dates(dtypes: Mapping[str, str]) -> list[str]:
    """Return the names of the columns of dates."""
    return [name for name, dtype in dtypes.items() if dtype.startswith("datetime64")]


def zoned_columns(dtypes: Mapping[str, str]) -> list[str]:
    """Return the names of the columns of dates with a time zone."""
    return [name for name in trained_dates(dtypes) if "," in dtypes[name]]


def column_numbers(column: Column, converter: CellConverter) -> Floats:
    """Return the numbers of a column, float64 (N,), with NaN for missing cells.

    Arrow converts most texts, in a third of the time. A text that Arrow accepts is also a number
    for `CellConverter`, and `CellConverter` decides on all other texts.

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
    """Return the numbers of a block of texts, or the texts if Arrow rejects one."""
    options = converter.options
    is_plain = options.get("decimal", ".") == "." and not options.get("thousands")
    if is_plain and name not in converter.dates:
        try:
            numbers = block.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return block.to_pylist()
        if np.isfinite(numbers).sum() == len(block) - block.null_count:  # Arrow accepts nan and inf
            return numbers
    return block.to_pylist()
