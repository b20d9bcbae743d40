"""Texts as word numbers: tokenised once, kept as plain arrays, read through a memory map."""

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from dlp.cache import kept_folder, read_folder
from dlp.console import bar_file
from dlp.datamodules.examples import Examples
from dlp.datamodules.reading import ColumnReading, InputReading
from dlp.datamodules.splitting.splits import Indices
from dlp.datamodules.text.tokens import Tokens
from dlp.datamodules.text.word_numbers import WordNumbers
from dlp.errors import InputError
from dlp.files import cache_dir

#: Raise it when tokens or files change their meaning: older caches are then left alone.
FORMAT = 6
#: Texts that are split at once.
_AT_ONCE = 4096


@dataclass(frozen=True)
class RawTexts:
    """N texts as they were given, to be shown to people.

    Args:
        content: All texts in UTF-8, one after the other, uint8 (B,).
        offsets: Where each begins, and where the last one ends, int64 (N + 1,).
    """

    content: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __getitem__(self, row: int) -> str:
        """Return text number `row`."""
        return self.content[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()


@dataclass(frozen=True)
class Corpus:
    """N texts as numbers of words; what else is known of each stands in `Examples`.

    Args:
        tokens: The words of all texts one after the other, numbers into `words`, int32 (T,).
        offsets: Where each text begins in `tokens`, and where the last one ends, int64 (N + 1,).
        hashes: One number a text, equal for equal texts, uint64 (N,).
        words: Every distinct word, in order of first appearance (archives: of rank).
        ranked: Whether `words` stand in a published order of rank, which is to be kept.
        raw: The texts as they were given, where they were.
        class_names: The names of the classes, where the source tells them.
        reading: What the file and its columns were taken for.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    words: list[str]
    ranked: bool = False
    raw: RawTexts | None = None
    class_names: list[str] | None = None
    reading: InputReading | None = None

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.offsets) - 1

    def texts(self, rows: Indices | None = None) -> "Texts":
        """Return the texts numbered `rows`; all of them by default."""
        return Texts(self, np.arange(len(self)) if rows is None else rows)

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        tokens: Tokens = "words",
        total: int | None = None,
        folder: Path | None = None,
    ) -> "Corpus":
        """Split `texts` (`total` of them, for the progress bar) into `tokens`.

        What grows with every word is written to a `folder` that is not yet there, where one is
        given: 4 million reviews are 10 GB, and stand in memory a few at a time.
        """
        words = WordNumbers(tokens)
        ends, hashes, offsets = array("q", [0]), bytearray(), array("q", [0])
        if folder is not None:
            folder.mkdir()
        found = _Growing(np.int32, folder and folder / "tokens.npy")
        content = _Growing(np.uint8, folder and folder / "raw.npy")
        bar = tqdm(texts, "tokenising", total, unit="text", leave=False, file=bar_file())
        shown = iter(bar)  # one pass, whatever texts are
        while batch := list(islice(shown, _AT_ONCE)):
            encoded = []
            for number, text in enumerate(batch):
                try:
                    raw = text.encode()
                except UnicodeEncodeError:  # half an emoji, in a text given in Python
                    raw = text.encode(errors="replace")
                    batch[number] = raw.decode()
                hashes += hashlib.blake2b(raw, digest_size=8).digest()
                encoded.append(raw)
                offsets.append(offsets[-1] + len(raw))
            content.append(b"".join(encoded))
            numbers, lengths = words.of(batch)
            found.append(numbers.data)
            ends.extend((ends[-1] + np.cumsum(lengths)).tolist())
        return cls(
            found.array(),
            np.array(ends, np.int64),
            np.frombuffer(hashes, "<u8").astype(np.uint64),
            words.known,
            raw=RawTexts(content.array(), np.array(offsets, np.int64)),
        )


@dataclass(frozen=True)
class Texts:
    """Some texts of a corpus: row numbers, no copy.

    Args:
        corpus: The corpus.
        rows: Numbers of its texts, int64 (n,), in any order.
    """

    corpus: Corpus
    rows: Indices

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.rows)

    def __getitem__(self, index: Indices | slice) -> "Texts":
        """Return the texts at the positions `index`."""
        return Texts(self.corpus, self.rows[index])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of words of each text, (n,)."""
        return self.corpus.offsets[self.rows + 1] - self.corpus.offsets[self.rows]

    def raw(self) -> list[str]:
        """Return these texts as they were given; their words where those alone are known."""
        corpus = self.corpus
        if corpus.raw is not None:
            return [corpus.raw[row] for row in self.rows.tolist()]
        tokens, lengths = self.tokens()
        texts = np.split(tokens, np.cumsum(lengths)[:-1])
        return [" ".join(corpus.words[token] for token in text) for text in texts]

    def batches(self, size: int = 4096) -> Iterator["Texts"]:
        """Yield these texts, `size` at a time: what is built from each stays small."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def tokens(
        self, limit: int | None = None, first: int | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the words of all texts one after the other, and how many each text has.

        Args:
            limit: Take only the first so many words of each text.
            first: A number to stand before the words of each text; it counts as one of them.
        """
        corpus = self.corpus
        lengths = self.lengths if limit is None else np.minimum(self.lengths, limit)
        starts = corpus.offsets[self.rows]
        every = np.asarray(corpus.tokens)  # a slice of a memory map takes 20 times as long
        pieces = [every[:0]]
        pieces += [
            every[start:end]
            for start, end in zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        ]
        if first is None:
            return np.concatenate(pieces), lengths
        joined = [np.array([first], np.int32)] * (2 * len(lengths) + 1)
        joined[::2] = pieces
        return np.concatenate(joined), lengths + 1


#: The parts of a set (``train``, ``test``) by name; the rows of each are all texts of a `Corpus`.
TextParts = Mapping[str, Examples]


class TextSource(Protocol):
    """Where texts come from: something with a name for its content, that can be read."""

    @property
    def key(self) -> str:
        """A name that changes with the content and with how it is read."""
        ...

    def build(self, sample_size: int | None = None, folder: Path | None = None) -> TextParts:
        """Return the tokenised parts (``train``, ``test``); a spread sample of each if asked.

        Large arrays of a part may be written to the folder of its name below `folder`.
        """
        ...


def source_key(*parts: object) -> str:
    """Return 32 hexadecimal digits that stand for `parts` (plain values)."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()[:32]


# On disk ------------------------------------------------------------------------------------------


def cached_parts(source: TextSource) -> TextParts:
    """Return the parts of `source`: memory-mapped from the cache, built first if need be.

    Of several processes one builds them, and the others wait for it.

    Raises:
        InputError: The source cannot be read, or the cache not be written.
    """
    home = cache_dir() / "text" / source.key

    def write(folder: Path) -> None:
        for name, part in source.build(folder=folder).items():
            _save(part, folder / name)

    try:
        return kept_folder(home, "texts", _load_parts, write)
    except OSError as error:
        if isinstance(error, InputError):  # the source is the matter, not the cache
            raise
        raise InputError(
            f"cannot write the cache {home}: {error.strerror}. Set DLP_CACHE_DIR to a folder with "
            "room that you can write to."
        ) from error


def stored_parts(key: str) -> TextParts | None:
    """Return the cached parts of that key; None where there are none, or they are damaged."""
    return read_folder(cache_dir() / "text" / key, _load_parts, "texts")


class _Growing:
    """An array (N,) to whose end more is written: in memory, or in a .npy file.

    Args:
        kind: The type of its numbers.
        path: The file, which is not yet there; None for memory.
    """

    def __init__(self, kind: type[np.generic], path: Path | None) -> None:
        self._kind, self._path, self._content = np.dtype(kind), path, bytearray()
        if path is not None:
            path.touch()
            self._start = self._write_header(path, 0)

    def append(self, content: bytes | memoryview) -> None:
        """Write more of its bytes."""
        if self._path is None:
            self._content += content
            return
        with self._path.open("ab") as file:
            file.write(content)

    def array(self) -> NDArray[Any]:
        """Return all that was written; of a file a memory map."""
        if self._path is None:
            return np.frombuffer(self._content, self._kind)
        size = self._path.stat().st_size - self._start
        self._write_header(self._path, size // self._kind.itemsize)
        found: NDArray[Any] = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return found

    def _write_header(self, path: Path, length: int) -> int:
        """Write it and return its size: NumPy leaves room in it for any length."""
        about = {"descr": self._kind.str, "fortran_order": False, "shape": (length,)}
        with path.open("r+b") as file:
            np.lib.format.write_array_header_1_0(file, about)
            return file.tell()


#: Arrays of numbers or plain text: of a corpus (file -> attribute), and what stands beside it.
_TOKENS = {"tokens": "tokens", "offsets": "offsets", "digests": "hashes"}
_COLUMNS = ("groups", "times", "places")


def _save(part: Examples, folder: Path) -> None:
    corpus: Corpus = part.rows.corpus
    # What else stands there is left of a process that was killed, and could not be removed.
    folder.mkdir(exist_ok=isinstance(corpus.tokens, np.memmap))
    arrays: dict[str, NDArray[Any] | None]
    arrays = {file: getattr(corpus, name) for file, name in _TOKENS.items()}
    arrays |= {name: getattr(part, name) for name in _COLUMNS}
    if corpus.raw is not None:
        arrays |= {"raw": corpus.raw.content, "raw_offsets": corpus.raw.offsets}
    labels, arrays["targets"] = None, part.targets
    if part.targets is not None and part.targets.dtype.kind == "O":  # numbers into a list of labels
        labels, arrays["targets"] = np.unique(part.targets, return_inverse=True)
    for name, values in arrays.items():
        file = folder / f"{name}.npy"
        if values is not None and not file.exists():  # those of a memory map are there
            np.save(file, values, allow_pickle=False)
    rest = {
        "words": corpus.words,
        "ranked": corpus.ranked,
        "class_names": corpus.class_names,
        "reading": None if corpus.reading is None else asdict(corpus.reading),
        "num_val": part.num_val,
        "names": part.names,
        "labels": None if labels is None else labels.tolist(),
        "ids": None if part.ids is None else part.ids.tolist(),
        "truth": None if part.truth is None else part.truth.tolist(),
    }
    (folder / "rest.json").write_text(json.dumps(rest, default=str), encoding="utf-8")


def _load_parts(home: Path) -> TextParts:
    return {folder.name: _load(folder) for folder in sorted(home.iterdir()) if folder.is_dir()}


def _load(folder: Path) -> Examples:
    arrays: dict[str, Any] = {
        file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")
    }
    rest = json.loads((folder / "rest.json").read_text(encoding="utf-8"))
    ids, truth, labels = (
        None if rest[name] is None else np.array(rest[name], object)
        for name in ("ids", "truth", "labels")
    )
    targets = np.array(arrays["targets"]) if "targets" in arrays else None
    reading = rest["reading"]
    if reading is not None:
        columns = tuple(ColumnReading(**column) for column in reading["columns"])
        reading = InputReading(reading["source"], columns, notes=tuple(reading["notes"]))
    corpus = Corpus(
        **{name: arrays[file] for file, name in _TOKENS.items()},
        words=rest["words"],
        ranked=rest["ranked"],
        raw=RawTexts(arrays["raw"], arrays["raw_offsets"]) if "raw" in arrays else None,
        class_names=rest["class_names"],
        reading=reading,
    )
    return Examples(
        corpus.texts(),
        targets if labels is None else labels[targets],
        corpus.hashes,
        names=rest["names"],
        num_val=rest["num_val"],
        ids=ids,
        truth=truth,
        **{name: arrays.get(name) for name in _COLUMNS},
    )
