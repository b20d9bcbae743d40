"""Rows from the command line, or from files of tables, JSON or NumPy."""

import codecs
import csv
import gzip
import io
import json
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .encoder import AnyEncoder, Options
from .rows import ReaderError
from .text import TextEncoder

_Scalar = str | bool | int | float | None
#: Arguments of ``pandas.read_csv``, by name; a text stays the text that it is.
CSVArguments = Mapping[str, _Scalar | list[_Scalar] | dict[Any, _Scalar | list[_Scalar]]]

#: Last line of a text whose quotes are all closed; it contains no character that separates cells.
_END = "\ue000"
_TABLES = (".csv", ".tsv", ".txt")
_CSV_OPTIONS = {
    "sep",
    "encoding",
    "decimal",
    "thousands",
    "na_values",
    "keep_default_na",
    "dtype",
    "parse_dates",
    "date_format",
    "header",
    "names",
    "skiprows",
    "skipfooter",
    "nrows",  # of the training table: new rows are all read
    "index_col",  # this and the next name columns, which rows given as dictionaries have already
    "usecols",
    "engine",  # these two choose among the parsers of pandas
    "low_memory",
}
_CHUNK = 2**20
_QUOTES = {"quotechar", "quoting", "escapechar", "doublequote", "skipinitialspace"}


def typed_rows(words: Sequence[str], encoder: AnyEncoder) -> list[Any]:
    """Return the rows in the files that words name; other words are rows themselves.

    Raises:
        ReaderError: If a file cannot be read.
    """
    rows: list[Any] = []
    for word in words:
        ending = Path(word).suffix.lower()
        if ending in _TABLES and encoder.kind != "image":
            with Path(word).open("rb") as file:
                lines = csv_table(file, word, encoder)
                names = next(lines)
                rows += [dict(zip(names, line, strict=True)) for line in lines]
        elif ending == ".json":
            rows += _read_json(word)
        elif ending == ".npy":
            try:
                rows += list(np.load(word))
            except (ValueError, EOFError) as error:
                raise ReaderError(
                    f"{word} is not an array of numbers in NumPy's format."
                ) from error
        elif os.path.isdir(word):  # noqa: PTH112  # Path.is_dir fails for a long text
            raise ReaderError(f"{word} is a folder: give its files, such as {word}/*.")
        elif encoder.kind != "image" and os.path.exists(word):  # noqa: PTH110  # as above
            raise ReaderError(f"{word} is not a file of rows: give a .csv, .tsv, .json or .npy.")
        else:
            rows.append(word)
    return rows


