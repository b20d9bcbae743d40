"""Archives behind ``keras.datasets.imdb`` and ``.reuters``: the book's exact word ids."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from dlp.datamodules.examples import row_hashes
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.sources import cached_texts
from dlp.files import download

_ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
SHA256 = {
    "imdb": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "reuters": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
}


def archive_texts(name: Literal["imdb", "reuters"], folder: Path) -> Texts:
    """Return all texts in the order into which ``load_data`` shuffles them.

    Words are ranked over the whole set, test part included.
    """
    return cached_texts(f"keras {SHA256[name]}", lambda: _read_archive(name, folder))


def _read_archive(name: str, folder: Path) -> Texts:
    file, index = f"{name}.npz", f"{name}_word_index.json"
    archive = download(_ORIGIN + file, folder / file, SHA256[name])
    ranks = json.loads(download(_ORIGIN + index, folder / index, "").read_text("utf-8"))
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
