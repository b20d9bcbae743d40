"""From the text of a CSV to its header and rows of cells, each line checked.

What stands between cells is found out, what quotes mean too; what cannot be told is asked for.
"""

import csv
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from dlp.datamodules.file_text import read_text
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
#: Records and characters that the separator is found by.
_RECORDS, _SAMPLE = 200, 1 << 18
_TOTALS = {
    *("total", "totals", "grand total", "total result", "sum", "subtotal", "average", "mean"),
    *("summe", "gesamt", "gesamtsumme", "gesamtergebnis", "mittelwert", "totaux", "somme"),
    *("moyenne", "totale", "total général", "total general", "total geral", "totale complessivo"),
}
_LIMIT = Lock()


@dataclass
class CSVCells:
    """The cells of a CSV.

    Args:
        header: The names of the columns, without blanks around them.
        rows: The cells of each row as they stand in the file, all as wide as the header.
        lines: The line of the file where each row begins, from 1.
        numbers: The number of each row below the header, from 0; blank lines are no rows.
        separator: The separator.
        dialect: Separator and encoding in words.
        notes: What was passed over.
    """

    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    separator: str = ","
    dialect: str = ""
    notes: list[str] = field(default_factory=list)


def read_cells(path: Path, options: TableFormat) -> CSVCells:
    """Return the cells of a CSV, packed by gzip or not.

    Quotes around a cell hold it together. Where they cannot (a quote that nothing closes, text
    behind one) in a file of tabs whose every line has as many cells as the first without them, they
    are letters.

    Raises:
        InputError: The file is no text in its encoding; a line has more or fewer cells than the
            header, or repeats it; quotes are not closed; or the rows are other ones with quotes
            and without, and nothing tells which. The line is named.
    """
    text, encoding = read_text(path, options.encoding)
    text, first, given, notes = _beginning(text)
    if not text.strip():
        raise InputError(f"{path} is empty.")
    quote = "'" if _in_single_quotes(text) else '"'
    with _long_cells():
        separator = options.separator or given or _separator(path, text, quote)
        source = _CSVText(path, text, first, separator, quote, not options.header)
        quotes = options.quotes
        found = source.checked_rows() if quotes is None else source.rows(quotes)
    if options.header:
        found.header = [*options.header]
        _check_given(path, found.header, found.rows[0])
    else:
        found.header = [name.strip() for name in found.rows.pop(0)]
        del found.lines[0], found.numbers[0]
        if not found.rows:
            raise InputError(f"{path} has no row below its header.")
        _check_header(path, found.header)
    _check_last(path, found.rows, found.lines[-1])
    found.separator = separator
    found.dialect = f"CSV ({source.word if len(found.header) > 1 else 'one column'}, {encoding})"
    found.notes[:0] = notes
    return found