def _read_json(path: str) -> list[Any]:
    try:
        content = json.loads(Path(path).read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of JSON, and bytes that are not UTF-8
        raise ReaderError(f"{path} cannot be read as JSON in UTF-8: {error}.") from error
    if not isinstance(content, list):
        raise ReaderError(f"{path} does not contain a list of rows.")
    return content


def csv_table(file: BinaryIO, name: str, encoder: AnyEncoder) -> Iterator[list[str]]:
    """Yield the names of the columns of a CSV, then the cells of each row.

    A file .txt for a model of texts has a text per line.

    Args:
        file: Content of the file.
        name: Name of the file, for its ending and for errors.
        encoder: Encoder of the rows, with the arguments of ``pandas.read_csv`` of the training
            table.

    Raises:
        ReaderError: If the file does not follow these arguments.
    """
    ending = Path(name).suffix.lower()
    if ending not in _TABLES:
        raise ReaderError(f"{name} is not a CSV: give one of {', '.join(_TABLES)}.")
    options = csv_options(encoder)
    separator = csv_separator(name, options)
    given = {option for option, value in options.items() if value is not None}
    unknown = given - _CSV_OPTIONS - _QUOTES
    if len(separator) != 1:
        unknown.add("sep")
    if unknown:
        raise ReaderError(
            f"{name} cannot be read: the training table was read with read_csv arguments that need "
            f"pandas ({', '.join(sorted(unknown))}). Give the rows in JSON."
        )
    note = utf8_note(file, name, options)
    if note is not None:
        warnings.warn(note, stacklevel=2)
    encoding = csv_encoding(options)
    try:
        with io.TextIOWrapper(file, encoding, newline="") as text:
            if ending == ".txt" and isinstance(encoder, TextEncoder):
                yield from _text_lines(text, name, encoder.column)
            else:
                yield from _table(_cells(text, separator, options), name, separator, options)
    except UnicodeError as error:
        raise ReaderError(
            f"{name} is not in {encoding.removesuffix('-sig')}, the encoding of the training "
            "table; save it in that one."
        ) from error
    except csv.Error as error:
        raise ReaderError(f"{name} cannot be read as a CSV: {error}.") from error


def _text_lines(lines: Iterable[str], name: str, column: str) -> Iterator[list[str]]:
    """Yield the name of the column of texts, then the text of each line."""
    yield [column]
    line = None
    for line in lines:
        yield [line.rstrip("\r\n")]
    if line is None:
        raise ReaderError(f"{name} has no rows.")


def _table(
    lines: Iterator[list[str]], name: str, separator: str, options: Options
) -> Iterator[list[str]]:
    """Yield the names of the columns, then the rows, which must have as many cells."""
    lines = _without_skipped(lines, options)
    header = header_row(options)
    for _ in range(header or 0):
        next(lines, None)
    first = next(lines, None)
    if first is None:
        raise ReaderError(f"{name} has no rows.")
    names = first
    if header is None:
        names = [str(place) for place in range(len(first))]
        lines = chain([first], lines)
    names = list(map(str, options.get("names") or names))
    names = [column or f"Unnamed: {place}" for place, column in enumerate(names)]  # as in pandas
    for column in names:
        if names.count(column) > 1:
            raise ReaderError(f"{name} has two columns called {column!r}; rename one.")
    yield names
    row = None
    for row, cells in enumerate(lines):
        if len(names) > 1 and "quoting" not in options:
            _check_quotes(cells, len(names), name, separator)
        if len(cells) != len(names):
            raise ReaderError(
                f"{name} has rows of different widths: row {row} has {len(cells)} cells, the "
                f"header {len(names)}."
            )
        yield cells
    if row is None:
        raise ReaderError(f"{name} has no rows.")


def _check_quotes(cells: Sequence[str], width: int, name: str, separator: str) -> None:
    """Refuse a row with a cell in which quotes join rows, as `dlp predict` does."""
    for cell in cells:
        if "\n" in cell and is_joined(cell, separator, width):
            raise ReaderError(
                f"{name}: a quote joins rows into one cell, such as {cell[:60]!r}. Write a "
                "quote in a cell twice."
            )


def _without_skipped(lines: Iterator[list[str]], options: Options) -> Iterator[list[str]]:
    """Yield the lines that are neither empty nor in ``skiprows`` and ``skipfooter``.

    As in pandas, an empty line counts as a line of the footer.
    """
    skipped = options.get("skiprows") or 0
    if isinstance(skipped, int):
        skipped = range(skipped)
    is_skipped = skipped if callable(skipped) else skipped.__contains__
    num_last = options.get("skipfooter", 0)
    last: deque[list[str]] = deque()
    for number, line in enumerate(lines):
        if not is_skipped(number):
            last.append(line)
        if len(last) > num_last:
            first = last.popleft()
            if not _is_blank(first):
                yield first


def _is_blank(line: Sequence[str]) -> bool:
    """Return True for a line without cells, or with white space only."""
    return not line or (len(line) == 1 and line[0].isspace())


def csv_options(encoder: AnyEncoder) -> Options:
    """Return the arguments of ``pandas.read_csv`` by which the training table was read."""
    return encoder.read_csv or {}


def csv_separator(name: str, options: Options) -> str:
    """Return the separator of a CSV; by default .tsv and .tsv.gz have tabs, others have commas."""
    if options.get("sep") is not None:
        return str(options["sep"])
    return "\t" if name.lower().endswith((".tsv", ".tsv.gz")) else ","


def header_row(options: Options) -> int | None:
    """Return the row of a CSV with the names of its columns, from 0; None if it has no such row.

    Raises:
        ReaderError: If ``header`` is not one row.
    """
    header = options.get("header", "infer")
    if header == "infer":
        return None if options.get("names") else 0
    if header is None or isinstance(header, int):
        return header
    raise ReaderError(f"read_csv: header takes the number of one row or null, not {header!r}.")


def csv_encoding(options: Options) -> str:
    """Return the encoding of a CSV; UTF-8 is with or without a byte order mark."""
    encoding = options.get("encoding") or "utf-8"
    if codecs.lookup(encoding).name == "utf-8":
        return "utf-8-sig"
    return str(encoding)


def utf8_note(file: BinaryIO, name: str, options: Options) -> str | None:
    """Return a note on a CSV that is in UTF-8 but is read in another encoding.

    Raises:
        ReaderError: If the file begins with the mark of UTF-8.
    """
    encoding = csv_encoding(options)
    if encoding.lower().startswith("utf"):
        return None
    start = file.read(len(codecs.BOM_UTF8))
    file.seek(0)
    if start == codecs.BOM_UTF8:
        raise ReaderError(
            f"{name} begins with the mark of UTF-8, but is read as {encoding}. Save it as "
            f"{encoding}, or train on a table in UTF-8."
        )
    if not _is_utf8(file):
        return None
    return (
        f"{name} seems to be in UTF-8, but is read as {encoding}, so that letters such as ö are "
        f"wrong; save it as {encoding}"
    )


def _is_utf8(file: BinaryIO) -> bool:
    """Return True if a file has characters outside of ASCII, and all are in UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_ascii = True
    try:
        while piece := file.read(_CHUNK):
            is_ascii = decoder.decode(piece).isascii() and is_ascii
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return not is_ascii


def open_csv(path: Path) -> Any:
    """Open a CSV, or the same as .gz, for its bytes."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path)
    return path.open("rb")


def csv_lines(path: Path, options: Options, strict: bool = False) -> Iterator[list[str]]:
    """Yield the cells of each line that is neither empty nor skipped.

    Args:
        path: Path of the file.
        options: Arguments of ``pandas.read_csv``.
        strict: Whether a letter after a closing quote is an error.
    """
    with open_csv(path) as file, io.TextIOWrapper(file, csv_encoding(options), newline="") as text:
        lines = _cells(text, csv_separator(path.name, options), options, strict)
        yield from _without_skipped(lines, options)


def _cells(
    text: Iterable[str], separator: str, options: Options, strict: bool = False
) -> Iterator[list[str]]:
    """Yield the cells of each line.

    Raises:
        csv.Error: If a quote is not closed at the end of the text.
    """
    quotes = {option: options[option] for option in _QUOTES.intersection(options)}
    if quotes.get("quoting") == csv.QUOTE_NONNUMERIC:  # it would make floats of the other cells
        quotes["quoting"] = csv.QUOTE_MINIMAL
    csv.field_size_limit(2**31 - 1)
    lines = chain(text, [_END])
    for cells in csv.reader(lines, delimiter=separator, strict=strict, **quotes):
        if cells == [_END]:
            return
        yield cells
    raise csv.Error("a quote is not closed")


def is_joined(cell: str, separator: str, width: int) -> bool:
    """Return True for a cell whose lines are rows; many texts with several lines contain commas."""
    counts = [line.count(separator) for line in cell.split("\n")]
    if separator == ",":
        return set(counts[1:-1]) == {width - 1}
    return sum(counts) >= (width - 1) * (len(counts) - 1)
