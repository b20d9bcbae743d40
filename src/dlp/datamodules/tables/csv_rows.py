"""From the text of a CSV to its rows, all as wide as the first: what quotes mean, and each line."""

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError

_LIMIT = Lock()


@dataclass(frozen=True)
class Marks:
    """What cuts a CSV into cells.

    Args:
        separator: What stands between cells.
        quote: What may stand around a cell.
        word: The separator in words.
    """

    separator: str
    quote: str
    word: str


@dataclass
class CSVRows:
    """The rows of a CSV, its header among them.

    Args:
        rows: The cells of each.
        lines: The line of the file where each begins, from 1.
        numbers: The number of each below the header, from 0; blank lines are no rows.
        notes: What was passed over.
    """

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_rows(path: Path, text: str, marks: Marks, options: TableFormat, first: int) -> CSVRows:
    """Return the rows of a CSV.

    Quotes around a cell hold it together. Where they cannot (a quote that nothing closes, text
    behind one) in a file of tabs whose every line has as many cells as the first without them, they
    are letters.

    Args:
        path: The file, for messages.
        text: Its text, from the header on.
        marks: What cuts it.
        options: What a person says of it.
        first: The line where `text` begins.

    Raises:
        InputError: A line has another number of cells, or repeats the header; quotes are not
            closed; or the rows are other ones with quotes and without, and nothing tells which.
    """
    if options.quotes is not None:
        return _rows(path, text, marks, options.quotes, options, first)
    plain = marks.quote in text and _cuts_alike(text, marks)
    try:
        found = _rows(path, text, marks, True, options, first)
    except InputError:
        if not plain or marks.separator != "\t":  # elsewhere programs quote; a file may be cut off
            raise
        found = _rows(path, text, marks, False, options, first)
        found.notes.append(
            f"{marks.quote} is taken as a part of the text: some are never closed, and without "
            "them every line has as many cells as the first"
        )
        return found
    if plain and (row := _first_of_several_lines(found.rows)) is not None:
        end = found.lines[row + 1] - 1 if row + 1 < len(found.lines) else text.count("\n") + first
        raise InputError(
            f"{path}: a quote in line {found.lines[row]} makes one row of the lines up to {end}, "
            "and without it each of them is a row. Say which by table_format: {quotes: true}, if "
            "quotes hold cells together, or {quotes: false}."
        )
    return found


def _first_of_several_lines(rows: list[list[str]]) -> int | None:
    several = (row for row, cells in enumerate(rows) if any("\n" in cell for cell in cells))
    return next(several, None)


def _reader(text: str, marks: Marks, quotes: bool) -> Any:
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=marks.separator,
        quotechar=marks.quote,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        skipinitialspace=True,
        strict=True,
    )


def _cuts_alike(text: str, marks: Marks) -> bool:
    """Return whether every line has as many cells as the first, two or more, without quotes."""
    width = 0
    with long_cells():
        for row in _reader(text, marks, False):
            if row and len(row) != (width := width or len(row)):
                return False
    return width > 1


def _rows(
    path: Path, text: str, marks: Marks, quotes: bool, options: TableFormat, first: int
) -> CSVRows:
    """Return the rows with or without quotes that hold cells together, checked."""
    found, reader = CSVRows(), _reader(text, marks, quotes)
    rows, lines, above = found.rows, found.lines, 0 if options.header else 1
    begin, width, blank = first, 0, 0
    try:
        with long_cells():
            for row in reader:
                line, begin = begin, first + reader.line_num
                if not row:
                    continue
                width = width or len(row)
                if len(row) != width:
                    if len(row) < width or any(cell.strip() for cell in row[width:]):
                        raise _uneven(path, row, width, line, lines, marks.word)
                    row = row[:width]
                if not any(row):
                    blank += 1
                    continue
                if above and rows and row == rows[0]:
                    raise InputError(
                        f"line {line} of {path} repeats the header: files were put below each "
                        "other. Delete that line."
                    )
                found.numbers.append(len(rows) + blank - above)
                rows.append(row if quotes else [_bare(cell, marks.quote) for cell in row])
                lines.append(line)
    except csv.Error as error:
        raise InputError(
            f"{path} cannot be read as a table: {error}, in the row that begins in line {begin}. "
            "Quotes inside a quoted cell must be doubled, and every quoted cell closed. Where "
            "quotes hold no cells together, say table_format: {quotes: false}."
        ) from error
    if blank:
        found.notes.append(f"{blank:,} rows without any value are passed over")
    if not rows:
        raise InputError(f"{path} is empty.")
    return found


def _bare(cell: str, quote: str) -> str:
    """Return a cell without the quotes around it, if they are a pair."""
    inner = cell[1:-1].replace(2 * quote, "")
    if len(cell) > 1 and cell[0] == cell[-1] == quote and quote not in inner:
        return cell[1:-1].replace(2 * quote, quote)
    return cell


def _uneven(
    path: Path, row: list[str], width: int, line: int, lines: list[int], word: str
) -> InputError:
    header = f"the header (line {lines[0]})" if lines else "the header"
    if len(row) < width:
        advice = (
            f"Delete the line if it is a title or a footer, write the missing {word}s, or say the "
            "separator: table_format: {separator: ...}."
        )
    elif width == 1:
        advice = (
            f"Delete the lines above the header if they are a title, or put cells that hold a "
            f"{word} in quotes."
        )
    else:
        advice = f"Put cells that hold a {word} in quotes, or name every column."
    return InputError(
        f"{path} cannot be read as a table: line {line} has {len(row)} cells, {header} {width}. "
        f"{advice}"
    )


@contextmanager
def long_cells() -> Iterator[None]:
    """Let cells be longer than the 131,072 characters that csv allows by default."""
    with _LIMIT:
        before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)
