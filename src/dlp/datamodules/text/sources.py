"""Read texts from a table, a folder of text files, or a data set on the Hugging Face Hub."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dlp.console import say
from dlp.datamodules.folders import PART_NAMES, find_files, part_folders, report_unused
from dlp.datamodules.text.corpus import Texts
from dlp.errors import InputError, check_choice
from dlp.files import absent, cached_file, hub_commit, sha256
from dlp.reader.tokens import Tokens

if TYPE_CHECKING:
    import pandas as pd

#: Rows of each part, not yet encoded.
Frames = dict[str, "pd.DataFrame"]
_FORMAT = 3  # increased when tokens or columns change, so that cached texts are built again
_HUB = "hub:"


def cached_texts(key: str, read: Callable[[], Texts]) -> Texts:
    """Return texts from the cache.

    Args:
        key: Key that changes if the texts change.
        read: Function that reads and tokenises the texts if they are not in the cache.
    """
    digest = hashlib.sha256(f"{_FORMAT} {key}".encode()).hexdigest()
    name = f"texts/{digest[:32]}.arrow"
    return cached_file(name, lambda path: read().save(path), Texts.load)


@dataclass(frozen=True)
class TextFiles:
    """Texts in a table, in a folder or on the Hub.

    Most arguments are described in `TextDataModule`.

    Args:
        path: Path of a table or folder, or ``hub:OWNER/NAME``. Without labels it may also be a .txt
            file with one text per line, or a folder of .txt files.
        roles: Name of the column for each role: ``text``, ``label0``, ``label1``, ..., ``group``,
            ``time`` and ``id``.
        tokens: Kind of tokens.
        ngrams: Length of the longest n-grams of tokens that are terms.
        char_ngrams: Length of the longest n-grams of characters that are terms; 0 for none.
        task: Kind of label. With ``classification``, labels are read as text.
        drop_unlabelled: Whether texts without a label are left out.
        read_csv: Arguments of ``pandas.read_csv``.
    """

    path: str
    roles: Mapping[str, str]
    tokens: Tokens = "words"
    ngrams: int = 1
    char_ngrams: int = 0
    task: str = "auto"
    drop_unlabelled: bool = False
    read_csv: Mapping[str, Any] | None = None

    @property
    def labels(self) -> list[str]:
        """Names of the label columns."""
        return [name for role, name in self.roles.items() if role.startswith("label")]

    def texts(self) -> Texts:
        """Return all texts from the cache.

        They are read again if an argument or the version of the texts changes. The version is the
        SHA-256 of each file, or the commit of a data set on the Hub.
        """
        files = self
        versions: list[tuple[str, str]] = []
        if self.is_on_hub:
            files = replace(self, path=_at_commit(self.path))
        else:
            path = Path(self.path).expanduser()
            paths = [path, *sorted(path.rglob("*"))]
            versions = [(str(file), sha256(file)) for file in paths if file.is_file()]
        return cached_texts(repr((files, versions)), files.read)

    @property
    def is_on_hub(self) -> bool:
        """Whether the path is the name of a data set on the Hub, ``hub:OWNER/NAME``."""
        return self.path.startswith(_HUB)

    def read(self) -> Texts:
        """Read and tokenise all texts. The column ``part`` contains the part of each text.

        Raises:
            InputError: If a column is missing, or does not contain texts.
        """
        import pandas as pd

        from dlp.datamodules.tables.kinds import check_target
        from dlp.datamodules.tables.rows import drop_unlabelled

        frame = pd.concat(self._frames())
        roles = dict(self.roles)
        if not self.labels and roles.get("id") not in frame:  # texts to predict need no ids
            roles.pop("id", None)
        for role, name in roles.items():
            check_choice(f"{role.rstrip('0123456789')}_column", name, frame.columns)
        if self.drop_unlabelled:
            frame = drop_unlabelled(frame, self.labels, self.path)
        for name in self.labels:
            check_target(frame[name].droplevel(0), self.task, self.read_csv or {})
            if self.task == "classification":
                frame[name] = frame[name].map(str, na_action="ignore")
        cells = frame[self.roles["text"]]
        others = cells[cells.notna() & ~cells.map(lambda cell: isinstance(cell, str))]
        if len(others):
            raise InputError(
                f"text_column: expected texts in {self.path}, got {others.iloc[0]!r:.40}. Give a "
                "column of texts."
            )
        texts = cells.fillna("")
        num_empty = (texts.str.strip() == "").sum()
        if num_empty == len(texts):
            raise InputError(f"{self.path}: expected texts, got only empty ones.")
        if num_empty:
            say(f"{num_empty:,} of {len(texts):,} texts of {self.path} are empty")
        rows = frame.index.get_level_values(1)
        row_column = "row" if rows.inferred_type == "integer" else "id"
        columns = {"part": frame.index.get_level_values(0), row_column: rows}
        for role, name in roles.items():
            columns[role] = pa.array(frame[name], from_pandas=True)
        del columns["text"]
        return Texts.tokenise(texts.tolist(), self.tokens, self.ngrams, self.char_ngrams, **columns)

    def _frames(self) -> Frames:
        """Return the rows of each part. The index is the row number, or the path of a text file."""
        import pandas as pd

        from dlp.datamodules.tables.conversion import convert_columns
        from dlp.datamodules.tables.files import read_table

        path = Path(self.path).expanduser()
        if self.is_on_hub:
            name, _, commit = self.path.removeprefix(_HUB).partition("@")
            return self._hub(name, commit or None)
        if not path.exists():
            raise absent(path, " For a data set on the Hub, give hub:OWNER/NAME.")
        if any(path.rglob("*.parquet")):
            return self._hub(self.path)
        if path.is_dir():
            return self._text_files(path)
        if path.suffix.lower() == ".txt" and not self.labels:
            lines = self._text(path).removesuffix("\n").split("\n")
            return {"train": pd.DataFrame({self.roles["text"]: lines})}
        frame = read_table(path, self.read_csv)
        names = [self.roles.get("time")]
        if self.task != "classification":
            names += self.labels
        return {"train": convert_columns(frame, self.read_csv or {}, str(path), names)}

    def _text_files(self, folder: Path) -> Frames:
        """Return the text files of each part; without labels there is a single part.

        The folder ``unsup`` in the IMDB archive, aclImdb, is skipped, because it has no labels.
        """
        import pandas as pd

        folders = {"train": folder}
        pattern = "**/*.txt"
        if self.labels:
            folders = part_folders(folder)
            pattern = "*/*.txt"
        frames = {}
        for part, root in folders.items():
            files = find_files(root, pattern)
            if self.labels:
                files = [file for file in files if file.parent.name != "unsup"]
            report_unused(root, find_files(root), files)
            names = [file.relative_to(folder).as_posix() for file in files]
            texts = [self._text(file) for file in files]
            frame = pd.DataFrame({self.roles["text"]: texts}, names)
            for label in self.labels:
                frame[label] = [file.parent.name for file in files]
            if files:
                frames[part] = frame
        if not frames:
            raise InputError(
                f"{folder} has no class folders with .txt files, such as pos/1.txt or "
                "train/pos/1.txt. If it contains tables, give their files as path and test_path. "
                "If it was written by save_to_disk, export the data set with to_parquet first."
            )
        return frames

    def _text(self, path: Path) -> str:
        try:
            return path.read_text((self.read_csv or {}).get("encoding", "utf-8-sig"))
        except UnicodeDecodeError as error:
            from dlp.datamodules.encodings import settle_encoding

            refusal = settle_encoding(path)
            if refusal is None:
                refusal = InputError(f"{path} is UTF-8. Leave encoding out of read_csv.")
            raise refusal from error

    def _hub(self, name: str, commit: str | None = None) -> Frames:
        """Return the parts of a data set on the Hub.

        Args:
            name: Name on the Hub, or the path of a folder with the files of the data set.
            commit: Commit on the Hub.
        """
        import datasets

        datasets.disable_progress_bars()  # files on the disk are read in seconds
        frames = {}
        with tempfile.TemporaryDirectory() as folder:  # so that no set is stored twice
            try:
                sets = datasets.load_dataset(name, revision=commit, cache_dir=folder)
            except Exception as error:  # the Hub, the network and the files raise many kinds
                raise InputError(
                    f"{self.path} cannot be read as a data set on the Hub ({error}). Without a "
                    "network connection, give the path of a copy."
                ) from error
            for name, rows in sets.items():
                if name not in PART_NAMES:
                    continue
                frame = rows.to_pandas()
                for label in self.labels:
                    classes = getattr(rows.features.get(label), "names", None)
                    if classes:
                        # The number -1, for no label, becomes a missing value.
                        frame[label] = frame[label].map(dict(enumerate(classes)))
                frames[PART_NAMES[name]] = frame
        return frames


def _at_commit(path: str) -> str:
    """Return ``hub:OWNER/NAME@COMMIT``, where the default is the newest commit.

    Without a network connection it is the last commit that was seen. If none was seen, the path is
    returned unchanged.
    """
    if "@" in path:
        return path
    commit = hub_commit(path.removeprefix(_HUB))
    if commit is None:
        return path
    return f"{path}@{commit}"
