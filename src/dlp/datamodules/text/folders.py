"""Folders with a text a file and a subfolder a class: ``pos/7.txt``, ``train/neg/0_3.txt``."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dlp.datamodules.file_text import read_text
from dlp.datamodules.part_names import NamedPart, is_seen, part_of
from dlp.datamodules.text.rows import TextColumns, TextRows
from dlp.errors import InputError

#: Folders of texts without a label, in the training part.
UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
_KINDS = (".txt", ".text")
_OTHER = re.compile(r"\.[a-z]\w{0,4}", re.IGNORECASE)
_NO_TEXTS = re.compile(r"read[-_ ]?me|licen[cs]e|thumbs\.db|desktop\.ini", re.IGNORECASE)
_ACCEPTED = (
    "a folder with a subfolder of texts for each class (pos/1.txt, neg/7.txt), or with train and "
    "perhaps val and test, each with a subfolder a class"
)


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
    parts = _parts(folder)
    left_out: list[str] = []
    found: dict[str, TextRows] = {}
    for name, part in (parts or {"train": folder}).items():
        classes, others = _class_of_each(folder, part)
        found[name] = _rows(folder, columns, [*classes], [*classes.values()])
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
    return _rows(folder, columns, files)


def _parts(folder: Path) -> dict[NamedPart, Path]:
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


def _rows(
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
