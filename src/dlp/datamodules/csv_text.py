"""From the bytes of a CSV to its cells as text: encoding, separator, header, one check a line."""

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock

from dlp.datamodules.table_format import TableFormat
from dlp.errors import InputError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
#: The marks at the beginning of a file that name its encoding, the longer ones first.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}
#: Records and characters that the separator is found by.
_RECORDS, _SAMPLE = 200, 1 << 18
_TOTALS = {
    *("total", "totals", "grand total", "sum", "subtotal", "average", "mean"),
    *("summe", "gesamt", "gesamtsumme", "mittelwert", "totaux", "somme", "moyenne", "totale"),
}
_LIMIT = Lock()


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
    text, encoding = _decoded(path, options.encoding)
    text, first, given, notes = _beginning(text)
    if not text.strip():
        raise InputError(f"{path} is empty.")
    quote = "'" if _in_single_quotes(text) else '"'
    separator = options.separator or given or _separator(path, text, quote)
    rows, lines, numbers = _rows(path, text, separator, quote, first, notes)
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


def _decoded(path: Path, given: str | None) -> tuple[str, str]:
    """Return the text of a file and its encoding in words."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path} is damaged or cut off: {error}.") from error
    elif path.name.lower().endswith(".gz"):
        raise InputError(f"{path} is not packed by gzip, as its name says: rename or pack it.")
    if content.startswith((b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0")):
        kind = "Parquet" if content.startswith(b"PAR1") else "a spreadsheet or zip archive"
        raise InputError(f"{path} is no CSV but {kind}: save it as CSV, or name it by its kind.")
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    encoding = given or marked or _unmarked(content)
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = content[:at].count(b"\n") + 1
        name = _ENCODINGS.get(encoding, encoding)
        raise InputError(
            f"{path} is not {name} text (byte 0x{content[at : at + 1].hex()} in line {line}). Save "
            "it as UTF-8 ('CSV UTF-8' in a spreadsheet's save dialog), or say its encoding: "
            "table_format: {encoding: cp1252} for Western Windows."
        ) from error
    text = text.removeprefix("\ufeff")
    if (at := text.find("\0")) >= 0:
        line = text[:at].count("\n") + 1
        raise InputError(
            f"{path} holds a NUL byte in line {line}: it is damaged or no text. Write it anew."
        )
    return text, _ENCODINGS.get(encoding, encoding)


def _unmarked(content: bytes) -> str:
    """Return the encoding of a file without a mark: UTF-16 where every other byte is empty."""
    sample = content[:1000]
    half = len(sample) // 2
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if half and sample[offset::2].count(0) > 0.9 * half:
            return name
    return "utf-8"


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
        with _long_cells():
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


# Rows -------------------------------------------------------------------------------------------


def _rows(
    path: Path, text: str, separator: str, quote: str, first: int, notes: list[str]
) -> tuple[list[list[str]], list[int], list[int]]:
    """Return header and rows, all as wide as the header; the line where each begins; its number.

    Raises:
        InputError: A line has another number of cells, repeats the header, or its quotes are not
            closed.
    """
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quotechar=quote,
        skipinitialspace=True,
        strict=True,
    )
    rows: list[list[str]] = []
    lines: list[int] = []
    numbers: list[int] = []
    begin, width, blank = first, 0, 0
    try:
        with _long_cells():
            for row in reader:
                line, begin = begin, first + reader.line_num
                if not row:
                    continue
                width = width or len(row)
                if len(row) != width:
                    if len(row) < width or any(cell.strip() for cell in row[width:]):
                        raise _uneven(path, row, width, line, lines, separator)
                    row = row[:width]
                if not any(row):
                    blank += 1
                    continue
                if rows and row == rows[0]:
                    raise InputError(
                        f"line {line} of {path} repeats the header: files were put below each "
                        "other. Delete that line."
                    )
                numbers.append(len(rows) + blank - 1)
                rows.append(row)
                lines.append(line)
    except csv.Error as error:
        raise InputError(
            f"{path} cannot be read as a table: {error}, in the row that begins in line {begin}. "
            "Quotes inside a quoted cell must be doubled, and every quoted cell closed."
        ) from error
    if blank:
        notes.append(f"{blank:,} rows without any value are passed over")
    if not rows:
        raise InputError(f"{path} is empty.")
    return rows, lines, numbers


def _uneven(
    path: Path, row: list[str], width: int, line: int, lines: list[int], separator: str
) -> InputError:
    word = _SEPARATORS.get(separator, repr(separator))
    header = f"the header (line {lines[0]})" if lines else "the header"
    if len(row) < width:
        advice = (
            f"Delete the line if it is a title or a footer, write the missing {word}s, or say the "
            "separator: table_format: {separator: ...}."
        )
    else:
        advice = f"Put cells that hold a {word} in quotes, or name every column."
    return InputError(
        f"{path} cannot be read as a table: line {line} has {len(row)} cells, {header} {width}. "
        f"{advice}"
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
        "a header above it."
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


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be longer than the 131,072 characters that csv allows by default."""
    with _LIMIT:
        before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)
