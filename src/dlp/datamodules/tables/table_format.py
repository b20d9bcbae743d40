"""How a table is written: what a person may say of its file, and what was found of each column."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from dlp.errors import InputError, unknown

Decimal = Literal[".", ","]
DateStyle = Literal["year first", "day first", "month first", "YYYYMMDD", "named month"]


@dataclass(frozen=True)
class TableFormat:
    """How a table is written; what is not given is found out and said, or asked for.

    Args:
        separator: What stands between the cells of a CSV; by default a comma, semicolon, tab or
            bar, whichever cuts all lines alike.
        encoding: Of a CSV, such as cp1252; by default what the first bytes say, else UTF-8.
        decimal: The decimal mark, for columns that leave it open, such as one of 1.234 and 5.678.
        day_first: Whether 03/04/2024 is the third of April, for columns that leave it open.
        na_values: Cells that mean "missing", such as NA. Without it only the empty cell does.
        header: The names of the columns of a CSV whose first line is a row like others.
        quotes: Whether quotes around a cell of a CSV hold it together; by default they do, unless
            some are never closed and every line has as many cells without them.
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: Decimal | None = None
    day_first: bool | None = None
    na_values: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    quotes: bool | None = None

    @classmethod
    def of(cls, given: "TableFormat | Mapping[str, Any] | None") -> "TableFormat | None":
        """Return a format; in Python one may be given as in a config, ``{"decimal": ","}``.

        Raises:
            InputError: A key or a value is not accepted.
        """
        if given is None or isinstance(given, TableFormat):
            return given
        known = [field.name for field in fields(cls)]
        if strange := [key for key in given if key not in known]:
            raise unknown("key of table_format", str(strange[0]), known)
        return cls(**given)

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            InputError: The separator is no single character, the encoding is not known, the
                decimal mark is neither point nor comma, or a list is a single text.
        """
        for name in ("na_values", "header"):
            if isinstance(given := getattr(self, name), str):
                raise InputError(f"table_format: {name} must be a list, such as [{given!r}].")
            object.__setattr__(self, name, tuple(given))  # a list in Python, and then in its hash
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise InputError(
                f"table_format: separator must be one character, got {self.separator!r}."
            )
        if len(set(self.header)) < len(self.header):
            raise InputError("table_format: header must name every column by another name.")
        if self.decimal is not None and self.decimal not in get_args(Decimal):
            raise unknown("decimal of table_format", self.decimal, get_args(Decimal))
        if self.encoding is not None:
            try:
                "a".encode(self.encoding)  # more are known than are of text, such as base64
            except (LookupError, UnicodeError) as error:
                raise InputError(
                    f"table_format: there is no encoding {self.encoding!r}. Accepted: utf-8, "
                    "utf-16, cp1252 (Western Windows), latin-1, and others that Python knows."
                ) from error


@dataclass(frozen=True)
class ColumnFormat:
    """How the cells of a column are written, as plain values for a checkpoint.

    Args:
        kind: What they are; ``plain`` is a column that was no text in its file (Parquet).
        decimal: The decimal mark of numbers.
        thousands: The mark between thousands; empty where there is none.
        unit: A currency, % or word (kg) that every number has; empty where there is none.
        whole: Whether the numbers are whole, and written as such.
        date: The style of dates.
    """

    kind: Literal["number", "boolean", "date", "text", "empty", "plain"]
    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    whole: bool = False
    date: DateStyle | None = None

    def words(self) -> str:
        """Return in words what differs from plain numbers and ISO dates."""
        if self.kind == "date" and self.date not in (None, "year first"):
            return f"written {self.date}"
        said = []
        if self.decimal == ",":
            said.append("decimal comma")
        if self.thousands:
            said.append("thousands by " + {" ": "spaces"}.get(self.thousands, repr(self.thousands)))
        if self.unit:
            said.append(f"in {self.unit}")
        return ", ".join(said)

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "ColumnFormat":
        """Return what its plain values were; other keys, of older versions, are ignored."""
        return cls(**{name: state[name] for name in cls.__match_args__ if name in state})
