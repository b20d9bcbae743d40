"""Numbers as people write them: decimal marks, thousands, percent, currencies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.tables.table_format import ColumnFormat

#: What may stand before or after a number, the same in every cell of a column.
_CODES = "EUR|USD|GBP|JPY|CHF|BRL|INR|SEK|NOK|DKK|PLN|CZK|AUD|CAD|CNY|MXN|ZAR|TRY|RUB|KRW"
_UNIT = rf"R\$|US\$|[$€£¥₹₽₩₺₫฿]|{_CODES}|Fr\.|kr\.?|zł|Kč|%"
_CELL = re.compile(
    rf"(?P<open>\()?(?P<sign>[+\-])?\s*(?P<before>{_UNIT})?\s*(?P<inner>[+\-])?"
    rf"(?P<body>[.,]?\d[\d.,'\s]*(?:[eE][+\-]?\d+)?)\s*(?P<after>{_UNIT})?(?P<close>\))?"
)
#: A true minus sign and apostrophe become those of keyboards.
_PLAIN = str.maketrans({"\u2212": "-", "\u2019": "'"})
_SPACES = re.compile(r"\s")
_CODE = re.compile(r"^[+\-]?0\d+$", re.MULTILINE)
#: A number whose point is the decimal mark: no three digits follow it, or no one to three precede.
_POINT = re.compile(
    r"^[+\-]?(?:(?:0|\d{4,})?\.\d+|\d+\.(?:\d{0,2}|\d{4,}))(?:[eE][+\-]?\d+)?$", re.MULTILINE
)
#: So few different ones, if they repeat, may be names: 4 cyl, 6 cyl, 1 star.
FEW_AMOUNTS = 10
#: A number with a unit of its own kind behind it: 12 kg, 80km/h, 20°C.
_WITH_WORD = re.compile(r"[+\-\u2212]?[.,]?\d[\d.,'\s]*(?P<word>°?[^\W\d_](?:[^\W\d_]|/){0,11}|°)")
#: The units of times.
CLOCKS = ("h:mm (1:30 is 1.5)", "h:mm:ss (1:30:00 is 1.5)")
#: A time of day or a length of time: 7:30, 07:30:15, 7:30 pm.
_CLOCK = re.compile(
    r"(?P<first>\d{1,3}):(?P<second>[0-5]\d)(?::(?P<third>[0-5]\d(?:\.\d+)?))?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)
#: Larger whole numbers lose digits as float64: they are numbers of things, not amounts.
_EXACT = 2**53
#: So many different cells tell whether a column is anything like numbers.
_FIRST = 200
_GROUPED = r"[1-9]\d{0,2}(?:X\d{3})+"
#: With commas in India too: 12,34,567.
_GROUPED_BY_COMMAS = r"[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}"
_EXPONENT = r"(?:[eE][+\-]?\d+)?"

#: Decimal mark and mark between thousands, the plain way first.
_STYLES = (
    (".", ""),
    (".", ","),
    (".", "'"),
    (".", " "),
    (",", ""),
    (",", "."),
    (",", "'"),
    (",", " "),
)


@dataclass(frozen=True)
class NumberCells:
    """What the cells of a column are, if they are numbers.

    Args:
        readings: Each format that all cells allow and their values in it, float64 (N,); those with
            equal values are one.
        bad: The cells that are no number in the best format, bool (N,).
        units: The units that occur, an empty text among them where a cell has none.
    """

    readings: list[tuple[ColumnFormat, NDArray[np.float64]]]
    bad: NDArray[np.bool_]
    units: set[str]


def look_at_numbers(cells: Sequence[str], amounts: bool = False) -> NumberCells:
    """Return how cells, without blanks around them, can be read as numbers.

    Codes such as 00501 are no numbers: one of them makes all cells of the column bad; so do whole
    numbers with more digits than float64 has.

    Args:
        cells: The cells, one or more.
        amounts: Whether ``12 kg`` may be 12, if every cell is in kg, and ``1:30`` be 1.5.
    """
    if amounts:
        if (found := _clock_times(cells)) is not None:
            return found
        word = _word_behind(cells[0])
        if word and all(_word_behind(cell) == word for cell in cells):
            found = _plain_or_marked([cell[: -len(word)].strip() for cell in cells])
            if found.readings and found.units == {""}:
                readings = [(replace(form, unit=word), values) for form, values in found.readings]
                return replace(found, readings=readings, units={word})
    return _plain_or_marked(cells)


def with_words(cells: Sequence[str]) -> list[str]:
    """Return the texts that are a number with a word behind it, like 12 kg.

    An empty list, where there are few of them, or where most of the texts are something else.
    """
    found = [cell for cell in cells if _word_behind(cell)]
    return found if len(found) > max(FEW_AMOUNTS, len(cells) // 2) else []


def _word_behind(cell: str) -> str:
    """Return the word behind a number; an empty text where there is none, or a known unit."""
    found = _WITH_WORD.fullmatch(cell)
    return "" if found is None or _CELL.fullmatch(cell) else found["word"]


def _clock_times(cells: Sequence[str]) -> NumberCells | None:
    """Return times of one form as numbers (7:30 is 7.5); None where a cell is no such time."""
    if _CLOCK.fullmatch(cells[0]) is None:
        return None
    values = np.zeros(len(cells), np.float64)
    forms: set[tuple[bool, bool]] = set()
    for number, cell in enumerate(cells):
        found = _CLOCK.fullmatch(cell)
        if found is None:
            return None
        first, half = int(found["first"]), (found["half"] or "").lower()
        if half:
            if not 1 <= first <= 12:
                return None
            first = first % 12 + (12 if half == "p" else 0)
        forms.add((found["third"] is None, not half))
        values[number] = first + int(found["second"]) / 60 + float(found["third"] or 0) / 3600
    if len(forms) > 1:
        return None
    unit = CLOCKS[0 if forms.pop()[0] else 1]
    reading = ColumnFormat("number", unit=unit), values
    return NumberCells([reading], np.zeros(len(cells), np.bool_), {unit})


def _plain_or_marked(cells: Sequence[str]) -> NumberCells:
    """Return how cells can be read as numbers, with or without marks and units."""
    no_number = NumberCells([], np.ones(len(cells), np.bool_), set())
    together = "\n".join(cells)
    if any(chr(mark) in together for mark in _PLAIN):
        cells = [cell.translate(_PLAIN) for cell in cells]
        together = "\n".join(cells)
    if _CODE.search(together) or not any(map(_CELL.fullmatch, cells[:_FIRST])):
        return no_number
    if "." not in together or _POINT.search(together):
        plain = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(np.float64)
        if np.isfinite(plain).all():
            whole = re.search(r"[.eE]", together) is None
            if whole and (abs(plain) >= _EXACT).any():
                return no_number
            form = ColumnFormat("number", whole=whole)
            return NumberCells([(form, plain)], ~no_number.bad, {""})
    parts = [_parts(cell) for cell in cells]
    bodies = [body for body, _, _ in parts]
    units = {unit for body, _, unit in parts if body}
    sign = np.array([-1.0 if negative else 1.0 for _, negative, _ in parts])
    unit = next(iter(units)) if len(units) == 1 else ""
    readings: list[tuple[ColumnFormat, NDArray[np.float64]]] = []
    best, whole = no_number.bad, False
    marks = {mark for mark in ".,' " if any(mark in body for body in bodies)}
    for decimal, thousands in _STYLES:
        if (thousands and thousands not in marks) or not {decimal, thousands} & {*marks, "."}:
            continue  # as another style without these marks
        pattern = _pattern(decimal, thousands)
        bad = np.array([pattern.fullmatch(body) is None for body in bodies], np.bool_)
        if bad.sum() < best.sum():
            best = bad
        if bad.any():
            continue
        if not readings:
            whole = not any(decimal in body or "e" in body.lower() for body in bodies)
        digits = [body.replace(thousands, "") if thousands else body for body in bodies]
        values = sign * np.array([float(body.replace(decimal, ".")) for body in digits])
        if whole and not readings and (abs(values) >= _EXACT).any():
            return no_number
        if not any(np.array_equal(values, other) for _, other in readings):
            is_whole = whole and bool(np.all(values % 1 == 0))
            readings.append((ColumnFormat("number", decimal, thousands, unit, is_whole), values))
    return NumberCells(readings, best, units)


def _parts(cell: str) -> tuple[str, bool, str]:
    """Return digits and marks of a number, whether it is negative, and its unit.

    Digits and marks are empty where the cell is no number.
    """
    found = _CELL.fullmatch(cell)
    if (
        found is None
        or bool(found["open"]) != bool(found["close"])
        or (found["before"] and found["after"])
        or (found["sign"] and found["inner"])
    ):
        return "", False, ""
    negative = ("-" in (found["sign"], found["inner"])) != bool(found["open"])
    body = _SPACES.sub(" ", found["body"]).strip()
    return body, negative, found["before"] or found["after"] or ""


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    mark = re.escape(decimal)
    grouped = _GROUPED_BY_COMMAS + "|" if thousands == "," else ""
    if thousands and not grouped:
        grouped = _GROUPED.replace("X", re.escape(thousands)) + "|"
    return re.compile(rf"(?:(?:{grouped}\d+)(?:{mark}\d*)?|{mark}\d+){_EXPONENT}")
