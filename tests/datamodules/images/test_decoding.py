"""What becomes of each kind of image file; the files are made here."""

import re
import struct
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import decode_image

from dlp.datamodules.images.decoding import CorruptImageError, is_image_name, read_image
from dlp.errors import InputError, MissingInputError

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, format="PNG", **options):
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(height=40, width=60, mode="RGB"):
    """Pixels with detail, so that a cut file lacks some."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values).convert(mode)


def halves(left=RED, right=BLUE, mode="RGB"):
    """An image of 20 x 40 with two colours."""
    image = Image.new(mode, (40, 20), left)
    image.paste(right, (20, 0, 40, 20))
    return image


def png(width, height, bits, colour_type, rows, extra=b""):
    """A PNG written by hand: Pillow writes no 16-bit colours and no false size."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + end


def reason(content):
    with pytest.raises(CorruptImageError) as error:
        read_image(content, (8, 8))
    assert error.value.reason == str(error.value)
    return error.value.reason


# Sizes -----------------------------------------------------------------------------------------


def test_squeeze_keeps_all_of_the_image_and_crop_the_middle():
    image = Image.new("RGB", (90, 30), RED)
    image.paste(BLUE, (30, 0, 60, 30))
    squeezed = read_image(encoded(image), (10, 30))
    assert squeezed.shape == (10, 30, 3)
    assert squeezed.dtype == np.uint8
    assert (squeezed[:, 0] == RED).all()
    assert (squeezed[:, 15] == BLUE).all()
    assert (read_image(encoded(image), (30, 30), "crop") == BLUE).all()
    assert (read_image(encoded(image.rotate(90, expand=True)), (30, 30), "crop") == BLUE).all()


def test_resizing_averages_what_a_pixel_covers():
    stripes = Image.fromarray(np.tile(np.uint8([0, 255]), (64, 32)))
    assert abs(read_image(encoded(stripes), (8, 8)).astype(int) - 128).max() < 8


