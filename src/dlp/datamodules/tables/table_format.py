"""What a person may say of a table's file where the file itself leaves it open."""

import codecs
from dataclasses import dataclass
from typing import Literal, get_args

from dlp.errors import InputError, unknown

Decimal = Literal[".", ","]


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

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            InputError: The separator is no single character, the encoding is not known, or the
                decimal mark is neither point nor comma.
        """
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
                codecs.lookup(self.encoding)
            except LookupError as error:
                raise InputError(
                    f"table_format: there is no encoding {self.encoding!r}. Accepted: utf-8, "
                    "utf-16, cp1252 (Western Windows), latin-1, and others that Python knows."
                ) from error
