"""Dates as people write them: ISO 8601, day or month first, with names of months."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.tables.table_format import ColumnFormat, DateStyle

_TIME = r"(?:[T ]\s*\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[AaPp][Mm])?)?"
_ZONE = r"(?:\s*(?:Z|UTC|[+\-]\d{2}(?::?\d{2})?))?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}{_ZONE}")
_MONTH = re.compile(r"(?:19|20)\d{2}-(?:0[1-9]|1[0-2])")
_LOCAL = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}})({_TIME})")
_TWO_DIGITS = re.compile(rf"(?:\d{{1,2}}/\d{{1,2}}/\d{{2}}|\d{{2}}([-.])\d{{2}}\1\d{{2}}){_TIME}")
_COMPACT = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_NAMED = re.compile(r"\d{1,2}[- ][A-Za-z]{3,9}\.?[-, ]+\d{4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}")
_NAMED_FORMATS = ("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y")

#: So many different cells tell whether a column is anything like dates.
_FIRST = 200

_STYLES: dict[str, tuple[DateStyle, ...]] = {
    "year first": ("year first",),
    "YYYYMMDD": ("YYYYMMDD",),
    "named month": ("named month",),
}


@dataclass(frozen=True)
class DateCells:
    """The cells of a column, looked at as dates.

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
    """Return what cells without blanks around them are as dates."""
    if not any(_form(cell) for cell in cells[:_FIRST]):
        return DateCells([])
    forms = [_form(cell) for cell in cells]
    counts = Counter(form for form in forms if form)
    form = max(counts, key=counts.__getitem__)
    share = (counts.total() - counts["YYYYMMDD"]) / len(cells)
    if counts[form] < len(cells) or form == "two digits":
        bad = next((number for number, other in enumerate(forms) if other != form), 0)
        return DateCells([], share, bad)
    styles = _STYLES.get(form, ("day first", "month first"))
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
    """Return what kind of date a cell looks like; of local ones the mark between its numbers."""
    if _YEAR_FIRST.fullmatch(cell) or _MONTH.fullmatch(cell):
        return "year first"
    if (found := _LOCAL.fullmatch(cell)) is not None:
        return found[2]
    if _TWO_DIGITS.fullmatch(cell):
        return "two digits"
    if _COMPACT.fullmatch(cell):
        return "YYYYMMDD"
    return "named month" if _NAMED.fullmatch(cell) else ""


def _parsed(cells: Sequence[str], style: DateStyle) -> NDArray[np.datetime64]:
    """Return the dates of cells, in UTC where they name a zone, (N,); NaT where one is none."""
    series = pd.Series(list(cells), dtype=object)
    if style == "YYYYMMDD":
        parsed = pd.to_datetime(series, format="%Y%m%d", errors="coerce", utc=True)
    elif style == "year first":
        parsed = pd.to_datetime(series, format="ISO8601", errors="coerce", utc=True)
        if (other := parsed.isna()).any():
            plain = series.where(~other, series[other].map(_as_iso))
            parsed = pd.to_datetime(plain, format="ISO8601", errors="coerce", utc=True)
    elif style == "named month":
        plain = series.str.replace(r"[-,. ]+", " ", regex=True)
        parsed = pd.Series(pd.NaT, index=series.index, dtype="datetime64[ns, UTC]")
        for form in _NAMED_FORMATS:
            found = pd.to_datetime(plain, format=form, errors="coerce", utc=True)
            parsed = parsed.where(parsed.notna(), found)
    else:
        day, month = (1, 3) if style == "day first" else (3, 1)

        def iso(cell: str) -> str:
            found = _LOCAL.fullmatch(cell)
            if found is None:
                return ""
            return _as_iso(f"{found[4]}-{found[month]:0>2}-{found[day]:0>2}{found[5]}")

        parsed = pd.to_datetime(series.map(iso), format="ISO8601", errors="coerce", utc=True)
    return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _as_iso(cell: str) -> str:
    """Return a date whose year comes first as ISO 8601 has it."""
    found = re.fullmatch(
        r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
        r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*([AaPp][Mm])?)?(.*)",
        cell,
    )
    if found is None:
        return ""
    year, month, day, hour, minute, second, part, half, zone = found.groups()
    text = f"{year}-{int(month):02}-{int(day):02}"
    if hour is not None:
        number = int(hour)
        if half is not None:
            if not 1 <= number <= 12:
                return ""
            number = number % 12 + (12 if half.lower() == "pm" else 0)
        text += f"T{number:02}:{minute}:{second or '00'}" + (f".{part[:6]}" if part else "")
    zone = zone.strip().replace("UTC", "Z")
    if re.fullmatch(r"[+-]\d{2}\d{2}", zone):
        zone = f"{zone[:3]}:{zone[3:]}"
    return text + (f"{zone}:00" if re.fullmatch(r"[+-]\d{2}", zone) else zone)
