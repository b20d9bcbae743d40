"""Texts on this machine: a table, a folder of tables, or a folder with a text a file."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dlp.datamodules.file_text import read_text
from dlp.datamodules.part_names import NamedPart, is_seen, part_of
from dlp.datamodules.tables.files import PARQUET_ENDINGS, read_table
from dlp.datamodules.tables.json_rows import JSON_ENDINGS, read_json_rows, without_missing
from dlp.datamodules.tables.table_format import TableFormat
from dlp.datamodules.text.columns import TextColumns
from dlp.datamodules.text.rows import TextRows, below
from dlp.errors import InputError
from dlp.table_places import line_index

CSV_ENDINGS = (".csv", ".tsv")
_PACKED = tuple(f"{ending}.gz" for ending in (*CSV_ENDINGS, *JSON_ENDINGS))
#: Endings of tables of texts.
TABLE_ENDINGS = (*CSV_ENDINGS, *JSON_ENDINGS, *PARQUET_ENDINGS, *_PACKED)

#: Folders of texts without a label, in the training part.
UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
_KINDS = (".txt", ".text")
_OTHER = re.compile(r"\.[a-z]\w{0,4}", re.IGNORECASE)
_NO_TEXTS = re.compile(r"read[-_ ]?me|licen[cs]e|thumbs\.db|desktop\.ini", re.IGNORECASE)
_ACCEPTED = (
    "a folder with a subfolder of texts for each class (pos/1.txt, neg/7.txt), or with train and "
    "perhaps val and test, each with a subfolder a class"
)


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
        frame = without_missing(frame, columns.format.na_values if columns.format else ())
        return TextRows(frame, f"{path.name}, JSON")
    texts = [name for name in (columns.text, columns.id) if name]
    targets = (*columns.labels, *columns.truth)
    classes = targets if columns.classes and len(targets) == 1 else ()
    table = read_table(path, columns.format, texts=texts, classes=classes)
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
    """Return the texts of a file that has one a line, or is a table after all.

    Raises:
        InputError: It cannot be read.
    """
    text, encoding = read_text(path, columns.encoding)
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if _are_rows(lines, columns):
        return read_rows(path, columns)
    index = line_index(range(1, len(lines) + 1))
    frame = pd.DataFrame({columns.text: pd.Series(lines, index, dtype=object)}, index)
    return TextRows(frame, f"{path.name}, one text a line ({encoding})")


def _are_rows(lines: list[str], columns: TextColumns) -> bool:
    """Return whether the first line names the texts among columns, or all have a header's cells."""
    known = columns.format or TableFormat()
    marks = re.escape(known.separator or ",;\t|")
    names = [name.strip(" \"'") for name in re.split(f"[{marks}]", lines[0])]
    if len(names) > 1 and columns.text in names:
        return True
    mark, others = known.separator or "\t", len(known.header) - 1  # prose has commas, but no tabs
    return others > 0 and all(line.count(mark) >= others for line in lines if line)


def read_parts(folder: Path, files: list[Path], columns: TextColumns) -> dict[str, TextRows]:
    """Return the parts of a folder of tables, by the names of files or of the folders in it.

    Where no name tells a part, all are trained on; where some do, the other files are left out,
    and named. Unlabelled texts are to be predicted, all of them: their files are one part.

    Raises:
        InputError: A file cannot be read, or the files of a part have other columns.
    """
    found: dict[str, list[Path]] = {} if columns.labels else {"train": files}
    for file in files if columns.labels else []:
        place = file.relative_to(folder)
        steps = [place.name.split(".")[0], *(step.name for step in place.parents)]
        part = next((part for step in steps if (part := part_of(step))), "")
        found.setdefault(part, []).append(file)
    unnamed = found.pop("", [])
    notes: list[str] = []
    texts = [file for file in sorted(folder.rglob("*.txt")) if _is_text(folder, file)]
    if texts and not columns.labels:
        names = ", ".join(file.relative_to(folder).as_posix() for file in texts)
        notes.append(f"left out, since other files are tables: {names}")
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
    return replace(below(tables, columns.labels), source=source, notes=tuple(dict.fromkeys(said)))


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


# Folders with a text a file and a subfolder a class: pos/7.txt, train/neg/0_3.txt -----------------


