"""Where labelled texts stand: a file, a folder, or a set of the Hub.

What reads them needs pandas, and is imported when something is read: texts that stand in the cache
are trained on 0.15 seconds sooner.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlp.datamodules.part_names import part_of
from dlp.datamodules.text.columns import TextColumns
from dlp.datamodules.text.corpus import TextParts, source_key
from dlp.datamodules.text.tokens import Tokens
from dlp.errors import InputError, MissingInputError, suggestion
from dlp.files import sha256

if TYPE_CHECKING:
    from dlp.datamodules.text.rows import TextRows

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class TextFiles:
    """Where labelled or unlabelled texts stand.

    Args:
        path: A table (.csv, .tsv, .json, .jsonl, .parquet, .txt; a .txt with one text a line if
            nothing is labelled), a folder of tables, a folder with a text a file and a subfolder a
            class, or the name of a Hub data set.
        columns: What stands in which column; no labels for unlabelled texts.
        tokens: What the texts are split into.
        subset: The configuration of a Hub data set that has several.
        revision: The commit, tag or branch of a Hub data set.
        offline: What to do with a copy of a Hub data set, said where the Hub cannot be reached.
        is_test: Whether all of it is to be tested on: groups need not be there, times are not read.

    Raises:
        MissingInputError: There is no such file or folder, and the name is none of the Hub's.
        InputError: The kind of file is not accepted.
    """

    path: str
    columns: TextColumns
    tokens: Tokens = "words"
    subset: str | None = None
    revision: str | None = None
    offline: str = "give it as path"
    is_test: bool = False

    def check(self) -> None:
        """Check what can be checked before anything is read (see Raises)."""
        if self.local.is_dir():
            return
        from dlp.datamodules.text.files import TABLE_ENDINGS

        accepted = [*TABLE_ENDINGS, ".txt"]
        if self.local.is_file():
            if not self.local.name.lower().endswith(tuple(accepted)):
                raise InputError(
                    f"{self.path} is no table of texts; accepted: {', '.join(accepted)}, a folder "
                    "with a text a file and a subfolder a class, or the name of a Hub data set. If "
                    "it is a table, give its name such an ending."
                )
            if not self.local.stat().st_size:
                raise InputError(f"{self.path} is empty: it must have a row for each text.")
        elif not self.local.exists():
            known = self.local.name.lower().endswith(tuple(accepted))
            if known or not _HUB_NAME.fullmatch(self.path):
                folder = self.local.parent
                near = [file.name for file in folder.iterdir()] if folder.is_dir() else []
                raise MissingInputError(
                    f"there is no file {self.path}.{suggestion(self.local.name, near)} Give the "
                    "path of a table, of a folder, or the name of a Hub data set."
                )

    @cached_property
    def local(self) -> Path:
        """The path on this machine; it does not exist for the name of a Hub data set."""
        return Path(self.path).expanduser()

    @cached_property
    def files(self) -> list[Path]:
        """The files on this machine: one, or those of the folder; none for a Hub data set."""
        if not self.local.is_dir():
            return [self.local] if self.local.is_file() else []
        return sorted(
            file
            for file in self.local.rglob("*")
            if file.is_file() and not file.relative_to(self.local).as_posix().startswith(".")
        )

    @cached_property
    def key(self) -> str:
        """What stands for the bytes of the files, or for the name of a Hub data set."""
        self.check()
        how = (self.columns, self.tokens, self.subset, self.is_test)
        try:
            contents = [
                (file.relative_to(self.local).as_posix(), sha256(file)) for file in self.files
            ]
        except OSError as error:
            raise InputError(f"cannot read {error.filename}: {error.strerror}.") from error
        if contents:
            return source_key("files", contents, self.local.name.lower(), *how)
        return source_key("hub", self.path, self.revision, *how)

    def build(self, sample_size: int | None = None, folder: Path | None = None) -> TextParts:
        """Return the tokenised parts ``train`` (or ``val``) and ``test``, as they are there.

        Raises:
            InputError: A file cannot be read, a column, text or label is missing, or the Hub cannot
                be reached.
        """
        from dlp.datamodules.text.rows import tokenised, with_validation

        found = {}
        for name, rows in with_validation(self._rows(), self.columns.labels).items():
            columns = self.columns
            # Groups and times are needed to divide the training part alone.
            if name != "train" or self.is_test:
                group = columns.group if columns.group in rows.frame else None
                columns = replace(columns, group=group, time=None)
            home = None if folder is None else folder / name
            found[name] = tokenised(rows, columns, self.path, self.tokens, sample_size, home)
        return found

    def _rows(self) -> dict[str, "TextRows"]:
        """Return the rows of the parts ``train``, ``val`` and ``test``, as they are there."""
        from dlp.datamodules.text.files import (
            is_table,
            read_class_folders,
            read_folder,
            read_lines,
            read_parts,
            read_rows,
        )

        if self.local.is_file():
            if self.local.suffix.lower() == ".txt" and not self.columns.labels:
                return {"train": read_lines(self.local, self.columns)}
            return {"train": read_rows(self.local, self.columns)}
        tables = [file for file in self.files if is_table(file)]
        if not self.files or self.subset is not None or (tables and _is_hub_copy(self.local)):
            path = str(self.local) if self.local.exists() else self.path
            return read_hub_set(path, self.columns, self.subset, self.revision, self.offline)
        if tables:
            return read_parts(self.local, tables, self.columns)
        if not self.columns.labels:
            return {"train": read_folder(self.local, self.columns)}
        return read_class_folders(self.local, self.columns)


def _is_hub_copy(folder: Path) -> bool:
    """Return whether a folder says in the Hub's own way which files are which part."""
    card = folder / "README.md"
    if not card.is_file():
        return False
    head = card.read_bytes()[:10_000]
    return head.startswith(b"---") and (b"dataset_info:" in head or b"configs:" in head)


