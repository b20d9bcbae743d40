"""Sources of texts: a table, a folder of text files, a data set of the Hub."""

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

#: Rows as they were read, by part.
Frames = dict[str, "pd.DataFrame"]
_FORMAT = 3  # another number for other tokens or columns: cached texts are built again
_HUB = "hub:"


def cached_texts(key: str, read: Callable[[], Texts]) -> Texts:
    """Return texts from the cache; they are read and tokenised once."""
    digest = hashlib.sha256(f"{_FORMAT} {key}".encode()).hexdigest()
    name = f"texts/{digest[:32]}.arrow"
    return cached_file(name, lambda path: read().save(path), Texts.load)


@dataclass(frozen=True)
class TextFiles:
    """Texts in a table, a folder or a data set of the Hub; see `TextDataModule`.

    `roles` names the column of each role: ``text``, ``label0``, ``label1`` ..., ``group``,
    ``time``, ``id``. Without labels, `path` is also a .txt with a text per line, or a folder of
    texts. Labels of a ``classification`` stay text.
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
        """Return all texts from the cache, which follows the arguments and the texts' versions.

        The version of a file is its SHA-256, of a data set of the Hub its commit.
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
        """True for the name of a data set of the Hub, ``hub:OWNER/NAME``."""
        return self.path.startswith(_HUB)

    def read(self) -> Texts:
        """Read and tokenise all texts; the column ``part`` contains the part of each."""
        import pandas as pd

        from dlp.datamodules.tables.kinds import check_target
        from dlp.datamodules.tables.rows import drop_unlabelled

        frame = pd.concat(self._frames())
        roles = dict(self.roles)
        if not self.labels and roles.get("id") not in frame:  # new texts need no names
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
                f"{self.path} contains {others.iloc[0]!r:.40} instead of a text; give a column of "
                "texts."
            )
        texts = cells.fillna("")
        num_empty = (texts.str.strip() == "").sum()
        if num_empty == len(texts):
            raise InputError(f"{self.path} has no text.")
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
        """Return the rows of each part; the index is the row number or the path of a text file."""
        import pandas as pd

        from dlp.datamodules.tables.conversion import convert_columns
        from dlp.datamodules.tables.files import read_table

        path = Path(self.path).expanduser()
        if self.is_on_hub:
            name, _, commit = self.path.removeprefix(_HUB).partition("@")
            return self._hub(name, commit or None)
        if not path.exists():
            raise absent(path, " A data set of the Hub is named hub:OWNER/NAME.")
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
        """Return the text files of each part, or of one; ``unsup`` of aclImdb is skipped."""
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
                "train/pos/1.txt. Tables are named one by one: give path and test_path, of what "
                "save_to_disk wrote the files of to_parquet."
            )
        return frames

    def _text(self, path: Path) -> str:
        try:
            return path.read_text((self.read_csv or {}).get("encoding", "utf-8-sig"))
        except UnicodeDecodeError as error:
            from dlp.datamodules.encodings import settle_encoding

            refusal = settle_encoding(path)
            if refusal is None:
                refusal = InputError(f"{path} is UTF-8: leave encoding out of read_csv.")
            raise refusal from error

    def _hub(self, name: str, commit: str | None = None) -> Frames:
        """Return the parts of a data set of the Hub at a commit, or of a folder with its files."""
        import datasets

        datasets.disable_progress_bars()  # a set of the disk is read in seconds
        frames = {}
        with tempfile.TemporaryDirectory() as folder:  # else every set is on the disk twice
            try:
                sets = datasets.load_dataset(name, revision=commit, cache_dir=folder)
            except Exception as error:  # of the Hub, the network and the files, each its own
                raise InputError(
                    f"{self.path} cannot be read as a data set of the Hub ({error}). Without "
                    "network, give the path of a copy."
                ) from error
            for name, rows in sets.items():
                if name not in PART_NAMES:
                    continue
                frame = rows.to_pandas()
                for label in self.labels:
                    classes = getattr(rows.features.get(label), "names", None)
                    if classes:
                        frame[label] = frame[label].map(dict(enumerate(classes)))  # -1: no label
                frames[PART_NAMES[name]] = frame
        return frames


def _at_commit(path: str) -> str:
    """Return ``hub:OWNER/NAME@COMMIT``, by default at the newest commit.

    Without network it is the last commit that was seen, if there is one.
    """
    if "@" in path:
        return path
    commit = hub_commit(path.removeprefix(_HUB))
    if commit is None:
        return path
    return f"{path}@{commit}"
