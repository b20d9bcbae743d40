"""Rows of a JSON file: an object a line, a list of objects, or a list for each column."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from dlp.datamodules.file_text import read_text
from dlp.errors import InputError
from dlp.table_places import line_index

JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
#: An escaped backslash, a character beyond 16 bits in its two halves; or a half without the other.
_HALVES = re.compile(
    r"(\\\\|\\u(?i:d[89ab][0-9a-f]{2})\\u(?i:d[c-f][0-9a-f]{2}))|\\u(?i:d[89a-f][0-9a-f]{2})"
)
_SHAPES = "an object a line, a list of objects, or an object with a list for each column"


def read_json_rows(path: Path, encoding: str | None = None) -> pd.DataFrame:
    """Return the rows of a JSON file; cells keep the type they have there, absent ones are None.

    The index, ``line`` and ``row`` or of a list ``row``, says where each row stands (see `place`).

    Args:
        path: The file.
        encoding: Its encoding; by default what its first bytes say, else UTF-8.

    Raises:
        InputError: It is no JSON, or holds no such rows.
    """
    text, _ = read_text(path, encoding)
    if "\\ud" in text or "\\uD" in text:  # half an emoji, of a text that was cut, is no character
        text = _HALVES.sub(lambda found: found[1] or "?", text)
    if not text.strip():
        raise InputError(f"{path} is empty: it must have a row for each text.")
    numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    first = numbered[0][1].strip()
    by_line = first.startswith("{") and first.endswith("}")
    with suppress(ValueError):
        json.loads(first)
        by_line = True
    if by_line and not (len(numbered) == 1 and first.startswith("[")):
        rows = [_object(path, number, line, numbered[-1][0]) for number, line in numbered]
        if len(rows) > 1 or (table := _of_columns(rows[0])) is None:
            return _of_rows(rows, line_index([number for number, _ in numbered]))
        return table
    return _whole(path, text)


def without_missing(frame: pd.DataFrame, na_values: Sequence[str]) -> pd.DataFrame:
    """Return cells, None where they are texts or numbers that mean "missing"."""
    if not na_values:
        return frame
    marks: set[object] = {mark.strip() for mark in na_values}
    marks |= {*pd.to_numeric(pd.Series(na_values, dtype=object), errors="coerce").dropna()}

    def known(cell: Any) -> Any:
        key = cell.strip() if isinstance(cell, str) else cell
        return None if type(key) in (str, int, float) and key in marks else cell

    columns = {name: [*map(known, cells)] for name, cells in frame.items()}
    return pd.DataFrame(columns, frame.index, dtype=object)


def _object(path: Path, number: int, line: str, last: int) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_once_each)
    except InputError as error:
        raise InputError(f"cannot read {path}: in line {number} {error}") from error
    except ValueError as error:
        if line.startswith("{'"):
            raise InputError(
                f"cannot read {path}: line {number} is no JSON but written in Python's notation "
                f"({_start(line)}). Write each row anew, by json.dumps(ast.literal_eval(line))."
            ) from error
        cut = " The file seems to be cut off." if number == last else ""
        raise InputError(
            f"cannot read {path}: line {number} is no JSON ({error}): {_start(line)}.{cut} "
            "Correct or remove the line."
        ) from error
    if not isinstance(row, dict):
        raise InputError(
            f"cannot read {path}: line {number} is no object, such as "
            f'{{"text": "...", "label": "..."}}, but {_start(line)}.'
        )
    return row


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, where `json` would silently take the last value of a twin key."""
    row = dict(pairs)
    twins = len(row) < len(pairs) and [k for k, value in pairs if repr(row[k]) != repr(value)]
    if twins:
        raise InputError(
            f"an object has the key {twins[0]!r} twice, with two values: which one holds? "
            "Give each a name of its own."
        )
    return row


def _whole(path: Path, text: str) -> pd.DataFrame:
    try:
        content = json.loads(text, object_pairs_hook=_once_each)
    except InputError as error:
        raise InputError(f"cannot read {path}: {error}") from error
    except ValueError as error:
        python = text.lstrip("[ \n").startswith("{'")
        why = "it is written in Python's notation, with ' for \"" if python else str(error)
        raise InputError(f"cannot read {path} as JSON: {why}. Accepted: {_SHAPES}.") from error
    if isinstance(content, dict):
        table = _of_columns(content)
        if table is not None:
            return table
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise InputError(f"{path} holds no rows: accepted are {_SHAPES}.")
    return _of_rows(content, pd.RangeIndex(len(content), name="row"))


def _of_columns(content: dict[str, Any]) -> pd.DataFrame | None:
    """Return the table of an object with a list, or an object by row names, for each column."""
    columns = list(content.values())
    if columns and all(isinstance(column, dict) for column in columns):
        if any(column.keys() != columns[0].keys() for column in columns):
            return None
        columns = [[column[row] for row in columns[0]] for column in columns]
    if len(columns) < 2 or not all(isinstance(column, list) for column in columns):
        return None
    if any(len(column) != len(columns[0]) for column in columns):
        return None
    index = pd.RangeIndex(len(columns[0]), name="row")
    return pd.DataFrame(dict(zip(content, columns, strict=True)), index, dtype=object)


def _of_rows(rows: list[dict[str, Any]], index: pd.Index) -> pd.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pd.DataFrame(columns, index, dtype=object)


def _start(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:57]}...")