# The Hub's sets, read by its own library ----------------------------------------------------------


def read_hub_set(
    path: str, columns: TextColumns, subset: str | None, revision: str | None, offline: str
) -> dict[str, "TextRows"]:
    """Return the parts of a set by name, or of a folder in the Hub's layout, as they are there.

    The arguments are those of `TextFiles`.

    Raises:
        InputError: The Hub cannot be reached, or the set not be read.
    """
    import datasets

    with tempfile.TemporaryDirectory() as temporary, _quiet():  # nothing is kept twice
        try:
            sets = datasets.load_dataset(path, cache_dir=temporary, name=subset, revision=revision)
        except Exception as error:  # Hub, network and the set's own files: each in its way
            raise _unreadable(path, error, offline) from error
        named = sorted(sets, key=lambda name: part_of(name) != name, reverse=True)
        parts = {part: name for name in named if (part := part_of(name)) is not None}
        if not parts:
            raise InputError(
                f"{path} has neither a train nor a test part, only {', '.join(sets)}. Rename a "
                "part, or give one file as path."
            )
        left_out = [name for name in sets if name not in parts.values()]
        notes = (f"left out: the parts {', '.join(left_out)}",) if left_out else ()
        return {part: _hub_rows(sets[name], columns, path, notes) for part, name in parts.items()}


def _hub_rows(part: Any, columns: TextColumns, path: str, notes: tuple[str, ...]) -> "TextRows":
    import pandas as pd

    from dlp.datamodules.text.rows import TextRows

    wanted = (columns.text, *columns.labels, columns.group, columns.time, columns.id)
    there = [name for name in dict.fromkeys(wanted) if name in part.column_names]
    names = None
    if len(columns.labels) == 1 and columns.labels[0] in there:
        names = getattr(part.features[columns.labels[0]], "names", None)
    columns.check(path, part.column_names)
    frame = part.select_columns(there).to_pandas()
    frame.index = pd.RangeIndex(len(frame), name="row")
    return TextRows(frame, f"{path}, in the Hub's layout", names, notes=notes)


def _unreadable(path: str, error: Exception, offline: str) -> InputError:
    if Path(path).expanduser().exists():
        return InputError(f"cannot read {path}: {error.__cause__ or error}")
    if isinstance(error, FileNotFoundError):
        return MissingInputError(
            f"{path!r} is neither a file or folder here nor a data set on the Hub ({error})."
        )
    if isinstance(error, OSError):
        return InputError(
            f"cannot reach the Hub for {path!r} ({error}). On a machine with network run "
            f"`hf download {path} --repo-type dataset --local-dir FOLDER`, copy FOLDER to this "
            f"machine and {offline}."
        )
    return InputError(f"the Hub's data set {path!r} cannot be read: {error}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `datasets` from drawing its own bars and logging the errors we report."""
    import datasets

    level, shown = datasets.logging.get_verbosity(), not datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()
