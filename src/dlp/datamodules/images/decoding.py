"""An image file of any kind as uint8 pixels of one size, or one error that says why not.

``torchvision.io`` reads no BMP, TIFF or PPM, sets no bound on pixels, and is deprecated since 0.29.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError

from dlp.errors import InputError, MissingInputError, unknown

#: What Pillow is asked to read, whatever a file is called.
_PILLOW_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")

#: How the names of image files end, in lower case.
EXTENSIONS = {
    *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
}

_ENDINGS = tuple(EXTENSIONS)

#: The most pixels of an image: a quarter of a gigabyte as RGB, Pillow's own bound for a warning.
MAX_PIXELS = 2**30 // 12
_AT_MOST = f"at most {MAX_PIXELS // 10**6} million pixels"

#: The EXIF orientations by which height and width change places.
_TURNED = (5, 6, 7, 8)
_BITS_PER_SAMPLE = 258

_NO_WARNINGS = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


class CorruptImageError(InputError):
    """A file's content gives no image.

    Args:
        reason: Why not, without the file's name.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ImageHeader(NamedTuple):
    """What a file says of its image, as it is stored: EXIF orientation is not undone.

    Args:
        height: In pixels.
        width: In pixels.
        mode: Pillow's.
        frames: The number of frames of an animation, 1 for an image.
    """

    height: int
    width: int
    mode: str
    frames: int


