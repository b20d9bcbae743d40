"""Columns of a table as a page asks for their cells: kind, typical cell, categories, range."""

from collections.abc import Collection
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

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


def describe_column(
    column: Column,
    texts: Collection[str],
    categorical: Collection[str],
    date_format: str | None,
) -> Field:
    """Describe a column of the training rows; the categories of a text are not known yet.

    Args:
        column: Cells with the name of the column.
        texts: Columns of texts, which have no typical cell.
        categorical: Columns of categories, whatever they look like.
        date_format: Format of dates in the training table; None is ISO 8601.
    """
    import pandas as pd  # an exported model learns nothing

    name = str(column.name)
    field = Field(name=name, kind="text", typical="", categories=None, date_format=None, range=None)
    cells = column.dropna()
    if is_date(column):
        field["kind"] = "date"
        typical = _typical_date(cells)
        form = shown_date_format(typical, date_format)
        field["date_format"] = form
        if typical is not None:
            field["typical"] = typical.strftime(form)
    elif name in texts or not len(cells):
        return field
    elif pd.api.types.is_numeric_dtype(column) and name not in categorical:
        field["kind"] = "number"
        field["typical"] = float(cells.median())
        field["range"] = [float(cells.min()), float(cells.max())]
    else:
        field["typical"] = str(cells.mode().iloc[0])
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
