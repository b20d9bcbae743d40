"""Decoding once: what is kept, when it is made again, and what happens where it cannot be kept."""

import os
import resource
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import pixels, write_image

from dlp import cache
from dlp.datamodules.images import on_all_cores, store
from dlp.datamodules.images.decoding import CorruptImageError
from dlp.datamodules.images.files import ImageFiles
from dlp.datamodules.images.on_all_cores import ImageFormat
from dlp.datamodules.images.store import DecodedOnDemand, StoredImages, decode
from dlp.errors import InputError
from dlp.files import cache_dir

FORM = ImageFormat((8, 10))
NAMES = tuple(f"{number}.bmp" for number in range(6))
ALL = np.arange(6)
EXPECTED = np.stack([pixels(number) for number in range(6)])


@pytest.fixture
def source(tmp_path):
    for number, name in enumerate(NAMES):
        write_image(tmp_path / "images" / name, number)
    return ImageFiles(tmp_path / "images", NAMES)


@pytest.fixture
def reads(monkeypatch):
    """Count how often each image is decoded."""
    counts, read = Counter(), on_all_cores.read_with_header

    def counting(content, *arguments):
        counts[Path(content).name] += 1
        return read(content, *arguments)

    monkeypatch.setattr(on_all_cores, "read_with_header", counting)
    return counts


def left_over():
    """Return what the cache holds besides locks, by kind."""
    return sorted(
        "folder" if path.is_dir() else path.suffix
        for path in (cache_dir() / "images").glob("*")
        if path.suffix != ".lock"
    )


def unpacked(folder, start):
    """Write a set as an archive without times gives it; uncompressed, all files have one size."""
    for number, name in enumerate(NAMES):
        os.utime(write_image(folder / name, start + number), (0, 0))
    return ImageFiles(folder, NAMES)


def test_from_the_second_time_the_cache_is_read_even_if_the_folder_was_moved(
    source, reads, tmp_path
):
    first = decode(source, FORM, 1)
    assert np.array_equal(first.pixels[ALL], EXPECTED)
    assert reads == dict.fromkeys(NAMES, 1)
    source.root.rename(tmp_path / "moved")
    second = decode(ImageFiles(tmp_path / "moved", NAMES), FORM, 1)
    assert reads == dict.fromkeys(NAMES, 1)
    assert np.array_equal(second.pixels[ALL], EXPECTED)
    assert second.hashes.tolist() == first.hashes.tolist()
    assert len(set(first.hashes.tolist())) == 6


@pytest.mark.parametrize(
    ("change", "form"),
    [
        (lambda folder: os.utime(folder / "3.bmp", (0, 0)), FORM),
        (lambda folder: write_image(folder / "3.bmp", 3, (9, 10)), FORM),
        (lambda folder: None, ImageFormat((10, 8))),
        (lambda folder: None, ImageFormat((8, 10), "crop")),
        (lambda folder: None, ImageFormat((8, 10), channels=1)),
    ],
    ids=["time", "file size", "size", "fit", "channels"],
)
def test_what_makes_all_be_decoded_anew(change, form, source, reads):
    decode(source, FORM, 1)
    change(source.root)
    assert decode(source, form, 1).pixels[ALL].shape == (6, *form.shape)
    assert reads == dict.fromkeys(NAMES, 2)


def test_sets_of_equal_names_sizes_and_times_are_not_taken_for_each_other(tmp_path):
    decode(unpacked(tmp_path / "a", 0), FORM, 1)
    found = decode(unpacked(tmp_path / "b", 100), FORM, 1)
    assert np.array_equal(found.pixels[ALL], [pixels(100 + number) for number in range(6)])