@dataclass(frozen=True)
class _CSVText:
    """The text of a CSV from its header in line `first` on, and the marks of its cells."""

    path: Path
    text: str
    first: int
    separator: str
    quote: str
    has_header: bool

    @property
    def word(self) -> str:
        """The separator in words."""
        return _SEPARATORS.get(self.separator, repr(self.separator))

    def checked_rows(self) -> CSVCells:
        """Return the rows, where the file shows whether quotes hold cells together."""
        alike = self.quote in self.text and self._is_cut_alike_without_quotes()
        try:
            found = self.rows(True)
        except InputError:
            # In files of other separators programs do quote; such a file may be cut off.
            if not alike or self.separator != "\t":
                raise
            found = self.rows(False)
            found.notes.append(
                f"{self.quote} is taken as a part of the text: some are never closed, and without "
                "them every line has as many cells as the first"
            )
            return found
        several = (n for n, row in enumerate(found.rows) if any("\n" in cell for cell in row))
        if alike and (row := next(several, None)) is not None:
            ends = [line - 1 for line in found.lines] + [self.text.count("\n") + self.first]
            raise InputError(
                f"{self.path}: a quote in line {found.lines[row]} makes one row of the lines up to "
                f"{ends[row + 1]}, and without it each of them is a row. Say which by "
                "table_format: {quotes: true}, if quotes hold cells together, or {quotes: false}."
            )
        return found

    def rows(self, quotes: bool) -> CSVCells:
        """Return the rows, header included, with or without quotes that hold cells together."""
        found, reader = CSVCells(), _reader(self.text, self.separator, self.quote, quotes)
        rows, above = found.rows, int(self.has_header)
        begin, width, blank = self.first, 0, 0
        try:
            for row in reader:
                line, begin = begin, self.first + reader.line_num
                if not row:
                    continue
                width = width or len(row)
                if len(row) != width:
                    if len(row) < width or any(cell.strip() for cell in row[width:]):
                        raise self._uneven(row, width, line, found.lines)
                    row = row[:width]
                if not any(row):
                    blank += 1
                    continue
                if above and rows and row == rows[0]:
                    raise InputError(
                        f"line {line} of {self.path} repeats the header: files were put below "
                        "each other. Delete that line."
                    )
                found.numbers.append(len(rows) + blank - above)
                rows.append(row if quotes else [_bare(cell, self.quote) for cell in row])
                found.lines.append(line)
        except csv.Error as error:
            raise InputError(
                f"{self.path} cannot be read as a table: {error}, in the row that begins in line "
                f"{begin}. Quotes inside a quoted cell must be doubled, and every quoted cell "
                "closed. Where quotes hold no cells together, say table_format: {quotes: false}."
            ) from error
        if blank:
            found.notes.append(f"{blank:,} rows without any value are passed over")
        if not rows:
            raise InputError(f"{self.path} is empty.")
        return found

    def _is_cut_alike_without_quotes(self) -> bool:
        """Return whether every line has as many cells as the first, two or more."""
        reader = _reader(self.text, self.separator, self.quote, False)
        width = len(next(filter(None, reader), []))
        return width > 1 and all(len(row) in (0, width) for row in reader)

    def _uneven(self, row: list[str], width: int, line: int, lines: list[int]) -> InputError:
        header = f"the header (line {lines[0]})" if lines else "the header"
        if len(row) < width:
            advice = (
                f"Delete the line if it is a title or a footer, write the missing {self.word}s, or "
                "say the separator: table_format: {separator: ...}."
            )
        elif width == 1:
            advice = (
                f"Delete the lines above the header if they are a title, or put cells that hold a "
                f"{self.word} in quotes."
            )
        else:
            advice = f"Put cells that hold a {self.word} in quotes, or name every column."
        return InputError(
            f"{self.path} cannot be read as a table: line {line} has {len(row)} cells, {header} "
            f"{width}. {advice}"
        )


def _bare(cell: str, quote: str) -> str:
    """Return a cell without the quotes around it, if they are a pair."""
    inner = cell[1:-1].replace(2 * quote, "")
    if len(cell) > 1 and cell[0] == cell[-1] == quote and quote not in inner:
        return cell[1:-1].replace(2 * quote, quote)
    return cell


def _reader(text: str, separator: str, quote: str, quotes: bool, strict: bool = True) -> Any:
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quotechar=quote,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        skipinitialspace=True,
        strict=strict,
    )


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be longer than the 131,072 characters that csv allows by default."""
    with _LIMIT:
        before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _beginning(text: str) -> tuple[str, int, str | None, list[str]]:
    """Return the text from its header on, the line of that, a separator it names, and notes."""
    line, given, notes = 1, None, []
    first, _, rest = text.partition("\n")
    if (found := re.fullmatch(r'"?sep=(.)"?[;,\t|]*\s*', first, flags=re.I)) is not None:
        text, line, given = rest, 2, found[1]
    comments = 0
    while True:
        first, _, rest = text.partition("\n")
        if first.strip() and not (first.startswith("#") and not _is_header(first, rest)):
            break
        if not rest:
            break
        comments += first.startswith("#")
        text, line = rest, line + 1
    if comments:
        notes.append(f"{comments} comment lines (#) above the header are passed over")
    if (found := re.match(r"#+[ \t]*(?=[\w\"'])", text)) is not None:
        text = text[found.end() :]
        notes.append("the header begins with #, which is taken for no part of its first name")
    return text, line, given, notes


def _is_header(line: str, rest: str) -> bool:
    """Return whether a line that begins with # names the columns of the lines below."""
    below = next((row for row in io.StringIO(rest) if row.strip()), "")
    for mark in _SEPARATORS:
        cells = [cell.strip("\"' \r\n") for cell in below.split(mark)]
        alike = line.count(mark) == below.count(mark) > 0 and not below.startswith("#")
        if alike and any(re.fullmatch(r"[-+]?[\d.,]+", cell) for cell in cells):
            return True
    return False


