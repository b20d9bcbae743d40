import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from keras_files import publish, ragged

from dlp.datamodules.text.corpus import cached_parts
from dlp.datamodules.text.keras_archives import DOWNLOADS, KerasArchive, load_arrays
from dlp.errors import InputError


class Runs:
    """A pickle of this writes a file when it is loaded the usual way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def npz(path, name, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def object_array(payload, shape=(1,)):
    """Return an .npy file of objects whose pickle is `payload`."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + payload


def test_lists_of_ranks_and_plain_arrays_are_read(tmp_path):
    rows = ragged([[1, 2], [3], []])
    np.savez(tmp_path / "a.npz", x=rows, y=np.arange(3), z=np.ones((2, 2)))
    arrays = load_arrays(tmp_path / "a.npz")
    assert [list(row) for row in arrays["x"]] == [[1, 2], [3], []]
    assert arrays["y"].tolist() == [0, 1, 2]
    assert arrays["z"].shape == (2, 2)


def test_a_pickle_of_older_numpy_is_read(tmp_path):
    rows = ragged([[1, 2], [3]])
    payload = pickle.dumps(rows, protocol=3).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in payload
    arrays = load_arrays(npz(tmp_path / "a.npz", "x.npy", object_array(payload, (2,))))
    assert arrays["x"].tolist() == [[1, 2], [3]]


@pytest.mark.parametrize("wrap", [lambda bad: ragged([[bad]]), lambda bad: bad])
def test_a_hostile_pickle_is_refused_before_it_runs(wrap, tmp_path):
    payload = pickle.dumps(wrap(Runs(tmp_path / "made")))
    path = npz(tmp_path / "evil.npz", "x.npy", object_array(payload))
    with pytest.raises(InputError, match=r"x.npy of .*evil.npz is refused: .*mkdir"):
        load_arrays(path)
    assert not (tmp_path / "made").exists()
    np.load(path, allow_pickle=True)["x"]  # the usual way does run it
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("payload", [pickle.dumps([1, 2]), pickle.dumps(ragged([[1], [2]]))])
def test_a_pickle_that_is_not_the_announced_array_is_refused(payload, tmp_path):
    path = npz(tmp_path / "odd.npz", "x.npy", object_array(payload))
    with pytest.raises(InputError, match="does not hold the array it announces"):
        load_arrays(path)


@pytest.mark.parametrize("content", [b"no numpy file", object_array(b"\x80\x04cut")])
def test_a_damaged_array_is_named(content, tmp_path):
    with pytest.raises(InputError, match=r"x.npy of .*bad.npz is no array"):
        load_arrays(npz(tmp_path / "bad.npz", "x.npy", content))


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match=r"cannot read .*cut.npz"):
        load_arrays(tmp_path / "cut.npz")


def arrays(low=1, high=31):
    random = np.random.default_rng(0)
    x = ragged([random.integers(low, high, 5).tolist() for _ in range(8)])
    y = np.arange(8) % 2
    return {"x_train": x, "y_train": y, "x_test": x, "y_test": y}


def test_the_archive_is_cached_as_plain_arrays(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "imdb", arrays())
    first = cached_parts(KerasArchive("imdb", str(tmp_path)))["train"].rows.corpus.tokens.tolist()
    (tmp_path / "imdb.npz").write_bytes(b"truncated")
    again = cached_parts(KerasArchive("imdb", str(tmp_path)))["train"].rows.corpus.tokens.tolist()
    assert again == first


def test_a_file_of_another_hash_is_refused_with_both_hashes(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "imdb", arrays())
    expected = DOWNLOADS["imdb.npz"].sha256
    (tmp_path / "imdb.npz").write_bytes(b"truncated")
    with pytest.raises(
        InputError, match=f"its hash is [0-9a-f]{{64}}, expected SHA-256 {expected}"
    ):
        cached_parts(KerasArchive("imdb", str(tmp_path)))
    assert (tmp_path / "imdb.npz").read_bytes() == b"truncated"


def test_a_word_list_of_another_md5_is_refused(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "imdb", arrays())
    expected = DOWNLOADS["imdb_word_index.json"].md5
    (tmp_path / "imdb_word_index.json").write_text("{}")
    with pytest.raises(InputError, match=rf"its hash is [0-9a-f]{{32}}, expected MD5 {expected}"):
        cached_parts(KerasArchive("imdb", str(tmp_path)))


def test_files_that_are_not_there_are_downloaded(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "imdb", arrays())
    (tmp_path / "origin").mkdir()
    for name in ("imdb.npz", "imdb_word_index.json"):
        (tmp_path / name).rename(tmp_path / "origin" / name)
    parts = cached_parts(KerasArchive("imdb", str(tmp_path)))
    assert parts["train"].count == 8
    assert (tmp_path / "imdb.npz").exists()


def test_without_network_the_error_says_what_to_do(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "imdb", arrays())
    (tmp_path / "imdb.npz").unlink()
    with pytest.raises(InputError, match=r"cannot reach file:.*copy it to .*imdb.npz here"):
        cached_parts(KerasArchive("imdb", str(tmp_path)))


@pytest.mark.parametrize(("low", "high"), [(0, 31), (1, 40)])
def test_ranks_beyond_the_word_list_are_refused(low, high, monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "imdb", arrays(low, high))
    with pytest.raises(InputError, match="do not belong together"):
        cached_parts(KerasArchive("imdb", str(tmp_path)))


def test_an_archive_without_its_arrays_is_refused(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "imdb", {"x": np.zeros(3)})
    with pytest.raises(InputError, match="has no array 'x_train'"):
        cached_parts(KerasArchive("imdb", str(tmp_path)))
