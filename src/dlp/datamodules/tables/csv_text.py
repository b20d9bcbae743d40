"""From the bytes of a CSV to its cells as text: encoding, separator, header, one check a line."""

import csv
import io
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from dlp.datamodules.file_text import read_text
from dlp.datamodules.tables.csv_rows import Marks, long_cells, read_rows
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
#: Records and characters that the separator is found by.
_RECORDS, _SAMPLE = 200, 1 << 18
_TOTALS = {
    *("total", "totals", "grand total", "sum", "subtotal", "average", "mean"),
    *("summe", "gesamt", "gesamtsumme", "mittelwert", "totaux", "somme", "moyenne", "totale"),
}


@dataclass
class CSVCells:
    """The cells of a CSV.

    Args:
        header: The names of the columns, without blanks around them.
        columns: Of each column its cells, as they stand in the file.
        lines: The line of the file where each row begins, from 1.
        numbers: The number of each row below the header, from 0; blank lines are no rows.
        dialect: Separator and encoding in words.
        separator: The separator.
        notes: What was passed over.
    """

    header: list[str]
    columns: list[tuple[str, ...]]
    lines: list[int]
    numbers: list[int]
    dialect: str
    separator: str
    notes: list[str] = field(default_factory=list)


def read_cells(path: Path, options: TableFormat) -> CSVCells:
    """Return the cells of a CSV, packed by gzip or not.

    Raises:
        InputError: It is no text of the encoding, or a line has more or fewer cells than the
            header; the line is named.
        OSError: It cannot be read.
    """
    text, encoding = read_text(path, options.encoding)
    text, first, given, notes = _beginning(text)
    if not text.strip():
        raise InputError(f"{path} is empty.")
    quote = "'" if _in_single_quotes(text) else '"'
    separator = options.separator or given or _separator(path, text, quote)
    marks = Marks(separator, quote, _SEPARATORS.get(separator, repr(separator)))
    found = read_rows(path, text, marks, options, first)
    notes += found.notes
    rows, lines, numbers = found.rows, found.lines, found.numbers
    if options.header:
        header = [*options.header]
        _check_given(path, header, rows[0])
    else:
        header = [name.strip() for name in rows.pop(0)]
        del lines[0], numbers[0]
        if not rows:
            raise InputError(f"{path} has no row below its header.")
        _check_header(path, header)
    _check_last(path, rows, lines[-1])
    word = _SEPARATORS.get(separator, repr(separator))
    columns = list(zip(*rows, strict=True))
    dialect = f"CSV ({word}, {encoding})" if len(header) > 1 else f"CSV (one column, {encoding})"
    return CSVCells(header, columns, lines, numbers, dialect, separator, notes)


# Text -------------------------------------------------------------------------------------------


def _beginning(text: str) -> tuple[str, int, str | None, list[str]]:
    """Return the text from its header on, its first line, a separator it names, and notes."""
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
    """Return the separator that cuts the first lines alike.

    Raises:
        InputError: Two of them do.
    """
    sample = text[:_SAMPLE]
    whole = len(sample) == len(text)
    found: dict[str, tuple[float, int]] = {}
    for mark in _SEPARATORS:
        reader = csv.reader(
            io.StringIO(sample, newline=""), delimiter=mark, quotechar=quote, skipinitialspace=True
        )
        with long_cells():
            rows = [row for row in islice(reader, _RECORDS) if row]
        rows = rows if whole or len(rows) == _RECORDS else rows[:-1]
        width = len(rows[0]) if rows else 0
        if width > 1:
            found[mark] = sum(len(row) == width for row in rows) / len(rows), width
    if not found:
        return ","
    best = max(
        found, key=lambda mark: (found[mark][0], mark == "\t" and "tsv" in path.name.lower())
    )
    alike = [mark for mark in found if found[mark][0] == 1]
    if len(alike) < 2:
        if found[best][0] < 1:  # one that leaves lines uncut: the header's commonest tells more
            return max(found, key=lambda mark: (found[mark][1], found[mark][0]))
        return best
    if best == "\t" and "tsv" in path.name.lower():
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
