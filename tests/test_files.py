import errno
import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlp import files
from dlp.errors import InputError


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "deep" / "result.txt"
    with files.atomic_path(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(FileNotFoundError), files.atomic_path(path) as temporary:
        temporary.rename(tmp_path / "moved")
    assert [file.name for file in path.parent.iterdir()] == ["result.txt"]
    assert path.read_text() == "old"


def test_numbers_that_json_lacks_become_null(tmp_path):
    files.write_json(
        tmp_path / "a.json", {"loss": float("nan"), "all": [1.5, float("inf")]}
    )
    text = (tmp_path / "a.json").read_text()
    assert text == '{\n  "loss": null,\n  "all": [\n    1.5,\n    null\n  ]\n}\n'


def test_folders_come_from_the_argument_then_the_environment_then_the_user(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("DLP_DATA_DIR", "sets")
    assert (str(files.find_data_dir("own")), str(files.find_data_dir())) == (
        "own",
        "sets",
    )
    monkeypatch.delenv("DLP_DATA_DIR")
    assert files.find_data_dir() == files.cache_dir() / "data"
    monkeypatch.delenv("DLP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_dir() == tmp_path / "dlp"


def test_another_file_than_the_published_one_is_refused(tmp_path):
    origin = tmp_path / "origin"
    origin.write_text("published")
    with pytest.raises(InputError, match=r"cannot download .* copy it to"):
        files.download(origin.as_uri(), tmp_path / "sets" / "file", "0" * 64)
    assert not [*(tmp_path / "sets").iterdir()]
    (tmp_path / "file").write_text("publi")
    with pytest.raises(
        InputError, match="file: expected the published file, got another"
    ):
        files.download(
            origin.as_uri(), tmp_path / "file", hashlib.sha256(b"published").hexdigest()
        )


@pytest.fixture
def cached():
    """Return a function that returns a cached text, and the list of its builds."""
    builds = []

    def build(path):
        builds.append(path)
        time.sleep(0.05)
        path.write_text("content")

    def load(path):
        assert path.read_text() == "content"
        return "content"

    return lambda *_: files.cached_file("texts/key.arrow", build, load), builds


def test_of_two_that_need_a_file_at_once_one_builds_it(cached):
    content, builds = cached
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(content, range(2))) == ["content", "content"]
    assert content() == "content"
    assert len(builds) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, checksum: path.write_text("contend"),
        lambda path, checksum: (
            path.write_text("other"),
            checksum.write_text(files.crc32(path)),
        ),
    ],
)
def test_a_damaged_cached_file_is_built_again(damage, cached, capsys):
    content, builds = cached
    content()
    path = files.cache_dir() / "texts/key.arrow"
    damage(path, path.with_name("key.arrow.crc"))
    assert content() == "content"
    assert len(builds) == 2
    assert "key.arrow is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["texts/key.arrow/folder", "other"])
def test_what_lies_in_the_way_of_a_cached_file_is_named(folder, cached):
    (files.cache_dir() / folder).mkdir(parents=True)
    if folder == "other":
        (files.cache_dir() / "texts").touch()
    with pytest.raises(
        InputError, match=r"cannot write .*key\.arrow .* set DLP_CACHE_DIR to"
    ):
        cached[0]()


def test_a_full_disk_while_a_file_is_built_leaves_nothing():
    def build(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"No space left on device.*Free some space"):
        files.cached_file("images/key.bin", build, Path.read_text)
    assert not [*(files.cache_dir() / "images").iterdir()]


def test_a_file_is_on_the_disk_before_it_is_moved_and_its_name_after(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.txt"
    moved = []

    def sync(descriptor):
        moved.append(path.exists())
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(
                22, "Invalid argument"
            )  # of a file system that syncs no folders

    monkeypatch.setattr("os.fsync", sync)
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert moved in ([False, True], [False])  # Windows syncs no folders


def test_a_large_file_is_checked_by_its_length_and_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("dlp.files._PIECE", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(6400))
    checksum = files.crc32(path)
    for content in (bytes(6401), b"1" + bytes(6399), bytes(6300) + b"1" + bytes(99)):
        path.write_bytes(content)
        assert files.crc32(path) != checksum
