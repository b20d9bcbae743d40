"""Dates as people write them: ISO 8601, day or month first, with names of months."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.tables.table_format import ColumnFormat, DateStyle

#: Year, month and day as numbers in any order, perhaps a time behind them, and a zone.
_NUMBERS = re.compile(
    r"(?P<first>\d{1,4})(?P<mark>[-/.])(?P<second>\d{1,2})(?P=mark)(?P<third>\d{1,4})"
    r"(?P<time>[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?::(?P<seconds>\d{2})(?:[.,](?P<part>\d+))?)?\s*(?P<half>[AaPp][Mm])?)?"
    r"\s*(?P<zone>Z|UTC|[+\-]\d{2}(?::?\d{2})?)?"
)
_MONTH = re.compile(r"(?:19|20)\d{2}-(?:0[1-9]|1[0-2])")
_COMPACT = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_NAMED = re.compile(r"\d{1,2}[- ][A-Za-z]{3,9}\.?[-, ]+\d{4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}")
_NAMED_FORMATS = ("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y")

#: So many different cells tell whether a column is anything like dates.
_FIRST = 200


@dataclass(frozen=True)
class DateCells:
    """What the cells of a column are, if they are dates.

    Args:
        readings: Each format that all cells allow and their dates in it, datetime64 (N,): two,
            where day and month may be swapped.
        share: The share of the cells that look like dates of any style, 0 to 1.
        bad: The first cell that is no date of the commonest form, or of any.
        proven: Whether a cell proves that the day, or the month, stands first.
    """

    readings: list[tuple[ColumnFormat, NDArray[np.datetime64]]]
    share: float = 0.0
    bad: int = 0
    proven: bool = False


def look_at_dates(cells: Sequence[str]) -> DateCells:
    """Return how cells, without blanks around them, can be read as dates."""
    if not any(map(_form, set(cells[:_FIRST]))):
        return DateCells([])
    forms = [_form(cell) for cell in cells]
    counts = Counter(form for form in forms if form)
    form = max(counts, key=counts.__getitem__)
    share = (counts.total() - counts["YYYYMMDD"]) / len(cells)
    if counts[form] < len(cells) or form == "two digits":
        bad = next((number for number, other in enumerate(forms) if other != form), 0)
        return DateCells([], share, bad)
    styles: tuple[DateStyle, ...] = ("day first", "month first")
    if len(form) > 1:
        styles = (cast(DateStyle, form),)
    parsed = {style: _parsed(cells, style) for style in styles}
    readings = [
        (ColumnFormat("date", date=style), dates)
        for style, dates in parsed.items()
        if not np.isnat(dates).any()
    ]
    if not readings:
        failed = min((np.isnat(dates) for dates in parsed.values()), key=np.sum)
        return DateCells([], share and float((~failed).mean()), int(failed.argmax()))
    proven = len(styles) == 2 and len(readings) == 1
    if form == ".":  # with points between them the day stands first
        readings = readings[:1]
    return DateCells(readings, 1.0, 0, proven)


def _form(cell: str) -> str:
    """Return the kind of date that a cell looks like; empty where it looks like none.

    Where the day or the month stands first, the kind is the mark between the numbers.
    """
    if (found := _NUMBERS.fullmatch(cell)) is not None:
        first, second, third = (len(found[name]) for name in ("first", "second", "third"))
        if first == 4 and third <= 2:
            return "year first"
        if third == 4 and first <= 2 and not found["zone"]:
            return found["mark"]
        padded = found["mark"] == "/" or first == second == 2
        if third == 2 and first <= 2 and padded and not found["zone"]:
            return "two digits"
        return ""
    if _MONTH.fullmatch(cell):
        return "year first"
    if _COMPACT.fullmatch(cell):
        return "YYYYMMDD"
    return "named month" if _NAMED.fullmatch(cell) else ""


def _parsed(cells: Sequence[str], style: DateStyle) -> NDArray[np.datetime64]:
    """Return the dates of cells, in UTC where they name a zone, (N,); NaT where one is none."""
    series = pd.Series(list(cells), dtype=object)
    if style == "YYYYMMDD":
        parsed = pd.to_datetime(series, format="%Y%m%d", errors="coerce", utc=True)
    elif style == "named month":
        plain = series.str.replace(r"[-,. ]+", " ", regex=True)
        parsed = pd.Series(pd.NaT, index=series.index, dtype="datetime64[ns, UTC]")
        for form in _NAMED_FORMATS:
            found = pd.to_datetime(plain, format=form, errors="coerce", utc=True)
            parsed = parsed.where(parsed.notna(), found)
    else:
        # The plain way is tried first: there pandas is fast.
        iso = series if style == "year first" else series.map(partial(_as_iso, style=style))
        parsed = pd.to_datetime(iso, format="ISO8601", errors="coerce", utc=True)
        if style == "year first" and (other := parsed.isna()).any():
            iso = series.where(~other, series[other].map(partial(_as_iso, style=style)))
            parsed = pd.to_datetime(iso, format="ISO8601", errors="coerce", utc=True)
    return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _as_iso(cell: str, style: DateStyle) -> str:
    """Return a date as ISO 8601 writes it; an empty text where the cell is no date."""
    found = _NUMBERS.fullmatch(cell)
    if found is None:
        return ""
    numbers = found["first"], found["second"], found["third"]
    order = {"year first": (0, 1, 2), "day first": (2, 1, 0), "month first": (2, 0, 1)}[style]
    year, month, day = (numbers[place] for place in order)
    text = f"{year}-{month:0>2}-{day:0>2}"
    if found["time"]:
        hour = int(found["hour"])
        if found["half"]:
            if not 1 <= hour <= 12:
                return ""
            hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
        text += f"T{hour:02}:{found['minute']}:{found['seconds'] or '00'}"
        text += f".{found['part'][:6]}" if found["part"] else ""
    zone = (found["zone"] or "").replace("UTC", "Z")
    return text + (f"{zone}:00" if re.fullmatch(r"[+-]\d{2}", zone) else zone)
