"""Many images decoded by threads, some at a time: as one by one, in their order."""

import threading
from collections import Counter

import numpy as np
import pytest
from image_files import pixels

from dlp.datamodules.images import on_all_cores
from dlp.datamodules.images.decoding import CorruptImageError, read_image
from dlp.datamodules.images.files import ImageFiles
from dlp.datamodules.images.on_all_cores import ImageFormat, decode_some, describe
from dlp.datamodules.images.store import decode

FORM = ImageFormat((6, 7))


@pytest.fixture
def source(tmp_path, encoded_images):
    for name, content in encoded_images.items():
        (tmp_path / name).write_bytes(content)
    return ImageFiles(tmp_path, tuple(encoded_images))


@pytest.fixture
def encoded_images():
    """More images than a thread is handed at once; every 50th is none."""
    found = {}
    for number in range(300):
        header = b"P6 10 8 255\n" if number % 50 else b"no image"
        found[f"{number:03}.ppm"] = header + pixels(number).tobytes()
    return found


def test_images_come_in_their_order_whatever_thread_decodes_them(source, encoded_images):
    found = decode(source, FORM, 1)
    assert [*found.corrupt] == [*range(0, 300, 50)]
    assert (found.pixels[::50] == 0).all()
    assert (found.hashes[::50] == 0).all()
    assert len(set(found.hashes.tolist())) == 300 - 6 + 1
    for number, content in enumerate(encoded_images.values()):
        if number % 50:
            assert np.array_equal(found.pixels[number], read_image(content, FORM.size))
            assert found.properties[number, :4].tolist() == [8, 10, 6, 1]
    streamed = decode(source, FORM, cache_gb=0)
    assert np.array_equal(streamed.hashes, found.hashes)
    rows = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(300), [*found.corrupt]))
    assert np.array_equal(streamed.pixels[rows], found.pixels[rows])


def test_threads_are_handed_several_images_of_many_and_one_of_few(source, monkeypatch):
    sizes = Counter()
    lock = threading.Lock()

    def noting(contents, form):
        with lock:
            sizes[len(contents)] += 1
        return decode_some(contents, form)

    monkeypatch.setattr(on_all_cores, "num_cores", lambda: 2)
    for count in (1, 6, 300):
        list(on_all_cores.on_all_cores(source, range(count), FORM, noting))
    assert sizes == {1: 7, 16: 18, 12: 1}


def test_what_is_broken_off_is_not_gone_on_with(source, monkeypatch):
    begun = []

    def work(contents, form):
        begun.append(contents)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return decode_some(contents, form)

    monkeypatch.setattr(on_all_cores, "num_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        list(on_all_cores.on_all_cores(source, range(300), FORM, work))
    assert len(begun) < 19


def test_what_is_told_of_images_is_zero_of_a_corrupt_one():
    content = b"P6 10 8 255\n" + pixels(0).tobytes()
    some, hashes, table = describe([content, b"no image"], FORM)
    assert isinstance(some.found[1], CorruptImageError)
    assert hashes[0] != 0
    assert hashes[1] == 0
    assert table[0].all()
    assert not table[1].any()
