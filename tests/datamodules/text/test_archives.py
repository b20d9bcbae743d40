import hashlib
import json
import os

import numpy as np
import pytest

from dlp.datamodules import IMDBDataModule, ReutersDataModule
from dlp.datamodules.splits import keras_order
from dlp.datamodules.text import sources
from dlp.errors import InputError

WORDS = [f"w{rank}" for rank in range(1, 31)]


def write_archive(folder, name, arrays, monkeypatch):
    """Write an archive in Keras's format, and publish its hash."""
    ragged = {
        key: np.array([*rows, None], object)[:-1] for key, rows in arrays.items() if "x" in key
    }
    np.savez(folder / f"{name}.npz", **{**arrays, **ragged})
    words = {word: rank for rank, word in reversed([*enumerate(WORDS, 1)])}
    (folder / f"{name}_word_index.json").write_text(json.dumps(words))
    sha256 = hashlib.sha256((folder / f"{name}.npz").read_bytes()).hexdigest()
    monkeypatch.setitem(sources.ARCHIVES, name, sha256)


def ranks(count, seed):
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 31, generator.integers(1, 9)).tolist() for _ in range(count)]


def keras_rows(x, order, num_words):
    """Return what ``load_data`` gives: ids of rank + 3 behind a start, 2 for the rest."""
    return [[i if i < num_words else 2 for i in [1, *(w + 3 for w in x[n])]] for n in order]


def ids(data, part):
    texts = data.examples(part).inputs
    data.fit()
    return [data.encoder.ids(texts[[row]])[0].tolist() for row in range(len(texts))]


def test_imdb_is_read_id_for_id(tmp_path, monkeypatch):
    x = {"train": ranks(20, 0), "test": ranks(12, 1)}
    y = {"train": np.arange(20) % 2, "test": np.arange(12) % 2}
    arrays = {f"x_{part}": x[part] for part in x} | {f"y_{part}": y[part] for part in y}
    write_archive(tmp_path, "imdb", arrays, monkeypatch)
    data = IMDBDataModule(tmp_path, source="keras", num_words=24, val_size=None)
    generator = np.random.RandomState(113)
    for part in ("train", "test"):  # load_data shuffles both by one generator
        order = np.arange(len(y[part]))
        generator.shuffle(order)
        assert ids(data, part) == keras_rows(x[part], order, 24)
        assert data.loader(part).targets.tolist() == y[part][order].tolist()
    assert data.encoder.decode([4, 5, 23, 24]) == "w1 w2 w20 ?"
    assert data.examples("train").inputs.raw()[0].split()[0] in WORDS


def test_an_archive_with_another_hash_is_not_unpickled(tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    array = np.array([Attack()], object)
    np.savez(tmp_path / "imdb.npz", x_train=array)
    with pytest.raises(InputError, match=r"imdb.npz is not the published file"):
        IMDBDataModule(tmp_path, source="keras").fit()
    assert not (tmp_path / "attacked").exists()


def test_reuters_is_read_id_for_id(tmp_path, monkeypatch):
    x, y = ranks(200, 2), np.arange(200) % 46
    write_archive(tmp_path, "reuters", {"x": x, "y": y}, monkeypatch)
    data = ReutersDataModule(tmp_path, source="keras", num_words=24, val_size=None)
    order = keras_order(200)
    assert ids(data, "train") + ids(data, "test") == keras_rows(x, order, 24)
    assert data.loader("test").targets.tolist() == y[order[160:]].tolist()
