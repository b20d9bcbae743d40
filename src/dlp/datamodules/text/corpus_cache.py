"""Tokenised texts on disk: written once, checked, read through a memory map."""

import errno
import json
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.examples import Examples
from dlp.datamodules.reading import ColumnReading, InputReading
from dlp.datamodules.text.corpus import Corpus, RawTexts, TextParts, TextSource
from dlp.errors import InputError
from dlp.files import cache_dir, sha256


def cached_parts(source: TextSource) -> TextParts:
    """Return the parts of `source`: memory-mapped from the cache, built first if need be.

    Any number of processes may do so at once: each builds what it does not find, and the first
    to be ready leaves it to all.
    """
    stored = stored_parts(source.key)
    return stored if stored is not None else _store(source.key, source.build())


def stored_parts(key: str) -> TextParts | None:
    """Return the cached parts of that key; None where there are none, or they are damaged."""
    home = _home(key)
    if not home.is_dir():
        return None
    try:
        return _load_parts(home)
    except _DAMAGE as error:
        say(f"the cached texts in {home} are damaged ({error}); they are made again")
        return None


#: Arrays of numbers or plain text: of a corpus, and of what stands beside its texts.
_TOKENS = ("tokens", "offsets", "digests")
_COLUMNS = ("groups", "times", "places")
_DAMAGE = (OSError, ValueError, KeyError, TypeError)


def _home(key: str) -> Path:
    return cache_dir() / "text" / key


def _load_parts(home: Path) -> TextParts | None:
    # By name: a folder that another process moves away meanwhile must not look like a file.
    parts = sorted(part for part in home.iterdir() if not part.name.startswith("."))
    return {part.name: _load(part) for part in parts} or None


def _valid(home: Path) -> TextParts | None:
    try:
        return _load_parts(home)
    except _DAMAGE:
        return None


def _store(key: str, parts: TextParts) -> TextParts:
    """Return `parts` as the cache holds them, written there unless another process was faster."""
    home = _home(key)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=home.parent) as temporary:
            whole = Path(temporary) / key
            for name, part in parts.items():
                _save(part, whole / name)
            return _install(whole, home) or parts
    except OSError as error:
        raise InputError(
            f"cannot write the cache {home}: {error.strerror}. Set DLP_CACHE_DIR to a folder with "
            "room that you can write to."
        ) from error


def _install(whole: Path, home: Path) -> TextParts | None:
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


def _save(part: Examples, folder: Path) -> None:
    folder.mkdir(parents=True)
    corpus: Corpus = part.rows.corpus
    meta: dict[str, Any] = {
        "class_names": corpus.class_names,
        "ranked": corpus.ranked,
        "num_val": part.num_val,
        "labels": None,
    }
    arrays: dict[str, NDArray[Any] | None] = {name: getattr(corpus, name) for name in _TOKENS}
    arrays |= {name: getattr(part, name) for name in _COLUMNS}
    if corpus.raw is not None:
        arrays |= {"raw": corpus.raw.content, "raw_offsets": corpus.raw.offsets}
    arrays["targets"] = part.targets
    if part.targets is not None and part.targets.dtype.kind == "O":  # numbers into a list of labels
        labels, arrays["targets"] = np.unique(part.targets, return_inverse=True)
        meta["labels"] = labels.tolist()
    for name, values in arrays.items():
        if values is not None:
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
    (folder / "words.txt").write_bytes("\n".join(corpus.words).encode())
    rows = {
        "names": part.names,
        "ids": None if part.ids is None else part.ids.tolist(),
        "truth": None if part.truth is None else part.truth.tolist(),
        "reading": None if corpus.reading is None else asdict(corpus.reading),
    }
    (folder / "rows.json").write_text(json.dumps(rows, default=str), encoding="utf-8")
    meta["files"] = {file.name: sha256(file) for file in sorted(folder.iterdir())}
    (folder / "corpus.json").write_text(json.dumps(meta), encoding="utf-8")


def _load(folder: Path) -> Examples:
    """Return a saved part; whatever its files have suffered is a ValueError or OSError."""
    meta = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    for name, expected in meta["files"].items():
        if sha256(folder / name) != expected:
            raise ValueError(f"{name} has changed")

    def load(name: str) -> Any:
        if f"{name}.npy" not in meta["files"]:
            return None
        return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    targets = load("targets")
    if targets is not None:
        targets = np.array(targets)
        if meta["labels"] is not None:
            targets = np.array(meta["labels"], object)[targets]
    text = (folder / "words.txt").read_bytes().decode()
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    ids, truth, raw = rows["ids"], rows["truth"], load("raw")
    corpus = Corpus(
        **{name: load(name) for name in _TOKENS},
        words=text.split("\n") if text else [],
        ranked=meta["ranked"],
        raw=None if raw is None else RawTexts(raw, load("raw_offsets")),
        class_names=meta["class_names"],
        reading=_reading(rows.get("reading")),
    )
    return Examples(
        corpus.texts(),
        targets,
        corpus.digests,
        names=rows["names"],
        num_val=meta["num_val"],
        ids=None if ids is None else np.array(ids, object),
        truth=None if truth is None else np.array(truth, object),
        **{name: load(name) for name in _COLUMNS},
    )


def _reading(content: dict[str, Any] | None) -> InputReading | None:
    if content is None:
        return None
    columns = tuple(ColumnReading(**column) for column in content["columns"])
    return InputReading(content["source"], columns, notes=tuple(content["notes"]))
