"""From rows as they were read to tokenised texts: what columns and cells of a table may hold."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.examples import Examples, sample_rows
from dlp.datamodules.reading import ColumnReading, InputReading, Kind, clipped
from dlp.datamodules.splitting.groups import keys_of_table
from dlp.datamodules.tables.parquet_columns import (
    ParquetColumns,
    chosen,
    columns_of,
    in_memory,
    pieces,
)
from dlp.datamodules.targets import same_classes
from dlp.datamodules.text.columns import TextColumns
from dlp.datamodules.text.corpus import Corpus
from dlp.datamodules.text.tokens import Tokens
from dlp.errors import InputError
from dlp.table_places import TableRows, empty_cells, place, row_numbers

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


@dataclass(frozen=True)
class TextRows:
    """Rows of one part as they were read.

    Args:
        frame: The table; its index says where each row stands (see `place` and `row_numbers`). Of
            a large Parquet file it reads a column when it is looked at.
        source: The file or folder and how it was read, in words.
        class_names: The names of the classes, where the labels are their numbers.
        files: The path of each text's file, where each has one of its own.
        num_val: The last so many are a validation part of the set's own.
        notes: What was passed over.
        said: Of a column, a cell as it stands in the file and how its cells are written.
    """

    frame: TableRows
    source: str
    class_names: list[str] | None = None
    files: list[str] | None = None
    num_val: int = 0
    notes: tuple[str, ...] = ()
    said: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def chosen(self, rows: NDArray[np.int64]) -> "TextRows":
        """Return the rows at the positions `rows`, which ascend."""
        return replace(
            self,
            frame=chosen(self.frame, rows),
            files=None if self.files is None else [self.files[row] for row in rows],
            num_val=int((rows >= len(self.frame) - self.num_val).sum()),
        )


def below(tables: Sequence[TextRows], labels: tuple[str, ...]) -> TextRows:
    """Return the rows of several tables one after the other; all else is the first one's.

    Where each names its classes, numbers of classes are made those of one list of all names.
    """
    if len(tables) == 1:
        return tables[0]  # which of a large file is not in memory
    frames = [in_memory(rows.frame) for rows in tables]
    lists = [rows.class_names for rows in tables if rows.class_names]
    names = tables[0].class_names
    if len(lists) == len(tables):
        names = list(dict.fromkeys(name for each in lists for name in each))
        for frame, own in zip(frames, lists, strict=True):
            if own != names[: len(own)]:
                numbers = same_classes(frame[labels[0]].dropna().unique(), own, names)
                frame[labels[0]] = frame[labels[0]].map(numbers)
    if len({frame.index.nlevels for frame in frames}) > 1:  # some have lines, others none
        frames = [f.droplevel("line") if f.index.nlevels > 1 else f for f in frames]
    files = None
    if all(rows.files is not None for rows in tables):
        files = [name for rows in tables for name in rows.files or ()]
    return replace(tables[0], frame=pd.concat(frames), class_names=names, files=files)


def with_validation(parts: dict[str, TextRows], labels: tuple[str, ...]) -> dict[str, TextRows]:
    """Return the parts with the validation part at the end of the training part."""
    if "train" not in parts or "val" not in parts:
        return parts
    val = parts.pop("val")
    train = replace(below([parts["train"], val], labels), num_val=len(val.frame))
    return {**parts, "train": train}


def tokenised(
    rows: TextRows,
    columns: TextColumns,
    path: str,
    tokens: Tokens,
    sample_size: int | None,
    folder: Path | None,
) -> Examples:
    """Return rows as tokenised texts with all that stands beside them; all, or `sample_size`.

    What grows with every word is written to `folder`, if one is given.

    Raises:
        MissingInputError: A column is not there.
        InputError: A text, label, group or time is missing, or of a kind that is not accepted.
    """
    columns.check(path, [str(name) for name in rows.frame.columns])
    if columns.drop_unlabelled and columns.labels:
        rows = _labelled(rows, columns, path)
    targets = _targets(rows.frame, columns.labels, path)
    reading = read_columns(rows, columns)
    if sample_size is not None:
        sample = sample_rows(targets, len(rows.frame), sample_size)
        rows, targets = rows.chosen(sample), None if targets is None else targets[sample]
    frame = rows.frame
    groups, times, ids = keys_of_table(frame, columns.group, columns.time, columns.id)
    texts = _texts(frame, columns.text, path)
    corpus = Corpus.from_texts(texts, tokens, len(frame), folder)
    corpus = replace(corpus, class_names=rows.class_names, reading=reading)
    return Examples(
        corpus.texts(),
        targets,
        corpus.hashes,
        names=rows.files,
        num_val=rows.num_val,
        groups=groups,
        times=times,
        places=row_numbers(frame),
        ids=ids,
        truth=_truth(frame, columns.truth),
    )


def _labelled(rows: TextRows, columns: TextColumns, path: str) -> TextRows:
    """Return the rows that have every label, and note how many are left out."""
    kept = ~np.any([empty_cells(rows.frame[name]) for name in columns.labels], axis=0)
    if not kept.any():
        raise InputError(f"{path}: no row has a label.")
    if kept.all():
        return rows
    note = f"{int((~kept).sum()):,} rows without a label are left out"
    return replace(rows.chosen(np.flatnonzero(kept)), notes=(*rows.notes, note))


def _truth(frame: TableRows, names: tuple[str, ...]) -> NDArray[Any] | None:
    """Return the cells of label columns, (N,) or (N, L), if all are there; None for empty ones."""
    if not names or not all(name in frame for name in names):
        return None
    cells = in_memory(columns_of(frame, [*names])).to_numpy(object, copy=True)
    for column, name in enumerate(names):
        cells[empty_cells(frame[name]), column] = None
    return cells if len(names) > 1 else cells[:, 0]


def _texts(frame: TableRows, name: str, path: str) -> Iterator[str]:
    """Yield the text of each row, taken out of the table a few at a time.

    All are looked at before the first is given; in a large Parquet file by what it says of itself.
    """
    if isinstance(frame, ParquetColumns):
        some_lack = frame.lacks(name)
    else:
        some_lack = not all(map(_are_texts, pieces(frame, name)))
    if some_lack:
        raise _without_text(frame[name], path)
    for cells in pieces(frame, name):
        if not _are_texts(cells):
            raise _without_text(frame[name], path)
        yield from cells.tolist()


def _are_texts(cells: "pd.Series[Any]") -> bool:
    return all(isinstance(value, str) and value.strip() for value in cells.tolist())


def _without_text(cells: "pd.Series[Any]", path: str) -> InputError:
    """Return the error for a column of which some cells are no texts."""
    values, missing = cells.tolist(), empty_cells(cells)
    wrong = [
        row for row, value in enumerate(values) if not missing[row] and not isinstance(value, str)
    ]
    if wrong:
        return InputError(
            f"column {cells.name!r} of {path} holds {type(values[wrong[0]]).__name__} in "
            f"{place(cells, wrong[0])} ({len(wrong):,} such rows), not text. Say by text_column "
            "which one does."
        )
    return InputError(
        f"{path}: {place(cells, int(missing.argmax()))} has no text; {missing.sum():,} such "
        "rows. Fill them in, or leave them out: a model can learn or say nothing from them."
    )


def _targets(frame: TableRows, labels: tuple[str, ...], path: str) -> NDArray[Any] | None:
    """Return what stands in the label columns, (N,) or (N, L)."""
    if not labels:
        return None
    columns = [label_values(frame[name], path) for name in labels]
    if len(columns) == 1:
        return columns[0]
    for name, values in zip(labels, columns, strict=True):
        if values.dtype == object:
            raise InputError(
                f"column {name!r} of {path} holds text, such as {values[0]!r}: of several label "
                "columns each must hold 0 and 1 (or true and false), or values."
            )
    return np.column_stack(columns)


def label_values(cells: "pd.Series[Any]", path: str) -> NDArray[Any]:
    """Return what stands in a label column, (N,): text (objects), or numbers, or booleans.

    Where some cells hold text and others numbers, all are text.

    Raises:
        InputError: A label is missing, or something else than text, number or boolean.
    """
    values, missing = cells.tolist(), empty_cells(cells)
    if missing.any():
        raise InputError(
            f"{path}: {place(cells, int(missing.argmax()))} has no label in column "
            f"{cells.name!r}; {missing.sum():,} such rows. Fill them in, or leave these rows out "
            "by drop_unlabelled: true."
        )
    each = _kinds(values)
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
    values = cells.tolist()
    kinds = [
        "number" if kind == "text" and _NUMBER.fullmatch(value.strip()) else kind
        for value, kind in zip(values, _kinds(values), strict=True)
    ]
    numbers, texts = kinds.count("number"), kinds.count("text")
    if not numbers or not texts:
        return None
    number, text = (cells.iloc[kinds.index(kind)] for kind in ("number", "text"))
    return (
        f"column {cells.name!r} mixes numbers ({numbers:,} rows, such as {number!r}) and text "
        f"({texts:,}, such as {text!r}): all are taken as names of classes"
    )


def _kinds(values: Sequence[object]) -> list[str]:
    """Return what each value is: a boolean, a number or text; an empty string for all else."""
    kinds: dict[type[object], str] = {}
    for found in set(map(type, values)):
        if issubclass(found, bool | np.bool_):
            kinds[found] = "boolean"
        elif issubclass(found, int | float | np.number):
            kinds[found] = "number"
        else:
            kinds[found] = "text" if issubclass(found, str) else ""
    return [kinds[type(value)] for value in values]


def read_columns(rows: TextRows, columns: TextColumns) -> InputReading:
    """Return what each column of a table of texts was taken for."""
    frame, said = rows.frame, rows.said
    mixed = [note for name in columns.labels if (note := mixed_labels(frame[name])) is not None]
    found = tuple(_column(frame, name, columns, said) for name in frame)
    return InputReading(rows.source, found, notes=(*rows.notes, *mixed))


def _column(
    frame: TableRows, column: Any, columns: TextColumns, said: Mapping[str, tuple[str, str]]
) -> ColumnReading:
    name, missing, first = str(column), 0.0, ""
    if name != columns.text or name not in said:  # a text that is missing is refused: see _texts
        cells = frame[column]
        empty = empty_cells(cells)
        missing = float(empty.mean())
        first = next((str(c) for c, gone in zip(cells, empty, strict=True) if not gone), "")
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
    return ColumnReading(name, kind, detail, clipped(example, 40), missing)