def test_of_processes_at_once_one_decodes_and_the_others_wait(source, reads, monkeypatch):
    start, results = threading.Barrier(3), []
    read = cache.read_folder
    looked = threading.local()

    def read_together(*arguments, **options):
        found = read(*arguments, **options)
        if not hasattr(looked, "once"):
            looked.once = start.wait(10)  # nobody goes on before all have found nothing
        return found

    monkeypatch.setattr(cache, "read_folder", read_together)

    def work():
        results.append(decode(source, FORM, 1))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == dict.fromkeys(NAMES, 1)
    assert [np.array_equal(each.pixels[ALL], EXPECTED) for each in results] == [True] * 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pixels.npy", None),
        ("pixels.npy", 500),
        ("pixels.npy", "one bit"),
        ("hashes.npy", "one bit"),
        ("sums.json", None),
        ("hashes.npy", 0),
        ("hashes.npy", 60),
        ("corrupt.json", 0),
    ],
)
def test_a_damaged_cache_is_made_again(name, content, source, reads, capsys):
    decode(source, FORM, 1)
    [path] = (cache_dir() / "images").rglob(name)
    if content is None:
        path.unlink()
    elif content == "one bit":
        damaged = bytearray(path.read_bytes())
        damaged[-1] ^= 1
        path.write_bytes(damaged)
    else:
        path.write_bytes(path.read_bytes()[:content])
    assert np.array_equal(decode(source, FORM, 1).pixels[ALL], EXPECTED)
    assert capsys.readouterr().out.count("they are made again") == 1
    decode(source, FORM, 1)
    assert reads == dict.fromkeys(NAMES, 2)
    assert capsys.readouterr().out == ""


def test_where_the_cache_cannot_be_written_pixels_stay_in_memory(
    source, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path / "file"))
    found = decode(source, FORM, 1)
    assert np.array_equal(found.pixels[ALL], EXPECTED)
    assert isinstance(found.pixels, np.ndarray)
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("cannot write the cache")
    assert line.endswith("the images stay in memory")
    monkeypatch.setattr(store, "_IN_MEMORY", 0)
    found = decode(source, FORM, 1)
    assert isinstance(found.pixels, DecodedOnDemand)
    assert np.array_equal(found.pixels[ALL], EXPECTED)
    assert "are decoded anew in every epoch" in capsys.readouterr().out


def test_a_cache_that_can_only_be_read_is_read(source, reads, monkeypatch):
    def no_lock(path):
        raise PermissionError(13, "Permission denied")

    decode(source, FORM, 1)
    monkeypatch.setattr(cache, "FileLock", no_lock)
    decode(source, FORM, 1)
    assert reads == dict.fromkeys(NAMES, 1)


