import errno
import os
from io import BytesIO
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dlp.datamodules.images.store import (
    Images,
    StoredImages,
    decode,
    decode_for_now,
    file_states,
)
from dlp.errors import InputError
from dlp.files import cache_dir
from dlp.reader.image import ImageEncoder


def noise(height, width, mode="RGB", seed=0):
    shape = (height, width, len(mode))  # one byte per letter of RGB, L or P
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def encoded(image, kind="PNG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(content, *size, **options):
    return ImageEncoder(*size, **options).read_image(content)


@pytest.mark.parametrize(
    ("height", "width"), [(70, 40), (31, 90), (20, 20), (500, 375)]
)
def test_resizing_averages_all_pixels_that_a_new_one_covers(height, width):
    image = noise(height, width)
    pixels = decoded(encoded(image), 20, 30)
    assert pixels.dtype == np.uint8
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    resized = F.interpolate(planes[None], (20, 30), mode="bilinear", antialias=True)[0]
    expected = resized.permute(1, 2, 0).numpy()
    assert abs(pixels.astype(int) - expected).max() <= 1


def test_crop_keeps_the_middle():
    image = noise(4, 8)
    cropped = decoded(encoded(image), 4, 4, "crop")
    middle = np.array(image)[:, 2:6]
    assert np.array_equal(cropped, middle)


def test_grey_has_three_equal_channels_or_one():
    grey = noise(5, 6, "L")
    three = decoded(encoded(grey), 5, 6)
    one = decoded(encoded(grey), 5, 6, channels=1)
    assert (three == np.array(grey)[..., None]).all()
    assert np.array_equal(one[..., 0], np.array(grey))


@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 100), (128, 177)])
def test_transparency_lies_on_white(alpha, expected):
    image = Image.new("RGBA", (4, 4), (100, 100, 100, alpha))
    assert (decoded(encoded(image), 4, 4) == expected).all()


def test_the_exif_orientation_is_undone():
    upright = noise(4, 6)
    exif = Image.Exif()
    exif[274] = 6
    content = encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    assert np.array_equal(decoded(content, 4, 6), np.array(upright))


def test_images_are_decoded_in_order_and_a_hash_tells_equal_and_unreadable_ones(
    monkeypatch,
):
    monkeypatch.setattr("dlp.datamodules.images.store._IMAGES_PER_PIECE", 2)
    images = [noise(6, 6, seed=seed) for seed in (1, 2, 1, 3)]
    contents = [encoded(image) for image in images]
    records = decode([*contents, b"no image"], ImageEncoder(6, 6), "key")
    for pixels, image in zip(records["pixels"][:4], images, strict=True):
        assert np.array_equal(pixels, np.array(image))
    first, second, third, fourth, unreadable = records["hash"].tolist()
    assert len({first, second, fourth}) == 3
    assert first == third
    assert unreadable == 0
    # So they may be larger than the memory: Linux counts a writable copy as memory.
    assert not records.flags.writeable


def test_images_are_decoded_anew_for_another_format_or_key_alone():
    image = encoded(noise(6, 6, seed=1))
    other = encoded(noise(6, 6, seed=2))
    small = ImageEncoder(6, 6)
    wide = ImageEncoder(6, 7)
    first = decode([image], small, "key")
    assert np.array_equal(decode([other], small, "key"), first)  # from the cache
    assert not np.array_equal(decode([other], small, "other"), first)
    assert decode([other], wide, "key")["pixels"].shape == (1, 6, 7, 3)


def test_images_decoded_for_now_are_those_of_the_cache_without_a_file():
    sources = [encoded(noise(6, 6, seed=seed)) for seed in (1, 2)]
    records = decode_for_now(sources, ImageEncoder(6, 6))
    assert not [path for path in cache_dir().rglob("*") if path.is_file()]
    assert np.array_equal(records, decode(sources, ImageEncoder(6, 6), "key"))


def test_a_full_disk_is_named_when_images_to_predict_are_decoded(monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(
        "dlp.datamodules.images.store._write_records", Mock(side_effect=full)
    )
    with pytest.raises(InputError, match=r"No space left on device.*Free some space"):
        decode_for_now([encoded(noise(6, 6))], ImageEncoder(6, 6))


def test_a_changed_file_has_another_state(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    before = file_states([path])
    path.write_bytes(b"54321")
    os.utime(path, ns=(before[0][2], before[0][2]))  # as an unpacked archive does
    assert file_states([path]) != before


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_the_bytes_divided_by_255(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 5, channels), np.uint8)
    images = Images(pixels, np.arange(9))[np.array([8, 2, 5])]
    batch = StoredImages(images)[torch.tensor([2, 0])]
    expected = torch.from_numpy(pixels[[5, 8]]).permute(0, 3, 1, 2) / 255
    assert torch.equal(batch, expected)