def _in_single_quotes(text: str) -> bool:
    first = text.partition("\n")[0].strip()
    names = re.split(r"[,;\t|]", first)
    return len(names) > 1 and all(re.fullmatch(r" *'[^']*' *", name) for name in names)


def _separator(path: Path, text: str, quote: str) -> str:
    """Return the separator that gives the first lines equally many cells; refuse two that do."""
    sample = text[:_SAMPLE]
    whole = len(sample) == len(text)
    found: dict[str, tuple[float, int]] = {}
    for mark in _SEPARATORS:
        reader = _reader(sample, mark, quote, True, strict=False)
        rows = [row for row in islice(reader, _RECORDS) if row]
        rows = rows if whole or len(rows) == _RECORDS else rows[:-1]
        width = len(rows[0]) if rows else 0
        if width > 1:
            found[mark] = [len(row) for row in rows].count(width) / len(rows), width
    if not found:
        return ","
    is_tsv = "tsv" in path.name.lower()
    best = max(found, key=lambda mark: (found[mark][0], mark == "\t" and is_tsv))
    if found[best][0] < 1:  # one that leaves lines uncut: the header's commonest tells more
        return max(found, key=lambda mark: (found[mark][1], found[mark][0]))
    alike = [mark for mark in found if found[mark][0] == 1]
    if len(alike) == 1 or (best == "\t" and is_tsv):
        return best
    words = " and ".join(_SEPARATORS[mark] for mark in alike)
    raise InputError(
        f"{path}: {words} both cut all its lines alike. Say which one separates the columns, such "
        f"as table_format: {{separator: '{alike[0]}'}}."
    )


def _check_header(path: Path, header: list[str]) -> None:
    """Refuse a first line that holds values: numbers alone, unless they count the columns."""
    numbers = [name for name in header if re.fullmatch(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?", name)]
    if len(numbers) < len(header):
        return
    if header in ([str(n + first) for n in range(len(header))] for first in (0, 1)):
        return
    shown = ", ".join(header[:5])
    raise InputError(
        f"the first line of {path} holds numbers alone ({shown}): it must name the columns. Write "
        "a header above it, or name them by table_format: {header: [...]}."
    )


def _check_given(path: Path, header: list[str], first: list[str]) -> None:
    """Refuse names that a person gives to a file that has more or fewer columns, or these names."""
    if len(header) != len(first):
        raise InputError(
            f"{path} has {len(first)} columns, and table_format: header names {len(header)} "
            f"({', '.join(header)}). Name each of them."
        )
    if [name.strip() for name in first] == header:
        raise InputError(
            f"the first line of {path} names the columns: leave out header of table_format."
        )


def _check_last(path: Path, rows: list[list[str]], line: int) -> None:
    """Refuse a last row that sums up the others."""
    for number, cell in enumerate(rows[-1]):
        word = cell.strip().rstrip(":").lower()
        if word in _TOTALS and len(rows) > 2:
            others = (row[number].strip().rstrip(":").lower() for row in rows[:-1])
            if word not in others:
                raise InputError(
                    f"the last row of {path} (line {line}) looks like a total ({cell.strip()!r}), "
                    "not like an example. Delete it; if it is one, move it up."
                )