def is_image_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an image by its name, in upper or lower case."""
    return os.fspath(path).lower().endswith(_ENDINGS)


def read_image(
    source: Path | bytes,
    size: tuple[int, int],
    fit: Literal["squeeze", "crop"] = "squeeze",
    channels: Literal[1, 3] = 3,
) -> NDArray[np.uint8]:
    """Return an image, fully decoded, as uint8 (height, width, channels); for any thread.

    The content counts, not the name. Of an animation the first frame is read, transparent places
    are white, EXIF orientation is undone, 16 bits become the upper 8, and CMYK becomes RGB
    without a colour profile. Resizing is bilinear over all pixels that a new one covers; the book's
    Keras took the nearest pixel.

    Args:
        source: A file, or its content.
        size: Height and width.
        fit: ``squeeze`` the image to `size` whatever its shape, as the book does; or resize it
            until it covers `size` and ``crop`` the middle.
        channels: 3 for RGB, of a grey image three equal ones; 1 for grey, of a coloured
            image its luma (ITU-R 601).

    Raises:
        CorruptImageError: The content is truncated, damaged, above `MAX_PIXELS`, or not an
            image.
        InputError: The file cannot be opened, or `fit` is unknown.
    """
    return read_with_header(source, size, fit, channels)[0]


def read_with_header(
    source: Path | bytes,
    size: tuple[int, int],
    fit: Literal["squeeze", "crop"] = "squeeze",
    channels: Literal[1, 3] = 3,
) -> tuple[NDArray[np.uint8], ImageHeader]:
    """Return what `read_image` does, and what the file says of its image: it is opened once."""
    if fit not in ("squeeze", "crop"):
        raise unknown("fit", fit, ("squeeze", "crop"))
    content = source if isinstance(source, bytes) else _content(source)
    if not content:
        raise CorruptImageError("empty file")
    try:
        with _without_pillow_warnings():
            return _decode(content, size, fit, channels)
    except (CorruptImageError, MemoryError):
        raise
    except UnidentifiedImageError:
        formats = ", ".join(sorted(_PILLOW_FORMATS))
        raise CorruptImageError(f"not an image, or damaged at its start ({formats})") from None
    except Image.DecompressionBombError:  # above twice MAX_PIXELS, already on opening
        raise CorruptImageError(f"too large: {_AT_MOST}") from None
    except Exception as error:  # Pillow's decoders fail on damaged input in every way there is
        message = str(error) or type(error).__name__
        truncated = re.search("truncated|end of file|not enough image data", message, re.I)
        raise CorruptImageError("truncated" if truncated else f"damaged: {message}") from error


def upright_size(path: Path) -> tuple[int, int]:
    """Return height and width of an image that `read_image` has read before, EXIF undone."""
    with Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
    return (width, height) if turned else (height, width)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingInputError(f"there is no image {path} (from {Path.cwd()}).") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not an image.") from None
    except OSError as error:
        raise InputError(f"cannot read the image {path}: {error.strerror}.") from error


@contextmanager
def _without_pillow_warnings() -> Iterator[None]:
    """Ignore what Pillow warns of: odd tags, for one, of images that are whole.

    `warnings.catch_warnings` puts back all filters of its beginning, whatever other threads have
    changed meanwhile. Here one filter comes and goes.
    """
    filters: list[object] = warnings.filters  # type: ignore[assignment] # a list, typed Sequence
    filters.insert(0, _NO_WARNINGS)
    try:
        yield
    finally:
        with suppress(ValueError):
            filters.remove(_NO_WARNINGS)


def _decode(
    content: bytes, size: tuple[int, int], fit: Literal["squeeze", "crop"], channels: Literal[1, 3]
) -> tuple[NDArray[np.uint8], ImageHeader]:
    height, width = size
    with Image.open(BytesIO(content), formats=_PILLOW_FORMATS) as opened:
        header = ImageHeader(opened.height, opened.width, opened.mode, 1)  # as it is before loading
        if opened.width * opened.height > MAX_PIXELS:
            raise CorruptImageError(f"too large: {opened.width} x {opened.height}, {_AT_MOST}")
        opened.load()
        with suppress(Exception):  # Pillow fails on damaged EXIF data in many ways
            ImageOps.exif_transpose(opened, in_place=True)
        header = header._replace(frames=_frames(opened, content))
        image = _eight_bits(opened)
        if channels == 1 and image.mode != "L":  # converting copies, whatever the mode
            image = image.convert("L")
        if fit == "squeeze" and image.mode == "RGB":
            return _squeezed_colours(image, size), header
        if fit == "crop":
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        else:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        if channels == 3 and image.mode != "RGB":
            image = image.convert("RGB")
        return np.array(image, np.uint8).reshape(height, width, channels), header


def _squeezed_colours(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an RGB image of another size, uint8 (height, width, 3).

    Torch takes less than half of Pillow's time. Its weights have 16 bits instead of 22: some values
    in a thousand are one of 255 apart, fewer than among versions of Pillow (the 13th resizes tall
    images in another order). Grey it resizes no faster.
    """
    pixels: NDArray[np.uint8] = np.array(image)
    if pixels.shape[:2] == size:
        return pixels
    planes = torch.from_numpy(pixels).unsqueeze(0).permute(0, 3, 1, 2)
    resized = F.interpolate(planes, size, mode="bilinear", antialias=True)
    squeezed: NDArray[np.uint8] = resized.permute(0, 2, 3, 1)[0].numpy()
    return squeezed


def _frames(opened: Image.Image, content: bytes) -> int:
    """Return the number of frames of an animation, 1 for an image."""
    if opened.format == "MPO":  # a photograph of several sizes in one file is no animation
        return 1
    if opened.format not in ("GIF", "TIFF"):
        return getattr(opened, "n_frames", 1)
    try:  # these are searched for frames, which moves an image
        with Image.open(BytesIO(content), formats=(opened.format,)) as searched:
            return getattr(searched, "n_frames", 1)
    except Exception:  # a later frame is damaged, in any of the ways that Pillow's decoders fail
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image as grey or RGB of 8 bits, opaque."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise CorruptImageError(
            "its pixels have no defined white (floats, signed or 32-bit numbers): save it with 8 "
            "or 16 bits"
        )
    if image.mode.startswith("I"):
        return _upper_bits(image)
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes every CMYK JPEG for an inverted one
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _upper_bits(image: Image.Image) -> Image.Image:
    """Return an image of 16 grey bits in 8, as Pillow does for colours (for grey it clips)."""
    values = np.asarray(image)
    bits = 16
    if image.format == "TIFF":
        bits = image.tag_v2[_BITS_PER_SAMPLE][0]  # type: ignore[attr-defined] # 12 occur
    grey = (values >> (bits - 8)).clip(0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)
