import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dlp import cache
from dlp.datamodules.examples import Examples
from dlp.datamodules.text.corpus import Corpus, cached_parts, stored_parts
from dlp.errors import InputError
from dlp.files import cache_dir


class Source:
    """Three texts, counting how often they are read."""

    key = "0123"

    def __init__(self):
        self.read = 0

    def build(self, sample_size=None, folder=None):
        self.read += 1
        texts = ["the film", "a\x1afilm, a film", "!"]
        targets = np.array(["pos", "neg", "pos"], object)
        train = Corpus.from_texts(texts, folder=folder and folder / "train")
        test = Corpus.from_texts(["?"])
        return {
            "train": Examples(train.texts(), targets, train.hashes),
            "test": Examples(test.texts()),
        }


def check(parts):
    train = parts["train"]
    corpus = train.rows.corpus
    assert train.count == len(corpus) == 3
    assert corpus.words == ["the", "film", "a\x1afilm", "a"]
    assert corpus.tokens.tolist() == [0, 1, 2, 3, 1]
    assert corpus.offsets.tolist() == [0, 2, 5, 5]
    assert train.targets.tolist() == ["pos", "neg", "pos"]
    assert len(np.unique(train.hashes)) == 3
    assert parts["test"].targets is None
    assert parts["test"].rows.corpus.words == []


def test_the_second_time_nothing_is_read_and_the_tokens_are_mapped():
    source = Source()
    check(cached_parts(source))
    again = cached_parts(source)
    check(again)
    assert source.read == 1
    assert isinstance(again["train"].rows.corpus.tokens, np.memmap)
    assert not [path for path in (cache_dir() / "text").iterdir() if path.stem != source.key]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip, lambda path: path.unlink()])
@pytest.mark.parametrize("name", ["tokens.npy", "offsets.npy", "targets.npy", "rest.json"])
def test_a_damaged_cache_is_made_again(name, damage, capsys):
    source = Source()
    cached_parts(source)
    damage(cache_dir() / "text" / source.key / "train" / name)
    check(cached_parts(source))
    assert source.read == 2
    assert "damaged" in capsys.readouterr().out
    check(cached_parts(source))
    assert source.read == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": {}}'])
def test_a_damaged_description_is_made_again(content):
    source = Source()
    cached_parts(source)
    (cache_dir() / "text" / source.key / "sums.json").write_text(content)
    check(cached_parts(source))
    assert source.read == 2


def test_an_empty_folder_is_no_cache():
    (cache_dir() / "text" / Source.key).mkdir(parents=True)
    assert stored_parts(Source.key) is None
    check(cached_parts(Source()))


@pytest.mark.parametrize("damaged", [False, True])
def test_of_several_one_builds_and_the_others_wait(damaged):
    home = cache_dir() / "text" / Source.key
    for _ in range(10):
        shutil.rmtree(home, ignore_errors=True)
        if damaged:
            cached_parts(Source())
            truncate(home / "train" / "tokens.npy")
        sources, begin = [Source() for _ in range(4)], threading.Barrier(4, timeout=60)

        def read(source, begin=begin):
            begin.wait()
            return cached_parts(source)

        with ThreadPoolExecutor(4) as pool:
            for parts in pool.map(read, sources):
                check(parts)
                assert isinstance(parts["train"].rows.corpus.tokens, np.memmap)
        assert sum(source.read for source in sources) == 1
        assert {path.suffix for path in home.parent.iterdir()} <= {"", ".lock"}


def test_what_a_killed_process_left_is_no_hindrance():
    left = cache_dir() / "text" / f".{Source.key}"
    (left / "train").mkdir(parents=True)
    check(cached_parts(Source()))
    assert not left.exists()


PROCESS = """
import sys
import time
from dlp.datamodules.examples import Examples
from dlp.datamodules.text.corpus import Corpus, cached_parts

class Source:
    key = sys.argv[1]
    def build(self, sample_size=None, folder=None):
        time.sleep(max(0, float(sys.argv[2]) - time.time()))
        texts = [f"the film {number} is a film" for number in range(20_000)]
        return {part: Examples(Corpus.from_texts(texts).texts()) for part in ("train", "test")}

assert len(cached_parts(Source())["train"].rows.corpus.words) == 20_004
"""


@pytest.mark.slow
def test_several_processes_may_build_at_once():
    for trial in range(4):
        command = [sys.executable, "-c", PROCESS, f"key{trial}", str(time.time() + 15)]
        running = [subprocess.Popen(command) for _ in range(4)]
        assert [process.wait() for process in running] == [0] * 4


def test_a_source_that_fails_leaves_no_cache():
    source = Source()
    source.build = lambda folder: 1 / 0
    with pytest.raises(ZeroDivisionError):
        cached_parts(source)
    assert stored_parts(source.key) is None


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("DLP_CACHE_DIR", str(blocked))
    with pytest.raises(InputError, match="Set DLP_CACHE_DIR"):
        cached_parts(Source())


@pytest.mark.parametrize("part", ["train", "test"])  # the first grows in its folder
def test_what_a_killed_process_left_is_not_taken_for_content(part, monkeypatch):
    left = cache_dir() / "text" / f".{Source.key}" / part
    left.mkdir(parents=True)
    np.save(left / "tokens.npy", np.arange(9, dtype=np.int32))
    monkeypatch.setattr(cache.shutil, "rmtree", lambda *args, **kwargs: None)  # as if in use
    with pytest.raises(InputError, match=r"cannot write the cache .*: File exists"):
        cached_parts(Source())
    assert stored_parts(Source.key) is None


def test_equal_texts_have_equal_hashes_in_any_corpus():
    one = Corpus.from_texts(["same", "other"]).hashes
    two = Corpus.from_texts(["Same", "same"]).hashes
    assert one[0] == two[1]
    assert one[0] != two[0]


def test_what_grows_in_a_file_is_what_is_kept_of_a_corpus_in_memory(tmp_path):
    texts = [f"film number {row} \ud83d" for row in range(10_000)]  # ends in half an emoji
    corpus, grown = Corpus.from_texts(texts), Corpus.from_texts(texts, folder=tmp_path / "train")
    kept = {"tokens": (corpus.tokens, grown.tokens), "raw": (corpus.raw.content, grown.raw.content)}
    for name, (expected, found) in kept.items():
        np.save(tmp_path / f"{name}.npy", expected)
        assert isinstance(found, np.memmap)
        file = tmp_path / "train" / f"{name}.npy"
        assert file.read_bytes() == (tmp_path / f"{name}.npy").read_bytes()
    assert grown.offsets.tolist() == corpus.offsets.tolist()
    assert grown.raw[9_999] == "film number 9999 ?"


def test_texts_are_selected_and_cut_without_reading_others():
    corpus = Corpus.from_texts(["a b c", "", "d e", "f"])
    tokens, lengths = corpus.texts(np.array([2, 1, 0])).tokens(limit=2)
    assert [corpus.words[token] for token in tokens] == ["d", "e", "a", "b"]
    assert lengths.tolist() == [2, 0, 2]
    begun, lengths = corpus.texts(np.array([2, 1, 0])).tokens(limit=2, first=9)
    assert begun.tolist() == [9, *tokens[:2], 9, 9, *tokens[2:]]
    assert lengths.tolist() == [3, 1, 3]
    assert begun.dtype == tokens.dtype == np.int32
    nothing, lengths = corpus.texts(np.empty(0, np.int64)).tokens(first=9)
    assert (len(nothing), len(lengths)) == (0, 0)
