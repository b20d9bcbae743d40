"""Numbers as people write them: decimal marks, thousands, percent, currencies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
#: What a column's style says of the decimal mark of its file: nothing, if it leaves it open.
Mark = Literal["", ".", ","]


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a column are written.

    Args:
        decimal: The decimal mark.
        thousands: The mark between thousands; empty where there is none.
        unit: A currency, % or word (kg), which every cell has; empty where there is none.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def words(self) -> str:
        """Return what is not plain about it."""
        said = []
        if self.decimal == ",":
            said.append("decimal comma")
        if self.thousands:
            said.append("thousands by " + {" ": "spaces"}.get(self.thousands, repr(self.thousands)))
        if self.unit:
            said.append(f"in {self.unit}")
        return ", ".join(said)


@dataclass(frozen=True)
class NumberCells:
    """The cells of a column, looked at as numbers.

    Args:
        readings: Each style that all cells allow and its values, float64 (N,); those with equal
            values are one.
        bad: The cells that are no number in the best style, bool (N,).
        units: The units that occur, an empty text among them where a cell has none.
        whole: Whether the values are whole numbers, written as such.
    """

    readings: list[tuple[NumberStyle, NDArray[np.float64]]]
    bad: NDArray[np.bool_]
    units: set[str]
    whole: bool

    def mark(self) -> Mark:
        """Return the decimal mark that these cells prove; empty where they leave it open."""
        if len(self.readings) != 1:
            return ""
        style = self.readings[0][0]
        if style.thousands in (".", ","):
            return "," if style.thousands == "." else "."
        if self.whole:
            return ""
        return "." if style.decimal == "." else ","


def look_at_amounts(cells: Sequence[str]) -> NumberCells:
    """Return what cells are as numbers; also where each has the same word behind it, or a clock's.

    ``12 kg`` is 12 if every cell is in kg; ``1:30`` is 1.5.
    """
    if (found := _clock_times(cells)) is not None:
        return found
    word = _word_behind(cells[0])
    if word and all(_word_behind(cell) == word for cell in cells):
        found = look_at_numbers([cell[: -len(word)].strip() for cell in cells])
        if found.readings and found.units == {""}:
            readings = [(replace(style, unit=word), values) for style, values in found.readings]
            return replace(found, readings=readings, units={word})
    return look_at_numbers(cells)


def with_words(cells: Sequence[str]) -> list[str]:
    """Return those of some different texts that are numbers with words behind them, like 12 kg.

    None, where there are few of them, or most of the texts are something else.
    """
    found = [cell for cell in cells if _word_behind(cell)]
    return found if len(found) > max(FEW_AMOUNTS, len(cells) // 2) else []


def _word_behind(cell: str) -> str:
    """Return the word behind a number; an empty text where there is none, or a known unit."""
    found = _WITH_WORD.fullmatch(cell)
    return "" if found is None or _CELL.fullmatch(cell) else found["word"]


def _clock_times(cells: Sequence[str]) -> NumberCells | None:
    """Return times of one form, in their first part (7:30 is 7.5); None for all other cells."""
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
    short = forms.pop()[0]
    unit = CLOCKS[0] if short else CLOCKS[1]
    return NumberCells(
        [(NumberStyle(unit=unit), values)], np.zeros(len(cells), np.bool_), {unit}, False
    )


def look_at_numbers(cells: Sequence[str]) -> NumberCells:
    """Return what cells without blanks around them are as numbers.

    Codes such as 00501 are no numbers: one of them makes all cells of the column bad.
    """
    together = "\n".join(cells)
    if any(chr(mark) in together for mark in _PLAIN):
        cells = [cell.translate(_PLAIN) for cell in cells]
        together = "\n".join(cells)
    found = [_CELL.fullmatch(cell) for cell in cells[:_FIRST]]
    if _CODE.search(together) or not any(found):
        return NumberCells([], np.ones(len(cells), np.bool_), set(), False)
    if (plain_ones := _plain_numbers(cells, together)) is not None:
        return plain_ones
    found += [_CELL.fullmatch(cell) for cell in cells[_FIRST:]]
    bodies: list[str] = []
    negative = np.zeros(len(cells), np.bool_)
    fits = np.zeros(len(cells), np.bool_)
    units: set[str] = set()
    for number, match in enumerate(found):
        bodies.append("")
        if match is None or bool(match["open"]) != bool(match["close"]):
            continue
        if (match["before"] and match["after"]) or (match["sign"] and match["inner"]):
            continue
        fits[number] = True
        units.add(match["before"] or match["after"] or "")
        minus = "-" in (match["sign"], match["inner"])
        negative[number] = minus != bool(match["open"])
        bodies[number] = _SPACES.sub(" ", match["body"]).strip()
    best = np.ones(len(cells), np.bool_)
    readings: list[tuple[NumberStyle, NDArray[np.float64]]] = []
    unit = next(iter(units)) if len(units) == 1 else ""
    marks = {mark for mark in ".,' " if any(mark in body for body in bodies)}
    for decimal, thousands in _STYLES:
        if (thousands and thousands not in marks) or not {decimal, thousands} & {*marks, "."}:
            continue  # as another style without these marks
        pattern = _pattern(decimal, thousands)
        good = [ok and bool(pattern.fullmatch(body)) for ok, body in zip(fits, bodies, strict=True)]
        bad = ~np.array(good, np.bool_)
        if bad.sum() < best.sum():
            best = bad
        if bad.any():
            continue
        plain = [body.replace(thousands, "") if thousands else body for body in bodies]
        values = np.array([float(body.replace(decimal, ".")) for body in plain], np.float64)
        values = np.where(negative, -values, values)
        if not any(np.array_equal(values, other) for _, other in readings):
            readings.append((NumberStyle(decimal, thousands, unit), values))
    whole = bool(readings) and not any(
        readings[0][0].decimal in body or "e" in body.lower() for body in bodies
    )
    return NumberCells(readings, best, units, whole)


def _plain_numbers(cells: Sequence[str], together: str) -> NumberCells | None:
    """Return cells that are plain numbers, and nothing else; None for all others."""
    if "." in together and not _POINT.search(together):
        return None
    values = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(np.float64)
    if not np.isfinite(values).all():
        return None
    none = np.zeros(len(cells), np.bool_)
    whole = re.search(r"[.eE]", together) is None
    return NumberCells([(NumberStyle(), values)], none, {""}, whole)


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    mark = re.escape(decimal)
    grouped = _GROUPED_BY_COMMAS + "|" if thousands == "," else ""
    if thousands and not grouped:
        grouped = _GROUPED.replace("X", re.escape(thousands)) + "|"
    return re.compile(rf"(?:(?:{grouped}\d+)(?:{mark}\d*)?|{mark}\d+){_EXPONENT}")
