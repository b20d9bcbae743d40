"""Numbers as people write them: decimal marks, thousands, percent, currencies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
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
_CODE = re.compile(r"[+\-]?0\d+")
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
        unit: A currency or %, which every cell has; empty where there is none.
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


def look_at_numbers(cells: Sequence[str]) -> NumberCells:
    """Return what cells without blanks around them are as numbers.

    Codes such as 00501 are no numbers: one of them makes all cells of the column bad.
    """
    cells = [cell.translate(_PLAIN) for cell in cells]
    found = [_CELL.fullmatch(cell) for cell in cells]
    if any(_CODE.fullmatch(cell) for cell in cells):
        return NumberCells([], np.ones(len(cells), np.bool_), set(), False)
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
    for decimal, thousands in _STYLES:
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


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    mark = re.escape(decimal)
    grouped = _GROUPED_BY_COMMAS + "|" if thousands == "," else ""
    if thousands and not grouped:
        grouped = _GROUPED.replace("X", re.escape(thousands)) + "|"
    return re.compile(rf"(?:(?:{grouped}\d+)(?:{mark}\d*)?|{mark}\d+){_EXPONENT}")
