"""Files of labelled texts on this machine: one table, or a folder with a table for each part."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dlp.datamodules.file_text import read_text
from dlp.datamodules.part_names import part_of
from dlp.datamodules.tables.files import PARQUET_ENDINGS, read_table
from dlp.datamodules.tables.json_rows import JSON_ENDINGS, read_json_rows
from dlp.datamodules.text.rows import TextColumns, TextRows, below
from dlp.errors import InputError
from dlp.table_places import line_index

CSV_ENDINGS = (".csv", ".tsv")
_PACKED = tuple(f"{ending}.gz" for ending in (*CSV_ENDINGS, *JSON_ENDINGS))
#: Endings of tables of texts.
TABLE_ENDINGS = (*CSV_ENDINGS, *JSON_ENDINGS, *PARQUET_ENDINGS, *_PACKED)


def is_table(path: Path) -> bool:
    """Return whether a file is a table by its name."""
    return path.name.lower().endswith(TABLE_ENDINGS)


def read_rows(path: Path, columns: TextColumns) -> TextRows:
    """Return the rows of a table.

    Raises:
        InputError: It cannot be read.
    """
    if path.name.lower().removesuffix(".gz").endswith(JSON_ENDINGS):
        frame = read_json_rows(path, columns.encoding)
        if not len(frame):
            raise InputError(f"{path} has no row: it needs one for each text.")
        return TextRows(frame, f"{path.name}, JSON")
    texts = [name for name in (columns.text, columns.id) if name]
    table = read_table(path, columns.format, texts=texts)
    keys = [name for name in (columns.group, columns.time) if name is not None]
    table.check(keys, inputs=False)
    try:
        table.check([] if columns.classes else columns.labels, inputs=False)
    except InputError as error:
        raise InputError(
            f"{error} If they are names of classes, say task: classification."
        ) from error
    said = {name: (table.examples[name], table.formats[name].words()) for name in table.formats}
    names = _class_names(path, columns)
    return TextRows(table.frame, table.source, names, notes=tuple(table.notes), said=said)


def read_lines(path: Path, columns: TextColumns) -> TextRows:
    """Return the texts of a file that has one a line.

    Raises:
        InputError: It cannot be read.
    """
    text, encoding = read_text(path, columns.encoding)
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    index = line_index(range(1, len(lines) + 1))
    frame = pd.DataFrame({columns.text: pd.Series(lines, index, dtype=object)}, index)
    return TextRows(frame, f"{path.name}, one text a line ({encoding})")


def read_parts(folder: Path, files: list[Path], columns: TextColumns) -> dict[str, TextRows]:
    """Return the parts of a folder of tables, by the names of files or of the folders in it.

    Where no name tells a part, all are trained on; where some do, the other files are left out,
    and named.

    Raises:
        InputError: A file cannot be read, or the files of a part have other columns.
    """
    found: dict[str, list[Path]] = {}
    for file in files:
        place = file.relative_to(folder)
        steps = [place.name.split(".")[0], *(step.name for step in place.parents)]
        part = next((part for step in steps if (part := part_of(step))), "")
        found.setdefault(part, []).append(file)
    unnamed = found.pop("", [])
    notes: list[str] = []
    if not found:
        found = {"train": unnamed}
    elif unnamed:
        names = ", ".join(file.relative_to(folder).as_posix() for file in unnamed)
        notes.append(f"left out, since their names tell no part (train, val, test): {names}")
    return {part: _joined(folder, paths, columns, notes) for part, paths in found.items()}


def _joined(folder: Path, files: list[Path], columns: TextColumns, notes: list[str]) -> TextRows:
    """Return the rows of several tables one after the other, each with the name of its file."""
    tables = []
    for file in files:
        rows = read_rows(file, columns)
        columns.check(str(file), [str(column) for column in rows.frame.columns])
        names = [file.relative_to(folder).as_posix()] * len(rows.frame)
        tables.append(replace(rows, files=names))
    said = [*(note for rows in tables for note in rows.notes), *notes]
    source = "; ".join(dict.fromkeys(rows.source for rows in tables[:3]))
    return replace(below(tables), source=source, notes=tuple(dict.fromkeys(said)))


def _class_names(path: Path, columns: TextColumns) -> list[str] | None:
    """Return the names of the classes that a Parquet file of the Hub tells in its schema."""
    if not path.name.lower().endswith(PARQUET_ENDINGS) or len(columns.labels) != 1:
        return None
    import pyarrow.parquet

    known = (pyarrow.parquet.read_schema(path).metadata or {}).get(b"huggingface")
    if known is None:
        return None
    feature = json.loads(known)["info"]["features"].get(columns.labels[0]) or {}
    return feature.get("names") if feature.get("_type") == "ClassLabel" else None
