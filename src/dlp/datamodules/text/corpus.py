"""Texts as word numbers: tokenised once, kept as plain arrays, read through a memory map."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from dlp.console import bar_file
from dlp.datamodules.reading import InputReading
from dlp.datamodules.splitting.splits import Indices
from dlp.datamodules.text.tokens import Tokens, splitter

#: Raise it when tokens or files change their meaning: older caches are then left alone.
FORMAT = 4


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
    """N texts as numbers of words.

    Args:
        tokens: The words of all texts one after the other, numbers into `words`, int32 (T,).
        offsets: Where each text begins in `tokens`, and where the last one ends, int64 (N + 1,).
        digests: One number a text, equal for equal texts, uint64 (N,).
        targets: What stands in the label column(s), (N,) or (N, L); None if unlabelled.
        words: Every distinct word, in order of first appearance (archives: of rank).
        class_names: The names of the classes, where the source tells them.
        groups: The group of each text, (N,), where it has one.
        times: The time of each text, numbers (N,), likewise.
        ranked: Whether `words` stand in a published order of rank, which is to be kept.
        places: The number of each text in its file, from 0, int64 (N,); None for 0 to N - 1.
        names: The path of each text's file, (N,), where each has one of its own.
        ids: What people know each text by, (N,), from a column of theirs.
        raw: The texts as they were given, where they were.
        num_val: The last so many are a validation part of the set's own.
        truth: The cells of the label column(s), where those are not needed and may be empty.
        reading: What the file and its columns were taken for.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    digests: NDArray[np.uint64]
    targets: NDArray[Any] | None
    words: list[str]
    class_names: list[str] | None = None
    ranked: bool = False
    groups: NDArray[Any] | None = None
    times: NDArray[Any] | None = None
    places: NDArray[np.int64] | None = None
    names: list[str] | None = None
    ids: NDArray[Any] | None = None
    raw: RawTexts | None = None
    num_val: int = 0
    truth: NDArray[Any] | None = None
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
        targets: NDArray[Any] | None,
        class_names: Sequence[str] | None = None,
        total: int | None = None,
        tokens: Tokens = "words",
    ) -> "Corpus":
        """Split `texts` (`total` of them, for the progress bar) into `tokens`."""
        numbers = _Numbers()
        number, split = numbers.__getitem__, splitter(tokens)
        found, ends, digests = array("i"), array("q", [0]), bytearray()
        content, offsets = bytearray(), array("q", [0])
        for text in _with_progress(texts, total):
            try:
                raw = text.encode()
            except UnicodeEncodeError:  # half an emoji, from JSON, is no character
                raw = text.encode(errors="replace")
                text = raw.decode()
            found.extend(map(number, split(text)))
            ends.append(len(found))
            digests += hashlib.blake2b(raw, digest_size=8).digest()
            content += raw
            offsets.append(len(content))
        return cls(
            np.array(found, np.int32),
            np.array(ends, np.int64),
            np.frombuffer(bytes(digests), "<u8").astype(np.uint64),
            targets,
            list(numbers),
            None if class_names is None else list(class_names),
            raw=RawTexts(np.frombuffer(content, np.uint8), np.array(offsets, np.int64)),
        )


class _Numbers(dict[str, int]):
    """The number of each word: the next free one for a new word."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


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
    def targets(self) -> NDArray[Any]:
        """What stands in the label column(s) of these texts."""
        assert self.corpus.targets is not None
        return self.corpus.targets[self.rows]

    @property
    def digests(self) -> NDArray[np.uint64]:
        """One number a text, equal for equal texts."""
        return self.corpus.digests[self.rows]

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

    def tokens(self, limit: int | None = None) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the words of all texts one after the other, and how many each text has.

        Args:
            limit: Take only the first so many words of each text.
        """
        starts = self.corpus.offsets[self.rows]
        lengths = self.corpus.offsets[self.rows + 1] - starts
        if limit is not None:
            lengths = np.minimum(lengths, limit)
        before = np.cumsum(lengths) - lengths
        positions = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
        return self.corpus.tokens[positions], lengths


def _with_progress(texts: Iterable[str], total: int | None) -> Iterable[str]:
    return tqdm(texts, "tokenising", total, unit="text", leave=False, file=bar_file())


Corpora = Mapping[str, Corpus]


class CorpusSource(Protocol):
    """Where texts come from: something with a name for its content, that can be read."""

    @property
    def key(self) -> str:
        """A name that changes with the content and with how it is read."""
        ...

    def build(self, sample_size: int | None = None) -> Corpora:
        """Return the tokenised parts (``train``, ``test``); a spread sample of each if asked."""
        ...


def source_key(*parts: object) -> str:
    """Return 32 hexadecimal digits that stand for `parts` (plain values)."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()[:32]
