"""Formats of dates: which ones the texts of a column may be in."""

import re
from collections.abc import Mapping

import pandas as pd

from dlp.reader.encoder import Options

_DATE = re.compile(r"\d\d?([/.-])\d\d?\1(\d{4}|\d\d)( \d\d?:\d\d(:\d\d)?( [AP]M)?)?", re.IGNORECASE)
_LIKE_DATES = r".*\d[-/. ](\d\d?|[^\W\d_]{3,9})[-/. ,]+\d.*"


def date_formats(cells: "pd.Series[str]", options: Options) -> list[str]:
    """Return the formats that all cells have: none, one, or two if day and month may be swapped.

    A date with slashes or hyphens begins with its month or its day, one with dots with its day, for
    example 12/31/2021, 31-12-21 10:30 or 31.12.2021. If the user's formats of other columns begin
    with one of the two, this column begins likewise.

    Args:
        cells: Texts without missing ones, (N,).
        options: The user's arguments of ``read_csv``.
    """
    match = _DATE.fullmatch(cells.iloc[0]) if len(cells) else None
    if match is None:
        return []
    mark, year, time, seconds, half = match.groups()
    ending = mark + ("%Y" if len(year) == 4 else "%y")
    if time:
        ending += " %I" if half else " %H"
        ending += ":%M:%S" if seconds else ":%M"
        ending += " %p" if half else ""
    orders = [f"%d{mark}%m"] if mark == "." else [f"%m{mark}%d", f"%d{mark}%m"]
    formats = [order + ending for order in orders]
    possible = []
    for form in formats:
        if pd.to_datetime(cells, format=form, errors="coerce").notna().all():
            possible.append(form)
    used = _first_directives(options)
    if len(possible) > 1 and len(used) == 1:
        possible = [form for form in possible if form[:2] in used]
    return possible


def look_like_dates(cells: "pd.Series[str]") -> bool:
    """Return True if most cells contain a date in some notation."""
    return bool(cells.str.fullmatch(_LIKE_DATES).mean() > 0.5)


def _first_directives(options: Options) -> set[str]:
    """Return %d, %m or both: how the user's formats of dates with day and month first begin."""
    formats = options.get("date_format") or {}
    values = formats.values() if isinstance(formats, Mapping) else [formats]
    return {form[:2] for form in values} & {"%d", "%m"}
