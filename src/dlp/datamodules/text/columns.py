"""Which columns of a table hold texts and labels, and what their cells may be."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.reading import ColumnReading, InputReading, Kind, clipped
from dlp.datamodules.tables.files import holds_nothing, place
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError, MissingInputError, suggestion

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


@dataclass(frozen=True)
class TextColumns:
    """Which columns of a table hold what.

    Args:
        text: The texts.
        labels: The targets; none for unlabelled texts.
        group: What texts may have in common.
        time: Numbers or dates.
        id: What people know each text by.
        truth: The targets of texts to predict, where they are there; they may be empty.
        format: What the files leave open.
        classes: Whether the labels are classes, whatever they look like.
        drop_unlabelled: Leave out rows without a label.
    """

    text: str
    labels: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    id: str | None = None
    truth: tuple[str, ...] = ()
    format: TableFormat | None = None
    classes: bool = False
    drop_unlabelled: bool = False

    @property
    def encoding(self) -> str | None:
        """The encoding of files, where a person says it."""
        return None if self.format is None else self.format.encoding

    def check(self, path: str, names: list[str]) -> None:
        """Raise a MissingInputError where a table lacks the texts or labels."""
        lacking = [column for column in (self.text, *self.labels) if column not in names]
        if not lacking:
            return
        more, is_csv = "", re.search(r"\.(csv|tsv|txt)(\.gz)?$", path.lower()) is not None
        if is_csv and len(names) == 1:
            more = " If these are several, say what separates them: table_format: {separator: ...}."
        elif is_csv and len(lacking) == len(self.labels) + 1:
            example = ", ".join([*self.labels, self.text])
            more = (
                " If its first line is a row like others, name the columns in their order, such as "
                f"table_format: {{header: [{example}]}}."
            )
        raise MissingInputError(
            f"{path} has no column {lacking[0]!r}.{suggestion(lacking[0], names)} It has: "
            f"{clipped(', '.join(names), 300)}. Say which by text_column and label_column.{more}"
        )


def label_values(cells: "pd.Series[Any]", path: str) -> NDArray[Any]:
    """Return what stands in a label column, (N,): text (objects), or numbers, or booleans.

    Where some cells hold text and others numbers, all are text.

    Raises:
        InputError: A label is missing, or something else than text, number or boolean.
    """
    values = cells.tolist()
    missing = [is_missing(value) for value in values]
    if any(missing):
        raise InputError(
            f"{path}: {place(cells, missing.index(True))} has no label in column {cells.name!r}; "
            f"{sum(missing):,} such rows. Fill them in, or leave these rows out by "
            "drop_unlabelled: true."
        )
    each = [_kind(value) for value in values]
    kinds = set(each)
    if ("boolean" in kinds and len(kinds) > 1) or "" in kinds:
        row = next(row for row, kind in enumerate(each) if kind in ("", "boolean"))
        raise InputError(
            f"column {cells.name!r} of {path} holds {values[row]!r}, a "
            f"{type(values[row]).__name__}, in {place(cells, row)}; accepted as labels: text, "
            "numbers, or true and false in every row. For several labels a text give a column of 0 "
            "and 1 each."
        )
    if kinds == {"number"} or kinds == {"boolean"}:
        return np.array(values)
    texts = [value.strip() if isinstance(value, str) else f"{value:.15g}" for value in values]
    return np.array(texts, object)


def mixed_labels(cells: "pd.Series[Any]") -> str | None:
    """Return a sentence where a label column mixes text and numbers, which then are all text."""
    kinds = [
        "number" if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) else _kind(value)
        for value in cells.tolist()
    ]
    numbers, texts = kinds.count("number"), kinds.count("text")
    if not numbers or not texts:
        return None
    number, text = (cells.iloc[kinds.index(kind)] for kind in ("number", "text"))
    return (
        f"column {cells.name!r} mixes numbers ({numbers:,} rows, such as {number!r}) and text "
        f"({texts:,}, such as {text!r}): all are taken as names of classes"
    )


def is_missing(value: object) -> bool:
    """Return whether a cell holds nothing."""
    return not value.strip() if isinstance(value, str) else holds_nothing(value)


def _kind(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, int | float | np.number):
        return "number"
    return "text" if isinstance(value, str) else ""


def read_columns(
    frame: pd.DataFrame,
    columns: TextColumns,
    source: str,
    notes: Sequence[str],
    said: Mapping[str, tuple[str, str]],
) -> InputReading:
    """Return what each column of a table of texts was taken for.

    Args:
        frame: The table.
        columns: Which column holds what.
        source: The file and how it was read, in words.
        notes: What was passed over in reading.
        said: Of a column, a cell as it stands in the file and how its cells are written.
    """
    notes = [*notes]
    notes += [note for name in columns.labels if (note := mixed_labels(frame[name])) is not None]
    found = tuple(_column(frame[name], columns, said) for name in frame)
    return InputReading(source, found, notes=tuple(notes))


def _column(
    cells: "pd.Series[Any]", columns: TextColumns, said: Mapping[str, tuple[str, str]]
) -> ColumnReading:
    name = str(cells.name)
    missing = np.array([is_missing(cell) for cell in cells.tolist()], np.bool_)
    first = next((str(c) for c, gone in zip(cells, missing, strict=True) if not gone), "")
    example, written = said.get(name, (first, ""))
    kinds: dict[str | None, tuple[Kind, str]] = {
        columns.time: ("time", ""),
        columns.group: ("group", "texts of one stay in one part"),
        columns.id: ("id", "carried along, no input"),
        columns.text: ("text", "the input"),
        **dict.fromkeys(columns.labels, ("target", "")),
    }
    named = f"neither text_column ({columns.text}) nor label_column"
    kind, detail = kinds.get(name, ("left out", named))
    detail = ", ".join(part for part in (detail, written) if part)
    return ColumnReading(name, kind, detail, clipped(example, 40), float(missing.mean()))
