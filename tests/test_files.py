import errno
import hashlib

import pytest

from dlp.errors import InputError
from dlp.files import Download, atomic_path, cache_dir, data_dir, write_text


def test_the_new_file_replaces_the_old_one_when_the_block_succeeds(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    write_text(path, "old")
    write_text(path, "new é")
    assert path.read_text(encoding="utf-8") == "new é"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def write():
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write()
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


def test_a_reader_sees_the_old_file_until_the_block_ends(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        reader = path.open()
    with reader:  # opened before the move: never a mixture, never the new bytes under the hand
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_folders_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path / "cache"))
    assert cache_dir() == tmp_path / "cache"
    assert data_dir() == tmp_path / "cache" / "data"
    monkeypatch.setenv("DLP_DATA_DIR", str(tmp_path / "data"))
    assert data_dir() == tmp_path / "data"
    assert data_dir(tmp_path / "given") == tmp_path / "given"


@pytest.fixture
def origin(tmp_path):
    """Return a download whose origin is a local file."""
    source = tmp_path / "origin.bin"
    source.write_bytes(b"the true bytes" * 1000)
    return Download(source.as_uri(), hashlib.sha256(source.read_bytes()).hexdigest())


def test_a_download_is_fetched_once(tmp_path, origin, capsys):
    path = tmp_path / "data" / "file.bin"
    assert origin.fetch(path) == path
    assert path.read_bytes().startswith(b"the true bytes")
    assert "downloading" in capsys.readouterr().out
    (tmp_path / "origin.bin").unlink()
    origin.fetch(path)
    assert capsys.readouterr().out == ""


def test_what_comes_with_another_hash_is_refused_and_both_hashes_are_named(tmp_path, origin):
    path = tmp_path / "data" / "file.bin"
    (tmp_path / "origin.bin").write_bytes(b"an error page")
    with pytest.raises(InputError) as caught:
        origin.fetch(path)
    assert origin.sha256 in str(caught.value)
    assert hashlib.sha256(b"an error page").hexdigest() in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_a_damaged_file_stays_as_it_was_and_is_named(tmp_path, origin):
    path = tmp_path / "file.bin"
    path.write_bytes(b"truncated")
    with pytest.raises(InputError, match=r"file\.bin is not the file it should be") as caught:
        origin.fetch(path)
    assert origin.sha256 in str(caught.value)
    assert hashlib.sha256(b"truncated").hexdigest() in str(caught.value)
    assert path.read_bytes() == b"truncated"


def test_an_unreachable_origin_says_what_to_do_and_leaves_nothing(tmp_path, origin):
    path = tmp_path / "data" / "file.bin"
    (tmp_path / "origin.bin").unlink()
    with pytest.raises(InputError, match=r"(?s)origin\.bin.*On a machine with network") as caught:
        origin.fetch(path)
    assert str(path) in str(caught.value)
    assert origin.sha256 in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_names_the_remedy(tmp_path, origin, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("dlp.files.tempfile.mkstemp", refuse)
    with pytest.raises(InputError, match="Set DLP_DATA_DIR"):
        origin.fetch(tmp_path / "data" / "file.bin")
