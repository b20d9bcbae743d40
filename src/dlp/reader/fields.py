"""Columns of a table as a page asks for their cells: kind, typical cell, categories, range."""

from collections.abc import Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

#: Column of a data frame.
Column: TypeAlias = "pd.Series[Any]"

_ISO_DATE = "%Y-%m-%d"
_ISO_TIME = "%Y-%m-%dT%H:%M:%S"


class Field(TypedDict):
    """Column of a table.

    Args:
        name: Name of the column.
        kind: Kind of its cells.
        typical: Median of numbers and dates, most frequent category; empty for texts.
        categories: Categories of the training rows.
        date_format: Format of dates.
        range: Least and greatest number of the training rows.
    """

    name: str
    kind: Literal["number", "date", "category", "text"]
    typical: float | str
    categories: list[str] | None
    date_format: str | None
    range: list[float] | None


def is_date(column: Column) -> bool:
    """Return True for dates with or without a time zone."""
    return column.dtype.kind == "M"


def is_numeric_or_date(column: Column) -> bool:
    """Return True for numbers, booleans and dates."""
    from pandas.api.types import is_numeric_dtype  # an exported model has no column to ask about

    return is_numeric_dtype(column) or is_date(column)


def text_field(name: str) -> Field:
    """Return the field of a column of texts, which has no typical cell."""
    return Field(name=name, kind="text", typical="", categories=None, date_format=None, range=None)


def number_field(name: str, numbers: NDArray[np.float64]) -> Field:
    """Return the field of a column of numbers (N,), NaN for a missing one."""
    field = text_field(name)
    present = numbers[~np.isnan(numbers)]
    if len(present):
        field["kind"] = "number"
        field["typical"] = float(np.median(present))
        field["range"] = [float(present.min()), float(present.max())]
    return field


def category_field(name: str, texts: Sequence[str], places: NDArray[np.int64]) -> Field:
    """Return the field of a column of categories.

    Args:
        name: Name of the column.
        texts: Distinct texts of its cells; a missing cell is an empty text.
        places: Place of the text of each cell in `texts`, (N,).
    """
    field = text_field(name)
    counts = np.bincount(places, minlength=len(texts))
    counts_by_text: dict[str, int] = {}
    for text, count in zip(texts, counts.tolist(), strict=True):
        counts_by_text[text] = counts_by_text.get(text, 0) + count
    categories = sorted(counts_by_text, key=lambda text: (not text, text))  # the empty one last
    present = [category for category in categories if category]
    field["kind"] = "category"
    field["typical"] = max(present, key=counts_by_text.__getitem__, default="")
    field["categories"] = categories
    return field


def date_field(dates: Column, date_format: str | None) -> Field:
    """Return the field of a column of dates.

    Args:
        dates: Cells with the name of the column.
        date_format: Format of dates in the training table; None is ISO 8601.
    """
    field = text_field(str(dates.name))
    typical = _typical_date(dates.dropna())
    form = shown_date_format(typical, date_format)
    field["kind"] = "date"
    field["date_format"] = form
    if typical is not None:
        field["typical"] = typical.strftime(form)
    return field


def _typical_date(dates: Column) -> datetime | None:
    """Return the median of dates; of those with a time of day if there are any."""
    import pandas as pd

    if not len(dates):
        return None
    with_time = dates[dates != dates.dt.normalize()]
    if len(with_time):
        dates = with_time
    median: Any = dates.quantile(interpolation="lower")
    return pd.Timestamp(median)


def shown_date_format(date: datetime | None, date_format: str | None) -> str:
    """Return the format in which a page takes dates.

    Args:
        date: Typical date; None for none.
        date_format: Format of the training table; None is ISO 8601, with the time of day and the
            offset from UTC if `date` has them.
    """
    if date_format is not None:
        return date_format
    if date is None:
        return _ISO_DATE
    if date.tzinfo is not None:
        return f"{_ISO_TIME}%z"
    if date.time() != time():
        return _ISO_TIME
    return _ISO_DATE