def test_a_disk_that_runs_full_leaves_nothing_behind(source, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        found = decode(source, FORM, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert np.array_equal(found.pixels[ALL], EXPECTED)
    assert "the images stay in memory" in capsys.readouterr().out
    assert left_over() == []


def test_without_room_on_the_disk_the_scan_alone_is_kept(source, reads, monkeypatch, capsys):
    usage = store.shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage)
    found = decode(source, FORM, 1)
    assert isinstance(found.pixels, DecodedOnDemand)
    assert "Set DLP_CACHE_DIR to a folder with room" in capsys.readouterr().out
    assert np.array_equal(found.pixels[ALL], EXPECTED)


def test_a_set_that_is_too_large_to_keep_is_scanned_once_and_decoded_on_demand(source, reads):
    (source.root / "2.bmp").write_bytes(b"no image")
    stored = decode(source, FORM, 1)
    reads.clear()
    for _ in range(2):
        found = decode(source, FORM, cache_gb=0)
        assert reads == dict.fromkeys(NAMES, 1)
        assert found.hashes.tolist() == stored.hashes.tolist()
        assert found.corrupt == stored.corrupt
        assert [*found.corrupt] == [2]
    some = np.array([5, 0, 3])
    assert np.array_equal(found.pixels[some], EXPECTED[some])
    assert np.array_equal(found.pixels[some], stored.pixels[some])


def test_a_image_that_becomes_unreadable_meanwhile_is_named(source):
    pixels_of = decode(source, FORM, cache_gb=0).pixels
    (source.root / "4.bmp").write_bytes(b"no image")
    with pytest.raises(CorruptImageError, match=r"4\.bmp could be read before and cannot now"):
        pixels_of[ALL]
    (source.root / "4.bmp").unlink()
    with pytest.raises(InputError, match=r"there is no image .*4\.bmp"):
        pixels_of[ALL]


@pytest.mark.parametrize("cache_gb", [0, 1])
def test_nothing_is_written_unless_asked_for(cache_gb, source):
    found = decode(source, FORM, cache_gb, keep=False)
    assert np.array_equal(found.pixels[ALL], EXPECTED)
    assert not (cache_dir() / "images").exists()


def test_a_broken_off_decoding_leaves_no_half_cache(source, reads, monkeypatch):
    def broken_off(content, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(on_all_cores, "read_with_header", broken_off)
        with pytest.raises(KeyboardInterrupt):
            decode(source, FORM, 1)
        assert left_over() == []
        patch.setattr(store.shutil, "rmtree", lambda *arguments, **how: None)
        with pytest.raises(KeyboardInterrupt):  # as if killed: no time to clear up
            decode(source, FORM, 1)
        assert left_over() == ["folder"]
    assert np.array_equal(decode(source, FORM, 1).pixels[ALL], EXPECTED)
    assert len(left_over()) == 1


@pytest.mark.parametrize("cache_gb", [0, 1])
def test_a_long_decoding_that_is_broken_off_goes_on_where_it_was(
    cache_gb, source, reads, monkeypatch, capsys
):
    (source.root / "1.bmp").write_bytes(b"no image")
    whole = decode(source, FORM, cache_gb, keep=False)
    reads.clear()
    hash_of = on_all_cores.xxhash.xxh3_64_intdigest

    def broken_off(content):
        if np.array_equal(np.frombuffer(content, np.uint8), EXPECTED[4].ravel()):
            raise KeyboardInterrupt
        return hash_of(content)

    monkeypatch.setattr(store, "_SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(on_all_cores.xxhash, "xxh3_64_intdigest", broken_off)
        with pytest.raises(KeyboardInterrupt):
            decode(source, FORM, cache_gb)
    reads.clear()
    found = decode(source, FORM, cache_gb)
    assert "3 of 6 images were decoded before" in capsys.readouterr().out
    assert reads == {"3.bmp": 1, "4.bmp": 1, "5.bmp": 1}
    assert found.corrupt == whole.corrupt
    assert [*found.corrupt] == [1]
    assert np.array_equal(found.hashes, whole.hashes)
    assert np.array_equal(found.properties, whole.properties)
    rows = np.array([0, 2, 3, 4, 5])
    assert np.array_equal(found.pixels[rows], EXPECTED[rows])
    assert left_over() == ["folder"]
    assert not [*cache_dir().rglob("begun*")]


@pytest.mark.parametrize("name", ["begun.npz", "pixels.npy"])
def test_a_damaged_beginning_is_no_beginning(name, source, reads, monkeypatch, capsys):
    def broken_off(folder, *arguments):
        begin(folder, *arguments)
        path = folder / name
        path.write_bytes(path.read_bytes()[:20])
        raise KeyboardInterrupt

    begin = store._save_begun
    monkeypatch.setattr(store, "_SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_save_begun", broken_off)
        with pytest.raises(KeyboardInterrupt):
            decode(source, FORM, 1)
    reads.clear()
    assert np.array_equal(decode(source, FORM, 1).pixels[ALL], EXPECTED)
    assert reads == dict.fromkeys(NAMES, 1)
    assert capsys.readouterr().out == ""


def test_a_link_to_nothing_is_named(source, capsys):
    (source.root / "1.bmp").unlink()
    (source.root / "1.bmp").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"cannot read the image .*1\.bmp: No such file"):
        decode(source, FORM, 1)
    assert "cache" not in capsys.readouterr().out


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_what_torch_makes_of_the_bytes(channels):
    values = np.arange(256, dtype=np.uint8).repeat(channels * 3)
    stored = np.random.default_rng(0).permuted(values).reshape(4, 16, 12, channels)
    images = StoredImages(stored, np.array([3, 0, 2, 1]))
    batch = images[torch.tensor([1, 0, 2])]
    expected = torch.from_numpy(stored[[0, 3, 2]]).permute(0, 3, 1, 2).float().div_(255)
    assert torch.equal(batch, expected)
    assert batch.stride() == expected.stride()
    assert batch.is_contiguous(memory_format=torch.channels_last)