def read_class_folders(folder: Path, columns: TextColumns) -> dict[str, TextRows]:
    """Return the parts of a folder of class folders.

    Raises:
        InputError: It is no such folder, a class folder holds no text, or a file cannot be read.
    """
    if len(columns.labels) != 1:
        raise InputError(
            f"{folder} has no table of texts; its subfolders would be the classes, and "
            f"label_column names {len(columns.labels)} columns. Give one name, or a table."
        )
    parts = _part_folders(folder)
    left_out: list[str] = []
    found: dict[str, TextRows] = {}
    for name, part in (parts or {"train": folder}).items():
        classes, others = _class_of_each(folder, part)
        found[name] = _texts_of(folder, columns, [*classes], [*classes.values()])
        left_out += others
    if parts:
        left_out += [path.name for path in _subfolders(folder) if path not in parts.values()]
    if not left_out:
        return found
    shown = ", ".join(left_out[:8]) + (" ..." if len(left_out) > 8 else "")
    note = f"left out, no texts of a class: {shown}"
    return {name: replace(rows, notes=(note,)) for name, rows in found.items()}


def read_folder(folder: Path, columns: TextColumns) -> TextRows:
    """Return the texts of all files in a folder and below it, to be predicted.

    Raises:
        InputError: There is no text in it, or a file cannot be read.
    """
    files = [file for file in sorted(folder.rglob("*")) if _is_text(folder, file)]
    if not files:
        raise InputError(f"{folder} holds no text (files that end in {', '.join(_KINDS)}).")
    return _texts_of(folder, columns, files)


def _part_folders(folder: Path) -> dict[NamedPart, Path]:
    """Return the subfolders that are parts; none where the subfolders are classes."""
    named = [(part_of(path.name), path) for path in _subfolders(folder)]
    parts = {part: path for part, path in named if part is not None and _subfolders(path)}
    twice = [path.name for part, path in named if part in parts and parts[part] != path]
    if twice and "train" in parts:
        raise InputError(
            f"{folder}: {twice[0]} and {parts[part_of(twice[0]) or 'train'].name} are both named "
            "as the same part. Rename one."
        )
    return parts if "train" in parts or "test" in parts else {}


def _class_of_each(folder: Path, part: Path) -> tuple[dict[Path, str], list[str]]:
    """Return the class of each text's file in a part of a folder, and what is left out there."""
    labelled = [path for path in _subfolders(part) if path.name.lower() not in UNLABELLED]
    if len(labelled) < 2:
        names = ", ".join(path.name for path in labelled) or "none"
        raise InputError(
            f"{part} has too few subfolders to be classes ({names}). Accepted: a table, "
            f"{_ACCEPTED}."
        )
    classes: dict[Path, str] = {}
    left_out: list[str] = []
    for path in _subfolders(part):
        there = sorted(file for file in path.rglob("*") if file.is_file())
        if path not in labelled:
            left_out.append(f"{path.relative_to(folder).as_posix()} ({len(there):,} files)")
            continue
        texts = [file for file in there if _is_text(path, file)]
        if not texts:
            raise InputError(
                f"the class folder {path} holds no text (files that end in {', '.join(_KINDS)} or "
                "have no ending): fill it, or remove it."
            )
        classes |= dict.fromkeys(texts, path.name)
        others = [file for file in there if file not in classes and not _is_hidden(path, file)]
        left_out += [file.relative_to(folder).as_posix() for file in others]
    beside = sorted(path for path in part.iterdir() if path.is_file() and is_seen(path.name))
    return classes, left_out + [path.relative_to(folder).as_posix() for path in beside]


def _texts_of(
    folder: Path, columns: TextColumns, files: list[Path], labels: list[str] | None = None
) -> TextRows:
    """Return the contents of files as rows, with the class of each if given."""
    names = [file.relative_to(folder).as_posix() for file in files]
    texts = [read_text(file, columns.encoding)[0] for file in files]
    empty = [name for name, text in zip(names, texts, strict=True) if not text.strip()]
    if empty:
        raise InputError(
            f"{folder / empty[0]} holds no text; {len(empty):,} such files. Fill or remove them: a "
            "model can learn or say nothing from them."
        )
    cells = (
        {columns.text: texts}
        if labels is None
        else {columns.text: texts, columns.labels[0]: labels}
    )
    index = pd.RangeIndex(len(files), name="row")
    return TextRows(
        pd.DataFrame(cells, index, dtype=object), f"{folder.name}, a text a file", files=names
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and is_seen(path.name))


def _is_text(folder: Path, file: Path) -> bool:
    """Return whether a file is a text by its name: .txt, or an ending that is none (``.9f3c1``)."""
    if not file.is_file() or _is_hidden(folder, file) or _NO_TEXTS.match(file.name):
        return False
    suffix = file.suffix.lower()
    return suffix in _KINDS or not _OTHER.fullmatch(suffix)


def _is_hidden(folder: Path, file: Path) -> bool:
    return not all(map(is_seen, file.relative_to(folder).parts))
