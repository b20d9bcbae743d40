"""Texts as word numbers: tokenised once, kept as plain arrays, read through a memory map."""

import errno
import hashlib
import json
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from dlp.console import say
from dlp.datamodules.splits import Indices
from dlp.errors import InputError
from dlp.files import cache_dir, sha256

#: Raise it when tokens or files change their meaning: older caches are then left alone.
FORMAT = 1

_SPACED = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', " "))


def split_words(text: str) -> list[str]:
    """Return the words of a text, as the book's archives have them.

    Lower case; punctuation, tab and newline become spaces; apostrophes stay.
    """
    return [word for word in text.lower().translate(_SPACED).split(" ") if word]


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
        groups: NDArray[Any] | None = None,
        times: NDArray[Any] | None = None,
    ) -> "Corpus":
        """Tokenise `texts` (`total` of them, for the progress bar)."""
        numbers = _Numbers()
        number = numbers.__getitem__
        tokens, ends, digests = array("i"), array("q", [0]), bytearray()
        for text in _with_progress(texts, total):
            tokens.extend(map(number, split_words(text)))
            ends.append(len(tokens))
            digests += hashlib.blake2b(text.encode(), digest_size=8).digest()
        return cls(
            np.array(tokens, np.int32),
            np.array(ends, np.int64),
            np.frombuffer(bytes(digests), "<u8").astype(np.uint64),
            targets,
            list(numbers),
            None if class_names is None else list(class_names),
            groups=groups,
            times=times,
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
    hidden = not sys.stderr.isatty()
    return tqdm(texts, "tokenising", total, unit="text", leave=False, disable=hidden)


def sample_rows(targets: NDArray[Any] | None, num_rows: int, size: int) -> Indices:
    """Return about `size` row numbers spread evenly, and the first row of every class.

    Sets come sorted by label: the first rows would be of one class.
    """
    spread = np.linspace(0, num_rows - 1, min(size, num_rows)).astype(np.int64)
    if targets is None or targets.ndim > 1:
        return np.unique(spread)
    values, first = np.unique(targets, return_index=True)
    return np.union1d(spread, first) if len(values) <= size else np.unique(spread)


# The cache ----------------------------------------------------------------------------------------

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


def cached_corpora(source: CorpusSource) -> Corpora:
    """Return the corpora of `source`: memory-mapped from the cache, built first if need be.

    Any number of processes may do so at once: each builds what it does not find, and the first
    to be ready leaves it to all.
    """
    stored = stored_corpora(source.key)
    return stored if stored is not None else _store(source.key, source.build())


def stored_corpora(key: str) -> Corpora | None:
    """Return the cached corpora of that key; None where there are none, or they are damaged."""
    home = _home(key)
    if not home.is_dir():
        return None
    try:
        return _load_parts(home)
    except _DAMAGE as error:
        say(f"the cached texts in {home} are damaged ({error}); they are made again")
        return None


_DAMAGE = (OSError, ValueError, KeyError, TypeError)


def _home(key: str) -> Path:
    return cache_dir() / "text" / key


def _load_parts(home: Path) -> Corpora | None:
    # By name: a folder that another process moves away meanwhile must not look like a file.
    parts = sorted(part for part in home.iterdir() if not part.name.startswith("."))
    return {part.name: _load(part) for part in parts} or None


def _valid(home: Path) -> Corpora | None:
    try:
        return _load_parts(home)
    except _DAMAGE:
        return None


def _store(key: str, corpora: Corpora) -> Corpora:
    """Return `corpora` as the cache holds them, written there unless another process was faster."""
    home = _home(key)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=home.parent) as temporary:
            whole = Path(temporary) / key
            for name, corpus in corpora.items():
                _save(corpus, whole / name)
            return _install(whole, home) or corpora
    except OSError as error:
        raise InputError(
            f"cannot write the cache {home}: {error.strerror}. Set DLP_CACHE_DIR to a folder with "
            "room that you can write to."
        ) from error


def _install(whole: Path, home: Path) -> Corpora | None:
    """Move `whole` to `home`, unless a valid cache stands there, and return what then does.

    A reader finds a whole folder or none: what is damaged is moved aside (it goes with the
    temporary folder), never deleted in place. None if other processes win every race.
    """
    for attempt in range(20):
        try:
            whole.rename(home)
        except OSError as error:  # one stands there, or ours did and was moved aside
            usual = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if error.errno not in usual and not home.is_dir():
                raise
        found = _valid(home)
        if found is not None:
            return found
        aside = whole.parent / f"aside{attempt}"
        with suppress(FileNotFoundError):  # another process was faster to move it
            home.rename(aside)
        if _valid(aside) is not None:  # it had come since we looked: back with it
            whole = aside
    return None


def _save(corpus: Corpus, folder: Path) -> None:
    folder.mkdir(parents=True)
    meta: dict[str, Any] = {
        "class_names": corpus.class_names,
        "ranked": corpus.ranked,
        "labels": None,
    }
    arrays: dict[str, NDArray[Any]] = {
        "tokens": corpus.tokens,
        "offsets": corpus.offsets,
        "digests": corpus.digests,
    }
    for name, keys in (("groups", corpus.groups), ("times", corpus.times)):
        if keys is not None:
            arrays[name] = keys
    if corpus.targets is not None:
        arrays["targets"] = corpus.targets
        if corpus.targets.dtype.kind == "O":  # text: numbers into a list of labels
            labels, arrays["targets"] = np.unique(corpus.targets, return_inverse=True)
            meta["labels"] = labels.tolist()
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    (folder / "words.txt").write_bytes("\n".join(corpus.words).encode())
    meta["files"] = {file.name: sha256(file) for file in sorted(folder.iterdir())}
    (folder / "corpus.json").write_text(json.dumps(meta), encoding="utf-8")


def _load(folder: Path) -> Corpus:
    """Return a saved corpus; whatever its files have suffered is a ValueError or OSError."""
    meta = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    for name, expected in meta["files"].items():
        if sha256(folder / name) != expected:
            raise ValueError(f"{name} has changed")

    def load(name: str) -> Any:
        return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    targets = None
    if "targets.npy" in meta["files"]:
        targets = np.array(load("targets"))
        if meta["labels"] is not None:
            targets = np.array(meta["labels"], object)[targets]
    text = (folder / "words.txt").read_bytes().decode()
    words = text.split("\n") if text else []
    return Corpus(
        load("tokens"),
        load("offsets"),
        load("digests"),
        targets,
        words,
        meta["class_names"],
        meta["ranked"],
        *(
            np.array(load(name)) if f"{name}.npy" in meta["files"] else None
            for name in ("groups", "times")
        ),
    )
