"""What is noted of image files, and that one look at a file is enough for it."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dlp.datamodules.images.decoding import ImageHeader, read_with_header
from dlp.datamodules.images.properties import table_of

FRAMES = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]


def encoded(format, *frames, **options):
    file = BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
    frames[0].save(file, format, **more, **options)
    return file.getvalue()


def header(content):
    return read_with_header(content, (4, 4))[1]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_the_header_says_what_opening_the_file_alone_says(format, mode):
    image = FRAMES[0].convert("RGB" if mode == "P" and format in ("JPEG", "WEBP", "PPM") else mode)
    content = encoded(format, image)
    with Image.open(BytesIO(content)) as opened:
        assert header(content) == (10, 20, opened.mode, 1)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_frames_are_counted(format):
    assert header(encoded(format, *FRAMES)).frames == 3


@pytest.mark.parametrize("format", ["GIF", "TIFF"])
def test_a_damaged_later_frame_is_not_counted_and_the_first_one_is_read(format):
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    content = encoded(format, Image.fromarray(noise), *FRAMES)
    whole = read_with_header(content, (4, 4))
    assert whole[1].frames == 4
    damaged = read_with_header(content[:-40], (4, 4))
    assert damaged[1].frames <= 4
    assert np.array_equal(damaged[0], whole[0])


def test_a_photograph_of_several_sizes_is_one_frame():
    assert header(encoded("MPO", *FRAMES)).frames == 1


def test_a_size_is_that_of_the_file_whatever_its_orientation():
    exif = Image.Exif()
    exif[274] = 6
    assert header(encoded("JPEG", FRAMES[0], exif=exif))[:2] == (10, 20)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_share_of_the_most_frequent_colour(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 11, channels), np.uint8)
    images[1] = 40
    images[2, ::2, ::4] = 200
    found = table_of([ImageHeader(9, 11, "RGB", 1)] * 5, images)[:, 4]
    for share, image in zip(found, images, strict=True):
        colours = (image[::2, ::2] // 32).reshape(-1, channels)
        _, counts = np.unique(colours, axis=0, return_counts=True)
        assert share == np.float32(counts.max() / counts.sum())
    assert found[1] == 1
