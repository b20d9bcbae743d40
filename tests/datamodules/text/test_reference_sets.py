"""The reference sets of texts, in the files of their origin and in the archives of Keras."""

import hashlib
import json
import os

import numpy as np
import pytest
from helpers.reference_sets import write_imdb, write_reuters

from dlp.datamodules import IMDBDataModule, ReutersDataModule
from dlp.datamodules.splits import keras_order
from dlp.datamodules.text import reuters, sources
from dlp.datamodules.text.reuters import CLASS_NAMES, labelled_wires
from dlp.errors import InputError

SGML = """<!DOCTYPE lewis SYSTEM "lewis.dtd">
<REUTERS TOPICS="YES" NEWID="1">
<TOPICS><D>grain</D><D>wheat</D></TOPICS>
<TEXT><TITLE>RAIN</TITLE><BODY>Wet &lt;fields&gt;
</BODY></TEXT></REUTERS>
<REUTERS TOPICS="NO" NEWID="2"><TOPICS></TOPICS><TEXT><BODY>No topic</BODY></TEXT></REUTERS>
<REUTERS TOPICS="YES" NEWID="3"><TOPICS><D>gold</D></TOPICS>
<TEXT TYPE="BRIEF"><TITLE>GOLD UP</TITLE></TEXT></REUTERS>
<REUTERS TOPICS="YES" NEWID="4"><TOPICS><D>tin</D></TOPICS>
<TEXT TYPE="UNPROC">TIN DOWN</TEXT></REUTERS>
<REUTERS TOPICS="YES" NEWID="5"><TOPICS><D>earn</D></TOPICS>
<TEXT><BODY>Profit</BODY></TEXT></REUTERS>
"""
WORDS = [f"w{rank}" for rank in range(1, 31)]


def test_the_parts_are_those_of_the_hub_in_keras_order(tmp_path):
    write_imdb(tmp_path / "imdb" / "plain_text")
    data = IMDBDataModule(tmp_path, num_words=20, val_size=8)
    assert data.class_names == ["neg", "pos"]
    order = keras_order(40)
    assert data.examples("test").index.tolist() == order.tolist()
    text = f"a {'good' if order[0] % 2 else 'bad'} film of test {order[0]}"
    assert data.examples("test").inputs[:1].raw() == [text]
    assert data.loader("val").targets.tolist() == (order[:8] % 2).tolist()
    assert data.loader("train").targets.tolist() == (order[8:] % 2).tolist()


def test_without_files_or_network_the_way_out_is_named(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"stanfordnlp/imdb is neither .* give the path of a copy"):
        IMDBDataModule(tmp_path).fit()


@pytest.mark.realdata
def test_the_real_set_has_the_book_s_sizes_and_first_words():
    data = IMDBDataModule()
    assert data.input_shape == (10000,)
    sizes = [len(data.examples(part)) for part in ("train", "val", "test")]
    assert sizes == [15_000, 10_000, 25_000]
    assert data.encoder.words[:5] == ["the", "and", "a", "of", "to"]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("own", ["Wet <fields>", "GOLD UP", "TIN DOWN", "Profit"]),
        ("as_published", ["Wet &lt;fields&gt;", *["Profit"] * 3]),  # a body of the next wires
    ],
)
def test_each_wire_has_its_first_topic_and_its_text(kind, texts):
    wires = list(labelled_wires(SGML, kind))
    assert [topic for topic, _ in wires] == ["grain", "gold", "tin", "earn"]
    assert [" ".join(text.split()) for _, text in wires] == texts


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(reuters, "SHA256", write_reuters(tmp_path / "reuters21578"))
    return tmp_path


def test_wires_are_in_keras_order_and_the_first_four_fifths_train(folder):
    data = ReutersDataModule(folder, num_words=60, val_size=None)
    order, cut = keras_order(690), 552
    assert data.loader("train").targets.tolist() == (order[:cut] % 46).tolist()
    assert data.loader("test").targets.tolist() == (order[cut:] % 46).tolist()
    assert data.class_names == CLASS_NAMES
    text = f"{CLASS_NAMES[order[cut] % 46]} wire {order[cut] // 46}"
    assert data.examples("test").inputs[:1].raw() == [text]


@pytest.mark.parametrize("length", [500, None])
def test_another_or_a_damaged_archive_is_refused(length, folder, monkeypatch):
    monkeypatch.setattr(reuters, "SHA256", "0" * 64)
    path = folder / "reuters21578" / "reuters21578.tar.gz"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"tar.gz .* Reuters-21578 1.0; delete it"):
        ReutersDataModule(folder).fit()


@pytest.mark.realdata
def test_the_book_s_labels():
    data = ReutersDataModule(val_size=None)
    assert data.loader("train").targets[:10].tolist() == [3, 4, 3, 4, 4, 4, 4, 3, 3, 16]
    assert [len(data.examples(part)) for part in ("train", "test")] == [8982, 2246]


def write_archive(folder, name, arrays, monkeypatch):
    """Write an archive in Keras's format, and publish its hash."""
    ragged = {x: np.array([*arrays[x], None], object)[:-1] for x in arrays if "x" in x}
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
