"""Keras's archives of IMDB and Reuters: the book's exact ids, unpickled with care."""

import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.examples import Examples, sample_rows
from dlp.datamodules.text.corpus import Corpus, TextParts, source_key
from dlp.errors import InputError
from dlp.files import Download

_ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

#: File name -> where it comes from and what it must be. Keras publishes an MD5 of the word lists.
DOWNLOADS = {
    "imdb.npz": Download(
        _ORIGIN + "imdb.npz",
        "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    ),
    "imdb_word_index.json": Download(
        _ORIGIN + "imdb_word_index.json", md5="bfafd718b763782e994055a2d397834f"
    ),
    "reuters.npz": Download(
        _ORIGIN + "reuters.npz",
        "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    ),
    "reuters_word_index.json": Download(
        _ORIGIN + "reuters_word_index.json", md5="4d44cc38712099c9e383dc6e5f11a921"
    ),
}


@dataclass(frozen=True)
class KerasArchive:
    """The archive behind ``keras.datasets.imdb`` or ``.reuters``: texts as ranks of words.

    The ranks count over the whole set, test part included, and stay as they were published.

    Args:
        name: Which archive.
        folder: Where its files lie, or are downloaded to.
    """

    name: Literal["imdb", "reuters"]
    folder: str

    @cached_property
    def key(self) -> str:
        """What stands for the content: the hashes the files must have."""
        files = [DOWNLOADS[f"{self.name}{end}"].expected for end in (".npz", "_word_index.json")]
        return source_key("keras", self.name, files)

    def build(self, sample_size: int | None = None, folder: Path | None = None) -> TextParts:
        """Return the parts ``train`` and ``test`` in the order ``load_data`` shuffles them into.

        Raises:
            InputError: A file cannot be downloaded, is not the published one, or holds something
                other than arrays.
        """
        files = [f"{self.name}.npz", f"{self.name}_word_index.json"]
        paths = [DOWNLOADS[name].fetch(Path(self.folder) / name) for name in files]
        arrays = load_arrays(paths[0])
        words = _ranked_words(paths[1])
        generator = np.random.RandomState(113)  # one for both parts, as in load_data
        try:
            if self.name == "imdb":
                parts = {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in _PARTS}
                orders = {part: generator.permutation(len(y)) for part, (_, y) in parts.items()}
            else:
                parts = dict.fromkeys(_PARTS, (arrays["x"], arrays["y"]))
                order = generator.permutation(len(arrays["y"]))
                cut = int(len(order) * 0.8)
                orders = {"train": order[:cut], "test": order[cut:]}
        except KeyError as error:
            raise InputError(f"{paths[0]} has no array {error}.") from error
        found = {}
        for part, (x, y) in parts.items():
            rows = orders[part]
            if sample_size is not None:
                rows = rows[sample_rows(y[rows], len(rows), sample_size)]
            corpus = _corpus(x[rows], words)
            found[part] = Examples(corpus.texts(), y[rows].astype(np.int64), corpus.hashes)
        return found


_PARTS = ("train", "test")


def _ranked_words(path: Path) -> list[str]:
    """Return the words by rank (from 1) of a file that maps word to rank."""
    ranks: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return sorted(ranks, key=ranks.__getitem__)


def _corpus(x: NDArray[Any], words: list[str]) -> Corpus:
    """Return lists of ranks as a corpus: rank r is the word number r - 1."""
    rows = [np.asarray(row, np.int32) - 1 for row in x]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    tokens = np.concatenate([np.empty(0, np.int32), *rows])
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < len(words):
        raise InputError(
            f"the archive has ranks {tokens.min() + 1} to {tokens.max() + 1}, its list of words "
            f"1 to {len(words)}: they do not belong together. Delete both to download them again."
        )
    hashes = np.array([_hash(row) for row in rows], np.uint64)
    return Corpus(tokens, offsets, hashes, words, ranked=True)


def _hash(row: NDArray[np.int32]) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little")


# Arrays of objects, without what a pickle may otherwise do ---------------------------------------


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file; a pickle in it may build arrays and lists alone.

    Raises:
        InputError: The file is no archive of arrays, or a pickle in it wants anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _load_array(archive.read(name), f"{name} of {path}")
                for name in archive.namelist()
            }
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"cannot read {path} ({error}): it is corrupt or no .npz archive. Delete it and run "
            "again."
        ) from error


def _load_array(content: bytes, name: str) -> NDArray[Any]:
    stream = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(stream) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        if not dtype.hasobject:
            stream.seek(0)
            return np.lib.format.read_array(stream, allow_pickle=False)
        array = _ArrayUnpickler(stream, encoding="latin1").load()
    except InputError as error:
        raise InputError(f"{name} is refused: {error}") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(f"{name} is no array: {error}") from error
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise InputError(f"{name} is refused: its pickle does not hold the array it announces.")
    return array


class _ArrayUnpickler(pickle.Unpickler):
    """Knows three names: what NumPy rebuilds an array from. All else could run code."""

    def find_class(self, module: str, name: str) -> Any:
        rebuild = np.empty(0).__reduce__()[0]
        known = {
            ("numpy.core.multiarray", "_reconstruct"): rebuild,
            ("numpy._core.multiarray", "_reconstruct"): rebuild,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in known:
            raise InputError(
                f"its pickle asks for {module}.{name}, and may ask for nothing but NumPy arrays. "
                "Such a file can run any program: get it from its origin."
            )
        return known[module, name]
