"""Tables of texts, read by ``datasets``: a file, a folder in the Hub's layout, a Hub data set."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.corpus import Corpora, Corpus, sample_rows, source_key
from dlp.datamodules.row_keys import keys_of_table
from dlp.datamodules.table_files import absent
from dlp.errors import InputError, MissingInputError, suggestion
from dlp.files import sha256

_BUILDERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
}
_TEXT_FILES = {".csv", ".tsv", ".json", ".jsonl", ".txt"}
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class TextTable:
    """Where labelled or unlabelled texts stand.

    Args:
        path: A file (.csv, .tsv, .json, .jsonl, .parquet; .txt with one text a line if nothing is
            labelled), a folder in the Hub's layout, or the name of a Hub data set.
        text_column: The column of the texts.
        label_columns: The columns of the targets; none for unlabelled texts.
        subset: The configuration of a Hub data set that has several.
        revision: The commit, tag or branch of a Hub data set.
        group_column: The column of the groups, in the ``train`` part.
        time_column: The column of the times, likewise.
        offline: What to do with a copy of a Hub data set, said where the Hub cannot be reached.

    Raises:
        MissingInputError: There is no such file or folder, and the name is none of the Hub's.
        InputError: The kind of file is not accepted.
    """

    path: str
    text_column: str
    label_columns: tuple[str, ...] = ()
    subset: str | None = None
    revision: str | None = None
    group_column: str | None = None
    time_column: str | None = None
    offline: str = "give it as path"

    def check(self) -> None:
        """Check what can be checked before anything is read (see Raises)."""
        accepted = [*_BUILDERS] if self.label_columns else [*_BUILDERS, ".txt"]
        if self.local.is_file():
            if self.local.suffix.lower() not in accepted:
                raise InputError(
                    f"{self.path} is no table of texts; accepted: {', '.join(accepted)}, a folder "
                    "in the Hub's layout, or the name of a Hub data set."
                )
            if not self.local.stat().st_size:
                raise InputError(f"{self.path} is empty: it must have a row for each text.")
        elif not self.local.exists():
            suffix = self.local.suffix.lower()
            if suffix in accepted or not _HUB_NAME.fullmatch(self.path):
                folder = self.local.parent
                near = [file.name for file in folder.iterdir()] if folder.is_dir() else []
                raise MissingInputError(
                    f"there is no file {self.path}.{suggestion(self.local.name, near)} Give the "
                    "path of a table, of a folder, or the name of a Hub data set."
                )

    @property
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
        columns: tuple[object, ...] = (self.text_column, self.label_columns, self.subset)
        if self.group_column is not None or self.time_column is not None:
            columns += (self.group_column, self.time_column)
        try:
            contents = [
                (file.relative_to(self.local).as_posix(), sha256(file)) for file in self.files
            ]
        except OSError as error:
            raise InputError(f"cannot read {error.filename}: {error.strerror}.") from error
        if contents:
            return source_key("files", contents, self.local.suffix.lower(), *columns)
        return source_key("hub", self.path, self.revision, *columns)

    def build(self, sample_size: int | None = None) -> Corpora:
        """Return the tokenised parts ``train`` and ``test``, as far as they are there.

        Raises:
            InputError: A file cannot be read or is not UTF-8, a column or text is missing, or the
                Hub cannot be reached.
        """
        for file in self.files:
            if file.suffix.lower() in _TEXT_FILES:
                _check_utf8(file)
        if self.local.suffix.lower() == ".txt":
            lines = self.local.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
            _check_texts(lines, np.arange(len(lines)), self.path)
            return {"train": Corpus.from_texts(lines, None, total=len(lines))}
        with tempfile.TemporaryDirectory() as temporary:  # nothing is kept twice
            splits = self._read(temporary)
            parts = {name: splits[name] for name in ("train", "test") if name in splits}
            if not parts:
                raise InputError(
                    f"{self.path} has neither a train nor a test part, only {', '.join(splits)}. "
                    "Rename a part, or give one file as path."
                )
            return {name: self._tokenised(parts[name], name, sample_size) for name in parts}

    def _read(self, temporary: str) -> dict[str, Any]:
        import datasets

        options: dict[str, Any] = {"cache_dir": temporary}
        name = str(self.local) if self.local.exists() else self.path
        suffix = self.local.suffix.lower()
        if self.local.is_file():
            name, options["data_files"] = _BUILDERS[suffix], str(self.local)
        else:
            options |= {"name": self.subset, "revision": self.revision}
        kinds = {file.suffix.lower() for file in self.files} & set(_BUILDERS)
        if kinds and kinds <= {".csv", ".tsv"}:
            # pandas takes a text such as "NA" or "null" for a missing one, and "12" for a number.
            options |= {"keep_default_na": False, "converters": {self.text_column: str}}
            options["sep"] = "\t" if kinds == {".tsv"} else ","
        with _quiet():
            try:
                return dict(datasets.load_dataset(name, **options))
            except Exception as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InputError:
        if self.local.exists():
            reason = error.__cause__ or error
            if "corresponds to no data" in str(reason):
                return InputError(f"{self.path} has no row: it needs one for each text.")
            return InputError(f"cannot read {self.path}: {reason}")
        if isinstance(error, FileNotFoundError):
            return MissingInputError(
                f"{self.path!r} is neither a file or folder here nor a data set on the Hub "
                f"({error})."
            )
        if isinstance(error, OSError):
            return InputError(
                f"cannot reach the Hub for {self.path!r} ({error}). On a machine with network run "
                f"`hf download {self.path} --repo-type dataset --local-dir FOLDER`, copy FOLDER "
                f"to this machine and {self.offline}."
            )
        return InputError(f"the Hub's data set {self.path!r} cannot be read: {error}")

    def _tokenised(self, part: Any, name: str, sample_size: int | None) -> Corpus:
        columns = part.column_names
        for column in (self.text_column, *self.label_columns):
            if column not in columns:
                raise MissingInputError(
                    f"{self.path} has no column {column!r}.{suggestion(column, columns)} It has: "
                    f"{', '.join(columns)}. Say which by text_column and label_column."
                )
        feature = part.features[self.text_column]
        if getattr(feature, "dtype", None) not in ("string", "large_string"):
            raise InputError(
                f"column {self.text_column!r} of {self.path} holds {feature}, not text. Say by "
                "text_column which one does."
            )
        targets, names = self._targets(part)
        groups, times = self._keys(part) if name == "train" else (None, None)
        rows = np.arange(len(part))
        if sample_size is not None:
            rows = sample_rows(targets, len(part), sample_size)
            part = part.select(rows)
            targets, groups, times = (
                None if values is None else values[rows] for values in (targets, groups, times)
            )
        texts = self._texts(part, rows)
        return Corpus.from_texts(texts, targets, names, len(rows), groups, times)

    def _texts(self, part: Any, rows: NDArray[np.int64]) -> Iterator[str]:
        start = 0
        for batch in part.with_format("arrow").iter(batch_size=1000):
            texts = batch.column(self.text_column).to_pylist()
            _check_texts(texts, rows[start : start + len(texts)], self.path)
            yield from texts
            start += len(texts)

    def _targets(self, part: Any) -> tuple[NDArray[Any] | None, list[str] | None]:
        """Return what stands in the label columns, and the classes' names if they are told."""
        if not self.label_columns:
            return None, None
        table = part.with_format("arrow")[:]
        columns = [self._column(table.column(name), name) for name in self.label_columns]
        if len(columns) > 1:
            return np.column_stack(columns), None
        return columns[0], getattr(part.features[self.label_columns[0]], "names", None)

    def _keys(self, part: Any) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """Return groups and times of the texts."""
        names = [name for name in (self.group_column, self.time_column) if name is not None]
        if not names:
            return None, None
        for name in names:
            if name not in part.column_names:
                raise absent("group_column and time_column", name, part.column_names)
        frame = part.select_columns(names).to_pandas()
        return keys_of_table(frame, self.group_column, self.time_column)

    def _column(self, column: Any, name: str) -> NDArray[Any]:
        cells = column.to_pylist()
        blank = [row for row, cell in enumerate(cells) if cell is None or cell == ""]
        if blank:
            raise InputError(
                f"row {blank[0]} (from 0) of {self.path} has no label in column {name!r}; "
                f"{len(blank):,} such rows. Fill them in or leave these rows out."
            )
        is_text = all(isinstance(cell, str) for cell in cells)
        values = np.array(cells, object if is_text else None)
        if values.ndim > 1 or not (is_text or values.dtype.kind in "biuf"):
            raise InputError(
                f"column {name!r} of {self.path} holds {column.type}; accepted as labels: text, "
                "numbers, true and false. For several labels a text give a column of 0 and 1 each."
            )
        return values


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


def _check_utf8(path: Path) -> None:
    seen = 0
    with path.open("rb") as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path} is not UTF-8 (byte {seen + error.start}): save it as UTF-8, for "
                    f"example with `iconv -f latin1 -t utf-8`."
                ) from error
            seen += len(line)


def _check_texts(texts: Sequence[str | None], rows: NDArray[np.int64], path: str) -> None:
    blank = [row for text, row in zip(texts, rows, strict=True) if text is None or not text.strip()]
    if blank:
        raise InputError(
            f"row {blank[0]} (from 0) of {path} has no text. Fill it in, or leave out such rows: "
            "a model can learn or say nothing from them."
        )
