"""From rows as they were read to tokenised texts with their labels: what a cell may hold."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.corpus import Corpus, sample_rows
from dlp.datamodules.row_keys import keys_of_table
from dlp.datamodules.table_files import absent, place
from dlp.datamodules.tokens import Tokens
from dlp.errors import InputError, MissingInputError, suggestion


@dataclass(frozen=True)
class TextColumns:
    """Which columns of a table hold what.

    Args:
        text: The texts.
        labels: The targets; none for unlabelled texts.
        group: What texts may have in common.
        time: Numbers or dates.
        id: What people know each text by.
    """

    text: str
    labels: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    id: str | None = None

    def check(self, path: str, names: list[str]) -> None:
        """Raise a MissingInputError where a table lacks the texts or labels."""
        for column in (self.text, *self.labels):
            if column not in names:
                raise MissingInputError(
                    f"{path} has no column {column!r}.{suggestion(column, names)} It has: "
                    f"{', '.join(names)}. Say which by text_column and label_column."
                )


@dataclass(frozen=True)
class TextRows:
    """Rows of one part as they were read.

    Args:
        frame: The table; its index says where each row stands (see `place`).
        class_names: The names of the classes, where the labels are their numbers.
        files: The path of each text's file, where each has one of its own.
        num_val: The last so many are a validation part of the set's own.
    """

    frame: pd.DataFrame
    class_names: list[str] | None = None
    files: list[str] | None = None
    num_val: int = 0

    def chosen(self, rows: NDArray[np.int64]) -> "TextRows":
        """Return the rows at the positions `rows`, which ascend."""
        files = None if self.files is None else [self.files[row] for row in rows]
        num_val = int((rows >= len(self.frame) - self.num_val).sum())
        return TextRows(self.frame.iloc[rows], self.class_names, files, num_val)


def tokenised(
    rows: TextRows,
    columns: TextColumns,
    path: str,
    tokens: Tokens,
    sample_size: int | None,
) -> Corpus:
    """Return rows as a corpus; of all of them, or about `sample_size`.

    Raises:
        MissingInputError: A column is not there.
        InputError: A text, label, group or time is missing, or of a kind that is not accepted.
    """
    frame = rows.frame
    columns.check(path, [str(name) for name in frame.columns])
    targets = _targets(frame, columns.labels, path)
    places = None
    if sample_size is not None:
        places = sample_rows(targets, len(frame), sample_size)
        rows, targets = rows.chosen(places), None if targets is None else targets[places]
        frame = rows.frame
    groups, times = keys_of_table(frame, columns.group, columns.time)
    if columns.id is not None and columns.id not in frame:
        raise absent("id_column", columns.id, frame.columns)
    texts = _texts(frame[columns.text], path)
    corpus = Corpus.from_texts(texts, targets, rows.class_names, len(frame), tokens)
    return replace(
        corpus,
        groups=groups,
        times=times,
        places=places,
        names=rows.files,
        ids=None if columns.id is None else frame[columns.id].to_numpy(object),
        num_val=rows.num_val,
    )


def _texts(cells: "pd.Series[Any]", path: str) -> Iterator[str]:
    """Yield the text of each cell; all are looked at before the first."""
    values = cells.tolist()
    missing = [_is_missing(value) for value in values]
    wrong = [
        row for row, value in enumerate(values) if not missing[row] and not isinstance(value, str)
    ]
    if wrong:
        raise InputError(
            f"column {cells.name!r} of {path} holds {type(values[wrong[0]]).__name__} in "
            f"{place(cells, wrong[0])} ({len(wrong):,} such rows), not text. Say by text_column "
            "which one does."
        )
    if any(missing):
        raise InputError(
            f"{path}: {place(cells, missing.index(True))} has no text; {sum(missing):,} such rows. "
            "Fill them in, or leave them out: a model can learn or say nothing from them."
        )
    yield from values


def _targets(frame: pd.DataFrame, labels: tuple[str, ...], path: str) -> NDArray[Any] | None:
    """Return what stands in the label columns, (N,) or (N, L)."""
    if not labels:
        return None
    columns = [label_values(frame[name], path) for name in labels]
    return columns[0] if len(columns) == 1 else np.column_stack(columns)


def label_values(cells: "pd.Series[Any]", path: str) -> NDArray[Any]:
    """Return what stands in a label column, (N,): text (objects), or numbers, or booleans.

    Where some cells hold text and others numbers, all are text.

    Raises:
        InputError: A label is missing, or something else than text, number or boolean.
    """
    values = cells.tolist()
    missing = [_is_missing(value) for value in values]
    if any(missing):
        raise InputError(
            f"{path}: {place(cells, missing.index(True))} has no label in column {cells.name!r}; "
            f"{sum(missing):,} such rows. Fill them in or leave these rows out."
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
    kinds = [_kind(value) for value in cells.tolist()]
    numbers, texts = kinds.count("number"), kinds.count("text")
    if not numbers or not texts:
        return None
    number, text = (cells.iloc[kinds.index(kind)] for kind in ("number", "text"))
    return (
        f"column {cells.name!r} mixes numbers ({numbers:,} rows, such as {number!r}) and text "
        f"({texts:,}, such as {text!r}): all are taken as names of classes"
    )


def _is_missing(value: object) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pd.NA or value is pd.NaT or value != value


def _kind(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, int | float | np.number):
        return "number"
    return "text" if isinstance(value, str) else ""
