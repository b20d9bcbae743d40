import numpy as np
import pytest

from dlp.datamodules.corpus import Corpus, cached_corpora, sample_rows, stored_corpora
from dlp.errors import InputError
from dlp.files import cache_dir


class Source:
    """Three texts, counting how often they are read."""

    key = "0123"

    def __init__(self):
        self.read = 0

    def build(self, sample_size=None):
        self.read += 1
        texts = ["the film", "a\x85film, a film", "!"]
        targets = np.array(["pos", "neg", "pos"], object)
        return {"train": Corpus.from_texts(texts, targets), "test": Corpus.from_texts(["?"], None)}


def check(corpora):
    train = corpora["train"]
    assert len(train) == 3
    assert train.words == ["the", "film", "a\x85film", "a"]
    assert train.tokens.tolist() == [0, 1, 2, 3, 1]
    assert train.offsets.tolist() == [0, 2, 5, 5]
    assert train.targets.tolist() == ["pos", "neg", "pos"]
    assert len(np.unique(train.digests)) == 3
    assert corpora["test"].targets is None
    assert corpora["test"].words == []


def test_the_second_time_nothing_is_read_and_the_tokens_are_mapped():
    source = Source()
    check(cached_corpora(source))
    again = cached_corpora(source)
    check(again)
    assert source.read == 1
    assert isinstance(again["train"].tokens, np.memmap)
    assert not [path for path in (cache_dir() / "text").iterdir() if path.name != source.key]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip, lambda path: path.unlink()])
@pytest.mark.parametrize("name", ["tokens.npy", "offsets.npy", "targets.npy", "words.txt"])
def test_a_damaged_cache_is_made_again(name, damage, capsys):
    source = Source()
    cached_corpora(source)
    damage(cache_dir() / "text" / source.key / "train" / name)
    check(cached_corpora(source))
    assert source.read == 2
    assert "damaged" in capsys.readouterr().out
    check(cached_corpora(source))
    assert source.read == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": {}}'])
def test_a_damaged_description_is_made_again(content):
    source = Source()
    cached_corpora(source)
    (cache_dir() / "text" / source.key / "train" / "corpus.json").write_text(content)
    check(cached_corpora(source))
    assert source.read == 2


def test_an_empty_folder_is_no_cache():
    (cache_dir() / "text" / Source.key).mkdir(parents=True)
    assert stored_corpora(Source.key) is None
    check(cached_corpora(Source()))


def test_a_source_that_fails_leaves_no_cache():
    source = Source()
    source.build = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        cached_corpora(source)
    assert stored_corpora(source.key) is None


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("DLP_CACHE_DIR", str(blocked))
    with pytest.raises(InputError, match="Set DLP_CACHE_DIR"):
        cached_corpora(Source())


def test_equal_texts_have_equal_digests_in_any_corpus():
    one = Corpus.from_texts(["same", "other"], None).digests
    two = Corpus.from_texts(["Same", "same"], None).digests
    assert one[0] == two[1]
    assert one[0] != two[0]


def test_texts_are_selected_and_cut_without_reading_others():
    corpus = Corpus.from_texts(["a b c", "", "d e", "f"], None)
    tokens, lengths = corpus.texts(np.array([2, 1, 0])).tokens(limit=2)
    assert [corpus.words[token] for token in tokens] == ["d", "e", "a", "b"]
    assert lengths.tolist() == [2, 0, 2]


def test_a_sample_is_spread_and_has_every_class():
    targets = np.array([0] * 500 + [1] * 499 + [2], np.int64)
    rows = sample_rows(targets, 1000, 10)
    assert set(targets[rows]) == {0, 1, 2}
    assert len(rows) <= 13
    assert (np.diff(rows) > 0).all()


def test_a_sample_of_few_rows_is_all_of_them():
    assert sample_rows(None, 3, 10).tolist() == [0, 1, 2]
