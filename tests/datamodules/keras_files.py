"""Small archives in the true format of Keras's: object arrays of lists of ranks, a word list."""

import hashlib
import json

import numpy as np

from dlp.datamodules.text import keras_archives
from dlp.files import Download

WORDS = [f"w{rank}" for rank in range(1, 31)]


def ragged(rows):
    """Return lists of unequal length as an array of objects."""
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


def ranks(num_rows, seed):
    """Return lists of ranks 1 to 30, small ones more often."""
    random = np.random.default_rng(seed)
    return [
        (random.integers(1, 31, 8) // (1 + row % 3) + 1).clip(1, 30).tolist()
        for row in range(num_rows)
    ]


def publish(monkeypatch, folder, name, arrays):
    """Write an archive and its word list, and take their hashes for the published ones."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", **arrays)
    words = {word: rank for rank, word in enumerate(WORDS, 1)}
    (folder / f"{name}_word_index.json").write_text(json.dumps(dict(reversed(words.items()))))
    expect(monkeypatch, folder, name)


def expect(monkeypatch, folder, name):
    """Take the hashes of what lies in `folder` for the published ones."""
    archive, words = f"{name}.npz", f"{name}_word_index.json"
    sha256 = hashlib.sha256((folder / archive).read_bytes()).hexdigest()
    md5 = hashlib.md5((folder / words).read_bytes()).hexdigest()
    origin = folder / "origin"
    published = {
        archive: Download((origin / archive).as_uri(), sha256),
        words: Download((origin / words).as_uri(), md5=md5),
    }
    for file, download in published.items():
        monkeypatch.setitem(keras_archives.DOWNLOADS, file, download)
