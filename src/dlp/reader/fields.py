"""Columns of a table as a page asks for their cells: kind, typical cell, categories, range."""

from datetime import datetime, time
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    import pandas as pd

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


def is_date(column: "pd.Series[Any]") -> bool:
    """Return True for dates with or without a time zone."""
    return column.dtype.kind == "M"


def typical_cell(column: "pd.Series[Any]") -> float | str:
    """Return the median of numbers and dates, or the most frequent category; empty without a cell.

    If a column has times of day, so does its typical cell. A date is in the format of ISO 8601.
    """
    import pandas as pd  # an exported model learns nothing

    if not column.count():
        return ""
    if is_date(column):
        dates: Any = column.dropna()
        with_time = dates[dates != dates.dt.normalize()]
        if len(with_time):
            dates = with_time
        return pd.Timestamp(dates.quantile(interpolation="lower")).isoformat()
    if pd.api.types.is_numeric_dtype(column):
        return float(column.median())
    return str(column.mode().iloc[0])


def number_range(column: "pd.Series[Any]") -> list[float] | None:
    """Return the least and the greatest number of a column of numbers; None for other columns."""
    import pandas as pd

    if is_date(column) or not pd.api.types.is_numeric_dtype(column) or not column.count():
        return None
    return [float(column.min()), float(column.max())]


def shown_date_format(cell: str, date_format: str | None) -> str:
    """Return the format in which a page takes dates.

    Args:
        cell: Typical date by ISO 8601; empty for none.
        date_format: Format of the training table; None is ISO 8601, with the time of day and the
            offset from UTC if `cell` has them.
    """
    if date_format is not None:
        return date_format
    if not cell:
        return _ISO_DATE
    date = datetime.fromisoformat(cell)
    if date.tzinfo is not None:
        return f"{_ISO_TIME}%z"
    if date.time() != time():
        return _ISO_TIME
    return _ISO_DATE
