import pytest
from helpers.reference_sets import write_imdb

from dlp.datamodules import IMDBDataModule
from dlp.datamodules.splits import keras_order
from dlp.errors import InputError


def test_the_parts_are_those_of_the_hub_in_keras_order(tmp_path):
    write_imdb(tmp_path / "imdb" / "plain_text")
    data = IMDBDataModule(tmp_path, num_words=20, val_size=8)
    assert data.class_names == ["neg", "pos"]
    order = keras_order(40)
    assert data.examples("test").index.tolist() == order.tolist()
    assert data.examples("test").inputs[:1].raw() == [
        f"a {'good' if order[0] % 2 else 'bad'} film of test {order[0]}"
    ]
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
