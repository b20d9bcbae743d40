"""From rows as they were read to tokenised texts with their labels: what a cell may hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.examples import sample_rows
from dlp.datamodules.splitting.groups import keys_of_table
from dlp.datamodules.tables.files import absent, place
from dlp.datamodules.text.columns import TextColumns, is_missing, label_values, read_columns
from dlp.datamodules.text.corpus import Corpus
from dlp.datamodules.text.tokens import Tokens
from dlp.errors import InputError


@dataclass(frozen=True)
class TextRows:
    """Rows of one part as they were read.

    Args:
        frame: The table; its index says where each row stands (see `place`).
        source: The file or folder and how it was read, in words.
        class_names: The names of the classes, where the labels are their numbers.
        files: The path of each text's file, where each has one of its own.
        num_val: The last so many are a validation part of the set's own.
        places: The number of each row in its file, from 0; None for 0 to N - 1.
        notes: What was passed over.
        said: Of a column, a cell as it stands in the file and how its cells are written.
    """

    frame: pd.DataFrame
    source: str
    class_names: list[str] | None = None
    files: list[str] | None = None
    num_val: int = 0
    places: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    said: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def positions(self) -> NDArray[np.int64]:
        """The number of each row in its file, (N,)."""
        return np.arange(len(self.frame)) if self.places is None else self.places

    def chosen(self, rows: NDArray[np.int64]) -> "TextRows":
        """Return the rows at the positions `rows`, which ascend."""
        return replace(
            self,
            frame=self.frame.iloc[rows],
            files=None if self.files is None else [self.files[row] for row in rows],
            num_val=int((rows >= len(self.frame) - self.num_val).sum()),
            places=self.positions[rows],
        )


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
    if columns.drop_unlabelled and columns.labels:
        rows = _labelled(rows, columns, path)
        frame = rows.frame
    targets = _targets(frame, columns.labels, path)
    reading = read_columns(frame, columns, rows.source, rows.notes, rows.said)
    if sample_size is not None:
        chosen = sample_rows(targets, len(frame), sample_size)
        rows, targets = rows.chosen(chosen), None if targets is None else targets[chosen]
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
        places=rows.places,
        names=rows.files,
        ids=None if columns.id is None else frame[columns.id].to_numpy(object),
        num_val=rows.num_val,
        truth=_truth(frame, columns.truth),
        reading=reading,
    )


def _labelled(rows: TextRows, columns: TextColumns, path: str) -> TextRows:
    """Return the rows that have every label, and note how many are left out."""
    cells = rows.frame[[*columns.labels]]
    kept = np.array([not any(map(is_missing, row)) for row in cells.to_numpy(object)])
    if not kept.any():
        raise InputError(f"{path}: no row has a label.")
    if kept.all():
        return rows
    note = f"{int((~kept).sum()):,} rows without a label are left out"
    return replace(rows.chosen(np.flatnonzero(kept)), notes=(*rows.notes, note))


def _truth(frame: pd.DataFrame, names: tuple[str, ...]) -> NDArray[Any] | None:
    """Return the cells of label columns, (N,) or (N, L), if all are there; None for empty ones."""
    if not names or not all(name in frame for name in names):
        return None
    columns = [
        [None if is_missing(cell) else cell for cell in frame[name].tolist()] for name in names
    ]
    return np.array(columns, object).T if len(names) > 1 else np.array(columns[0], object)


def _texts(cells: "pd.Series[Any]", path: str) -> Iterator[str]:
    """Yield the text of each cell; all are looked at before the first."""
    values = cells.tolist()
    missing = [is_missing(value) for value in values]
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
    if len(columns) == 1:
        return columns[0]
    for name, values in zip(labels, columns, strict=True):
        if values.dtype == object:
            raise InputError(
                f"column {name!r} of {path} holds text, such as {values[0]!r}: of several label "
                "columns each must hold 0 and 1 (or true and false), or values."
            )
    return np.column_stack(columns)