@pytest.mark.parametrize("fit", ["squeeze", "crop"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (100, 20)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_a_image_of_one_pixel(format, size, fit):
    pixels = read_image(encoded(Image.new("RGB", (1, 1), WHITE), format), size, fit)
    assert pixels.shape == (*size, 3)
    assert (pixels > 250).all()


def test_a_large_jpeg_is_decoded_in_full_before_it_is_resized():
    content = encoded(noise(400, 400), "JPEG", quality=95)
    expected = resized_by_pillow(content, (20, 20)).astype(int)
    assert abs(read_image(content, (20, 20)) - expected).max() <= 1


def resized_by_pillow(content, size):
    image = Image.open(BytesIO(content)).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.array(image)


@pytest.mark.parametrize("size", [(150, 150), (64, 200), (500, 90), (333, 250)])
@pytest.mark.parametrize(("height", "width"), [(200, 200), (250, 333), (90, 120), (41, 400)])
def test_colours_are_resized_as_pillow_does_within_one_of_255(height, width, size):
    content = encoded(noise(height, width))
    found, differences = read_image(content, size).astype(int), []
    for between in ((height, size[1]), (size[0], width)):  # Pillow 13 takes either way by size
        first = Image.fromarray(resized_by_pillow(content, between))
        differences.append(abs(found - resized_by_pillow(encoded(first), size)))
    assert max(each.max() for each in differences) <= 1
    assert min(each.mean() for each in differences) < 0.05
    grey = encoded(noise(height, width, "L"))
    read = read_image(grey, size, channels=1)[..., 0]
    assert np.array_equal(read, resized_by_pillow(grey, size))


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_photographs_like_those_of_the_reference_set_are_resized_exactly_as_by_pillow(format):
    content = encoded(noise(200, 200), format)
    found = read_image(content, (150, 150))
    assert found.flags.c_contiguous  # as it is stored
    assert np.array_equal(found, resized_by_pillow(content, (150, 150)))


def test_an_unknown_fit_is_named():
    with pytest.raises(InputError, match=r"unknown fit 'crops'\. Did you mean 'crop'\?"):
        read_image(encoded(halves()), (8, 8), "crops")


# Kinds of pixels -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_has_three_equal_channels_or_one(mode):
    content = encoded(noise(mode="L").convert(mode))
    colours, grey = read_image(content, (40, 60)), read_image(content, (40, 60), channels=1)
    assert grey.shape == (40, 60, 1)
    assert grey.std() > 40
    assert (colours == grey).all()


def test_colours_become_grey_by_their_luma():
    grey = read_image(encoded(halves((0, 255, 0), BLUE)), (20, 40), channels=1)
    assert grey[0, 0, 0] == 150
    assert grey[0, -1, 0] == 29


def adobe_marker_removed(content):
    """The JPEG without its APP14 segment: such CMYK is not inverted."""
    start = content.index(b"\xff\xee")
    (length,) = struct.unpack(">H", content[start + 2 : start + 4])
    return content[:start] + content[start + 2 + length :]


def test_cmyk_has_the_right_colours_inverted_or_not():
    image = halves((0, 255, 255, 0), (255, 255, 0, 0), "CMYK")  # red and blue
    for content in (encoded(image, "JPEG", quality=95), encoded(image, "TIFF")):
        pixels = read_image(content, (20, 40)).astype(int)
        assert abs(pixels[10, 5] - RED).max() < 12
        assert abs(pixels[10, 35] - BLUE).max() < 12
    inverted = encoded(Image.eval(image, lambda value: 255 - value), "JPEG", quality=95)
    plain = read_image(adobe_marker_removed(inverted), (20, 40)).astype(int)
    assert abs(plain[10, 5] - RED).max() < 12


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_grey_bits_are_scaled_and_not_clipped(format):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    pixels = read_image(encoded(Image.fromarray(ramp), format), (16, 16), channels=1)
    assert np.array_equal(pixels[..., 0], ramp >> 8)


def test_sixteen_bits_of_the_other_byte_order():
    ramp = np.linspace(0, 65535, 256).astype(">u2").reshape(16, 16)
    image = Image.frombytes("I;16B", (16, 16), ramp.tobytes())
    pixels = read_image(encoded(image, "TIFF"), (16, 16), channels=1)
    assert np.array_equal(pixels[..., 0], ramp >> 8)


def test_twelve_grey_bits_are_scaled():
    # One strip of 2 x 2 pixels: 0, 0x800 and 0xFFF, 0x10F, packed in 3 bytes a row.
    tags = [
        (256, 2),
        (257, 2),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 2),
        (279, 6),
    ]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    data = bytes([0x00, 0x08, 0x00, 0xFF, 0xF1, 0x0F])
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    content = b"II*\0" + struct.pack("<I", 16) + data + b"\0\0" + directory
    pixels = read_image(content, (2, 2), channels=1)
    assert pixels[..., 0].tolist() == [[0, 128], [255, 16]]


def test_sixteen_bit_colours():
    row = struct.pack(">6H", 65535, 0, 256, 300, 32768, 65535)
    assert read_image(png(2, 1, 16, 2, [row]), (1, 2)).tolist() == [[[255, 0, 1], [1, 128, 255]]]


def test_sixteen_bits_with_a_transparent_grey():
    key = struct.pack(">I", 2) + b"tRNS" + struct.pack(">H", 4096)
    key += struct.pack(">I", zlib.crc32(key[4:]))
    content = png(2, 1, 16, 0, [struct.pack(">2H", 4096, 4097)], key)
    assert read_image(content, (1, 2), channels=1).ravel().tolist() == [255, 16]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_without_a_white_are_refused_with_advice(dtype):
    image = Image.fromarray(np.ones((4, 4), dtype))
    assert "save it with 8 or 16 bits" in reason(encoded(image, "TIFF"))


def test_other_colour_spaces():
    ycbcr = read_image(encoded(halves().convert("YCbCr"), "TIFF"), (20, 40)).astype(int)
    assert abs(ycbcr[0, 0] - RED).max() < 5
    lab = halves((136, 208, 195), (0, 128, 128), "LAB")  # CIE: L* 53, a* 80, b* 67
    pixels = read_image(encoded(lab, "TIFF"), (20, 40)).astype(int)
    assert abs(pixels[0, 0] - RED).max() < 12


# Transparency ----------------------------------------------------------------------------------


def test_palettes_without_transparency():
    for format in ("PNG", "GIF", "BMP", "TIFF"):
        pixels = read_image(encoded(halves().convert("P"), format), (20, 40))
        assert (pixels[0, 0] == RED).all()
        assert (pixels[0, -1] == BLUE).all()


def test_transparent_places_are_white():
    clear = halves((*RED, 0), (*BLUE, 255), "RGBA")
    palette = Image.new("P", (40, 20), 1)
    palette.putpalette([*RED, *BLUE])
    palette.paste(0, (0, 0, 20, 20))
    contents = [
        encoded(clear),
        encoded(clear, "WEBP", lossless=True),
        encoded(clear, "TIFF"),
        encoded(palette, transparency=0),
        encoded(palette, transparency=bytes([0, 255])),
        encoded(palette, "GIF", transparency=0),
        encoded(halves(), transparency=RED),
    ]
    for content in contents:
        pixels = read_image(content, (20, 40))
        assert (pixels[0, 0] == WHITE).all()
        assert (pixels[0, -1] == BLUE).all()
    grey = halves((10, 0), (100, 255), "LA")
    for content in (encoded(grey), encoded(grey.getchannel("L"), transparency=10)):
        pixels = read_image(content, (20, 40), channels=1)
        assert pixels[0, 0] == 255
        assert pixels[0, -1] == 100


def test_half_transparent_places_are_mixed_with_white():
    pixels = read_image(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 128))), (4, 4))
    assert (pixels == 127).all()


