"""Sources of texts: a table, a folder of text files, a data set of the Hub, Keras's archives."""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from dlp.cache import cached_file
from dlp.console import say
from dlp.datamodules.parts import PART_NAMES
from dlp.datamodules.rows import row_hashes
from dlp.datamodules.text.corpus import Texts, Tokens, spacing
from dlp.errors import InputError, unknown
from dlp.files import download, sha256

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "val", "test")
_FORMAT = 2  # another number for other tokens or columns: cached texts are built again
_TABLE = re.compile(r"\.(csv|tsv|txt|jsonl?|parquet)(\.gz)?$", re.IGNORECASE)
_ARCHIVES_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
#: SHA-256 of the archives behind ``keras.datasets``: the book's exact word ids.
ARCHIVES = {
    "imdb": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "reuters": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
}


def cached_texts(key: str, read: Callable[[], Texts]) -> Texts:
    """Return texts from the cache; they are read and tokenised once."""
    digest = hashlib.sha256(f"{_FORMAT} {key}".encode()).hexdigest()
    name = f"texts/{digest[:32]}.arrow"
    return cached_file(name, lambda path: read().save(path), Texts.load)


@dataclass(frozen=True)
class TextFiles:
    """Texts in a table, a folder or a data set of the Hub; see `TextDataModule`.

    `columns` names the column of each role: ``text``, ``label0``, ``label1`` ..., ``group``,
    ``time``, ``id``. Without labels, `path` is also a .txt with a text per line, or a folder of
    texts. Labels of a ``classification`` stay text.
    """

    path: str
    columns: Mapping[str, str]
    tokens: Tokens = "words"
    ngrams: int = 1
    task: str = "auto"
    drop_unlabelled: bool = False
    read_csv: Mapping[str, Any] | None = None

    @property
    def labels(self) -> list[str]:
        """Names of the label columns."""
        return [name for role, name in self.columns.items() if role.startswith("label")]

    def texts(self) -> Texts:
        """Return all texts from the cache, which follows the arguments and the files' SHA-256."""
        path = Path(self.path)
        files = [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*")))
        key = repr((self, [(str(file), sha256(file)) for file in files]))
        return cached_texts(key, self.read)

    def read(self) -> Texts:
        """Read and tokenise all texts; the column ``part`` holds the part of each."""
        import pandas as pd

        frame = pd.concat(self._frames())
        for role, name in self.columns.items():
            if name not in frame:
                raise unknown(f"{role.rstrip('0123456789')}_column", name, map(str, frame.columns))
        if self.labels:
            frame = self._labelled(frame)
        texts = frame[self.columns["text"]].tolist()
        is_empty = [not isinstance(text, str) or not text.strip() for text in texts]
        if any(is_empty):
            part, row = frame.index[is_empty.index(True)]
            raise InputError(f"{self.path} has no text in row {row} of its {part} part.")
        parts, rows = (frame.index.get_level_values(level) for level in (0, 1))
        columns = {"part": parts, "row" if rows.inferred_type == "integer" else "id": rows}
        for role, name in self.columns.items():
            columns[role] = pa.array(frame[name], from_pandas=True)
        del columns["text"]
        return Texts.tokenise(texts, spacing(self.tokens, self.ngrams), **columns)

    def _labelled(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rows with labels: classes as text, others checked."""
        from dlp.datamodules.tables.kinds import check_text, is_number

        if self.drop_unlabelled and (count := frame[self.labels].isna().any(axis=1).sum()):
            say(f"{count:,} texts of {self.path} have no label and are left out")
            frame = frame.dropna(subset=self.labels)
            # Holes made floats of whole numbers.
            frame[self.labels] = frame[self.labels].convert_dtypes()
        for name in self.labels:
            if self.task == "classification":
                frame[name] = frame[name].map(str, na_action="ignore")
            elif not is_number(frame[name]):
                fix = {"task": "classification"}
                check_text(frame[name].droplevel(0), "give task: classification", fix)
        return frame

    def _frames(self) -> dict[str, "pd.DataFrame"]:
        """Return the rows of each part; the index is the row number or the path of a text file."""
        import pandas as pd

        from dlp.datamodules.tables.files import read_table

        path = Path(self.path)
        if path.is_dir() and not any(path.rglob("*.parquet")):
            return self._text_files(path)
        if path.is_dir() or not (path.exists() or _TABLE.search(self.path)):
            return self._hub()
        if path.suffix.lower() == ".txt" and path.is_file() and not self.labels:
            lines = self._text(path).removesuffix("\n").split("\n")
            return {"train": pd.DataFrame({self.columns["text"]: lines})}
        as_text = [self.columns[role] for role in ("text", "id") if role in self.columns]
        as_text += self.labels if self.task == "classification" else ()
        return {"train": read_table(path, self.read_csv, as_text)}

    def _text_files(self, folder: Path) -> dict[str, "pd.DataFrame"]:
        import pandas as pd

        pattern = "*/*.txt" if self.labels else "**/*.txt"
        folders = [folder / name for name in PART_NAMES if self.labels]
        parts = {PART_NAMES[f.name]: sorted(f.glob(pattern)) for f in folders if f.is_dir()}
        if not any(parts.values()):
            parts = {"train": sorted(folder.glob(pattern))}
        frames = {}
        for part, paths in parts.items():
            names = [path.relative_to(folder).as_posix() for path in paths]
            names = [name for name in names if not re.search(r"(^|/)(\.|unsup/)", name)]
            columns = {self.columns["text"]: [self._text(folder / name) for name in names]}
            columns |= {label: [name.split("/")[-2] for name in names] for label in self.labels}
            if names:
                frames[part] = pd.DataFrame(columns, names)
        if not frames:
            raise InputError(
                f"{folder} has no class folders with .txt files, such as pos/1.txt or "
                "train/pos/1.txt. Tables are named one by one: give path and test_path."
            )
        return frames

    def _text(self, path: Path) -> str:
        try:
            return path.read_text((self.read_csv or {}).get("encoding", "utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Give its "
                "encoding, such as read_csv: {encoding: cp1252}.",
                fix={"read_csv": {"encoding": "cp1252"}},
            ) from error

    def _hub(self) -> dict[str, "pd.DataFrame"]:
        """Return the parts of a data set of the Hub, or of a folder with its files."""
        import datasets

        datasets.disable_progress_bars()  # a set of the disk is read in seconds
        frames = {}
        with tempfile.TemporaryDirectory() as folder:  # else every set is on the disk twice
            try:
                sets = datasets.load_dataset(self.path, cache_dir=folder)
            except Exception as error:  # of the Hub, the network and the files, each its own
                raise InputError(
                    f"{self.path} is neither a path here nor a readable data set of the Hub "
                    f"({error}). Without network, give the path of a copy."
                ) from error
            for name, rows in sets.items():
                frame = frames[PART_NAMES.get(name, name)] = rows.to_pandas()
                for label in {*self.labels} & {*rows.features}:
                    if names := getattr(rows.features[label], "names", None):
                        frame[label] = frame[label].map(dict(enumerate(names)))  # -1: no label
        return {part: frames[part] for part in PARTS if part in frames}


def archive_texts(name: Literal["imdb", "reuters"], folder: Path) -> Texts:
    """Return all texts in the order of ``keras.datasets``; words are ranked over the whole set."""
    return cached_texts(f"keras {ARCHIVES[name]}", lambda: _read_archive(name, folder))


def _read_archive(name: str, folder: Path) -> Texts:
    file, index = f"{name}.npz", f"{name}_word_index.json"
    archive = download(_ARCHIVES_URL + file, folder / file, ARCHIVES[name])
    ranks = json.loads(download(_ARCHIVES_URL + index, folder / index, "").read_text("utf-8"))
    words = sorted(ranks, key=ranks.__getitem__)
    generator = np.random.RandomState(113)  # one for both parts, as in load_data
    with np.load(archive, allow_pickle=True) as arrays:  # a pickle of known SHA-256
        ends = ("_train", "_test") if name == "imdb" else ("",)
        xs, ys = ([arrays[letter + end] for end in ends] for letter in "xy")
    orders = [generator.permutation(len(y)) for y in ys]
    x, y = (
        np.concatenate([part[order] for part, order in zip(parts, orders, strict=True)])
        for parts in (xs, ys)
    )
    rows = [np.asarray(row, np.int32) - 1 for row in x]
    num_train = len(ys[0]) if name == "imdb" else int(len(rows) * 0.8)
    names = np.array(words, object)
    offsets = np.cumsum([0, *map(len, rows)])
    table = {
        "text": pa.array([" ".join(names[row]) for row in rows], pa.large_string()),
        "tokens": pa.LargeListArray.from_arrays(offsets, np.concatenate(rows)),
        "hash": row_hashes(rows),
        "part": np.where(np.arange(len(rows)) < num_train, "train", "test").astype(object),
        "label0": y.astype(np.int64),
    }
    return Texts(pa.table(table), words, np.arange(len(rows)), is_ranked=True)
