"""The reference sets of texts, in the files of their origin."""

import pytest

from dlp.datamodules import IMDBDataModule, ReutersDataModule
from dlp.datamodules.splits import keras_order
from dlp.datamodules.text import reuters
from dlp.datamodules.text.reuters import CLASS_NAMES, labelled_wires
from dlp.errors import InputError
from helpers.reference_sets import write_imdb, write_reuters

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
    with pytest.raises(
        InputError, match=r"stanfordnlp/imdb@\w+ cannot .* give the path of a copy"
    ):
        IMDBDataModule(tmp_path).fit()


@pytest.mark.realdata
def test_the_real_set_has_the_book_s_sizes_and_first_words():
    data = IMDBDataModule()
    assert data.input_shape == (10000,)
    sizes = [len(data.examples(part)) for part in ("train", "val", "test")]
    assert sizes == [15_000, 10_000, 25_000]
    assert data.encoder.words_[:5] == ["the", "and", "a", "of", "to"]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("own", ["Wet <fields>", "GOLD UP", "TIN DOWN", "Profit"]),
        (
            "as_published",
            ["Wet &lt;fields&gt;", *["Profit"] * 3],
        ),  # a body of the next wires
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
    with pytest.raises(InputError, match=r"tar.gz.* Reuters-21578 .*[Dd]elete it"):
        ReutersDataModule(folder).fit()


@pytest.mark.realdata
def test_the_book_s_labels():
    data = ReutersDataModule(val_size=None)
    assert data.loader("train").targets[:10].tolist() == [3, 4, 3, 4, 4, 4, 4, 3, 3, 16]
    assert [len(data.examples(part)) for part in ("train", "test")] == [8982, 2246]