# Animations, orientation, names ----------------------------------------------------------------


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(format):
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    lossless = {"lossless": True} if format == "WEBP" else {}
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:], **lossless)
    assert Image.open(BytesIO(content)).n_frames == 2
    assert (read_image(content, (20, 20)) == RED).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation, format):
    corners = Image.new("RGB", (60, 40), WHITE)
    corners.paste(RED, (0, 0, 30, 20))
    corners.paste(BLUE, (30, 20, 60, 40))
    turn = Image.Transpose
    turns = [turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM, turn.TRANSPOSE]
    turns += [turn.ROTATE_90, turn.TRANSVERSE, turn.ROTATE_270]
    stored = corners if orientation == 1 else corners.transpose(turns[orientation - 2])
    exif = Image.Exif()
    exif[274] = orientation
    pixels = read_image(encoded(stored, format, exif=exif), (40, 60)).astype(int)
    assert abs(pixels[5, 5] - RED).max() < 12
    assert abs(pixels[35, 55] - BLUE).max() < 12
    assert abs(pixels[35, 5] - WHITE).max() < 12


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    assert (read_image(encoded(halves(), exif=exif), (20, 40))[0, 0] == RED).all()


def test_damaged_exif_data_changes_nothing():
    exif = Image.Exif()
    exif[271] = "A camera's name"
    whole = encoded(halves(), "JPEG", exif=exif)
    start = whole.index(b"Exif\0\0") + 6
    for place in range(start, start + 26):  # warns, or breaks Pillow's reading of the data
        content = whole[:place] + b"\xff" + whole[place + 1 :]
        assert np.array_equal(read_image(content, (20, 40)), read_image(whole, (20, 40)))


def test_the_content_counts_and_not_the_name(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(halves()))
    assert (read_image(path, (20, 40)) == read_image(path.read_bytes(), (20, 40))).all()
    assert (read_image(path, (20, 40))[0, 0] == RED).all()


def test_names_of_images(tmp_path):
    assert is_image_name("a/b.JPG")
    assert is_image_name(tmp_path / "b.x.tiff")
    assert not is_image_name("b.txt")
    assert not is_image_name("jpg")


