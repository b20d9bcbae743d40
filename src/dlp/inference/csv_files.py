"""Predict the rows of a CSV, and return them as a CSV with the same conventions."""

import csv
import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from dlp.reader.files import csv_encoding, csv_options, csv_separator, csv_table
from dlp.reader.rows import Columns

if TYPE_CHECKING:
    from dlp.inference.predictor import Predictor

_ROWS_PER_PIECE = 4096
_SHOWN_ROWS = 5


class PredictedCSV(NamedTuple):
    """CSV with the rows of a file and their predictions.

    Args:
        content: Content of the new CSV.
        encoding: Encoding of the content.
        columns: Names of the columns, including the predictions' columns.
        first_rows: Cells of the first five rows, to show them.
        num_rows: Number of rows.
    """

    content: bytes
    encoding: str
    columns: list[str]
    first_rows: list[list[str]]
    num_rows: int


def predict_csv(
    predictor: "Predictor",
    file: BinaryIO,
    name: str,
    turn: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> PredictedCSV:
    """Predict the rows of a CSV that has the same conventions as the training table.

    The result contains the columns of the file, followed by the columns of the predictions. It has
    the same encoding, separator, decimal mark and line endings as the file. If a column of the file
    has the same name as a column of the predictions, ``(input)`` is added to its name.

    Args:
        predictor: Predictor with a model of tables or texts.
        file: File, opened for its bytes.
        name: Name of the file, for its ending and for error messages.
        turn: Function that returns a context manager. It is entered while the column names are read
            and while each piece of the file is predicted, so that several calls can take turns.

    Raises:
        ReaderError: If the file or a row cannot be read.
    """
    options = csv_options(predictor.encoder)
    encoding = csv_encoding(options)
    start = file.read(2**16)
    file.seek(0)
    if encoding == "utf-8-sig" and not start.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8"
    table = csv_table(file, name, predictor.encoder)
    with turn():
        names = next(table)
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=csv_separator(name, options),
        lineterminator="\r\n" if b"\r\n" in start else "\n",
    )
    decimal = options.get("decimal", ".")
    columns: list[str] = []
    first_rows: list[list[str]] = []
    num_rows = 0
    while lines := list(islice(table, _ROWS_PER_PIECE)):
        cells = dict(zip(names, zip(*lines, strict=True), strict=True))
        with turn():
            predictions = predictor.predict(Columns(cells, range(num_rows, num_rows + len(lines))))
        if not columns:
            added = list(predictions.columns)
            columns = _renamed(names, added) + added
            writer.writerow(columns)
        for line, answer in zip(lines, predictions.itertuples(index=False), strict=True):
            line += [_text(cell, decimal) for cell in answer]
        writer.writerows(lines)
        first_rows += lines[: _SHOWN_ROWS - len(first_rows)]
        num_rows += len(lines)
    content = text.getvalue().encode(encoding, "backslashreplace")
    return PredictedCSV(content, encoding, columns, first_rows, num_rows)


def _renamed(names: list[str], added: list[str]) -> list[str]:
    """Return the names of columns, changed if they equal the name of an added column."""
    columns = []
    for name in names:
        column = name
        if name in added:
            column = f"{name} (input)"
            while column in (*names, *added):
                column += " (input)"
        columns.append(column)
    return columns


def _text(cell: Any, decimal: str) -> str:
    """Return the text of a cell: a text unchanged, and a number with nine significant digits."""
    if isinstance(cell, str):
        return cell
    return f"{cell:.9g}".replace(".", decimal)