# Files without an image -----------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP"])
def test_a_truncated_file_is_corrupt(format):
    content = encoded(noise(), format)
    read_image(content, (8, 8))
    for part in (0.01, 0.3, 0.6, 0.9):
        found = reason(content[: int(len(content) * part)])
        if part > 0.1 and format in ("JPEG", "PNG", "BMP", "PPM"):
            assert found == "truncated"


def test_what_is_no_image(tmp_path):
    assert reason(b"") == "empty file"
    expected = "not an image, or damaged at its start (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)"
    assert reason(b"Not an image, but a text.") == expected
    path = tmp_path / "text.jpg"
    path.write_text("text")
    assert reason(path).startswith("not an image")
    assert reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").startswith("not an image")


def test_a_path_that_is_no_file(tmp_path):
    with pytest.raises(MissingInputError, match=r"there is no image .*gone\.png"):
        read_image(tmp_path / "gone.png", (8, 8))
    with pytest.raises(InputError, match="is a folder, not an image"):
        read_image(tmp_path, (8, 8))


@pytest.mark.parametrize("side", [10_000, 20_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    content = png(side, side, 8, 2, [b"\0" * 100])
    tracemalloc.start()
    try:
        found = reason(content)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
    assert re.fullmatch(r"too large: (10000 x 10000, )?at most 89 million pixels", found)


# Threads, warnings and damage ------------------------------------------------------------------


def test_threads_read_what_one_reads_and_leave_no_filter_behind():
    contents = [encoded(noise(30 + number, 50), "JPEG") for number in range(40)]
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda content: read_image(content, (16, 16)), contents * 5))
    assert warnings.filters == before
    for content, result in zip(contents * 5, results, strict=True):
        assert np.array_equal(result, read_image(content, (16, 16)))


FORMATS = {
    "JPEG": {},
    "progressive JPEG": {"progressive": True},
    "CMYK JPEG": {},
    "PNG": {},
    "palette PNG": {},
    "16-bit PNG": {},
    "APNG": {"save_all": True, "append_images": [noise(12, 10)]},
    "GIF": {"save_all": True, "append_images": [noise(12, 10, "P")]},
    "WEBP": {},
    "lossless WEBP": {"lossless": True},
    "BMP": {},
    "TIFF": {},
    "LZW TIFF": {"compression": "tiff_lzw"},
    "JPEG TIFF": {"compression": "jpeg"},
    "PPM": {},
}


@pytest.mark.parametrize("kind", FORMATS)
def test_any_damage_gives_a_image_or_one_kind_of_error(kind):
    modes = {"CMYK JPEG": "CMYK", "palette PNG": "P", "GIF": "P"}
    image = noise(12, 10, modes.get(kind, "RGB"))
    if kind == "16-bit PNG":
        image = Image.fromarray(np.arange(120, dtype=np.uint16).reshape(12, 10) * 500)
    exif = Image.Exif()
    exif[274] = 6
    options = {} if kind in ("BMP", "GIF", "PPM") else {"exif": exif}
    format = kind.split()[-1].replace("APNG", "PNG")
    content = encoded(image, format, **options, **FORMATS[kind])
    random = np.random.default_rng(0)
    corrupt = 0
    for _ in range(300):
        damaged = np.frombuffer(content, np.uint8).copy()
        # Half of them in the header, where most decisions fall.
        end = len(damaged) if random.random() < 0.5 else min(len(damaged), 100)
        places = random.integers(0, end, random.integers(1, 5))
        damaged[places] = random.integers(0, 256, len(places))
        try:
            pixels = read_image(damaged.tobytes(), (8, 9), "crop")
        except CorruptImageError:
            corrupt += 1
        else:
            assert pixels.shape == (8, 9, 3)
            assert pixels.dtype == np.uint8
    assert 0 < corrupt < 300


@pytest.mark.filterwarnings("ignore:.*decoding.*:DeprecationWarning")  # torchvision from 0.29 on
@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM"])
def test_torchvision_does_not_read_all_kinds(kind):
    content = torch.frombuffer(bytearray(encoded(halves(), kind)), dtype=torch.uint8)
    with pytest.raises(RuntimeError):  # why Pillow reads them
        decode_image(content)
