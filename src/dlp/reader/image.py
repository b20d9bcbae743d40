"""Encoder of images."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .encoder import Array, TwoStepEncoder

if TYPE_CHECKING:
    from PIL import Image

    #: Path or content of a file, or an image of Pillow.
    ImageSource = str | Path | bytes | Image.Image
    #: Images, or decoded ones, uint8 (N, H, W, C).
    ImageRows = Sequence[ImageSource] | NDArray[np.uint8]

#: Decoded images, uint8 (N, H, W, C).
Pixels = NDArray[np.uint8]

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")

#: Way to a common size: ``squeeze`` ignores the aspect ratio, ``crop`` cuts out the middle.
Resizing = Literal["squeeze", "crop"]


class ImageEncoder(TwoStepEncoder["ImageRows", Pixels]):
    """Encoder of images into float32 (N, C, H, W) in [0, 1]. It learns nothing from pixels.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        resizing: ``squeeze`` ignores the aspect ratio, as in the book; ``crop`` cuts out the
            middle.
        channels: 3 for colours, 1 for grey.
    """

    kind = "image"
    form = "file"
    explained_by = "pixels"

    def __init__(
        self, height: int, width: int, resizing: Resizing = "squeeze", channels: Literal[1, 3] = 3
    ) -> None:
        self.height = height
        self.width = width
        self.resizing = resizing
        self.channels = channels
        self.input_shape_ = (channels, height, width)

    def fit(self, rows: "ImageRows", targets: Array | None = None) -> None:
        """Learn nothing."""

    def convert(self, rows: "ImageRows") -> Pixels:
        """Read files, their content, Pillow images, or decoded images, into uint8 (N, H, W, C)."""
        pixels = rows if isinstance(rows, np.ndarray) else self._read_images(rows)
        shape = (self.height, self.width, self.channels)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != shape:
            raise ValueError(
                f"an array of images is uint8 of the shape (N, {', '.join(map(str, shape))}), not "
                f"{pixels.dtype} of {pixels.shape}."
            )
        return pixels

    def expand(self, converted: Pixels) -> NDArray[np.float32]:
        """Divide bytes (N, H, W, C) by 255; return float32 (N, C, H, W)."""
        scaled = converted.astype(np.float32)
        scaled /= 255
        return scaled.transpose(0, 3, 1, 2)

    def _read_images(self, images: "Sequence[ImageSource]") -> Pixels:
        """Read images, uint8 (N, H, W, C)."""
        pixels = np.zeros((len(images), self.height, self.width, self.channels), np.uint8)
        for number, source in enumerate(images):
            try:
                pixels[number] = self.read_image(source)
            except Exception as error:  # decoders fail on damaged files in every way
                name = source if isinstance(source, str | Path) else f"image {number}"
                reason = str(error).partition(" <")[0]
                raise ValueError(f"{name} cannot be read ({reason}).") from error
        return pixels

    def read_image(self, source: "ImageSource") -> NDArray[np.uint8]:
        """Read a path, the content of a file or a Pillow image, uint8 (height, width, channels).

        The EXIF orientation is undone, transparent pixels become white, and an animation gives its
        first frame.
        """
        from PIL import Image, ImageOps

        size = (self.width, self.height)
        bilinear = Image.Resampling.BILINEAR
        file: Any = BytesIO(source) if isinstance(source, bytes) else source
        is_read = isinstance(file, Image.Image)
        with nullcontext(file) if is_read else Image.open(file, formats=_FORMATS) as image:
            image.load()
            with suppress(Exception):  # damaged EXIF data of a whole image
                image = ImageOps.exif_transpose(image)
            if image.mode.startswith(("I", "F")):
                raise ValueError("16 or more bits per pixel; save it with 8 bits")
            if image.has_transparency_data:
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA"))
            image = image.convert("L" if self.channels == 1 else "RGB")
            if self.resizing == "crop":
                image = ImageOps.fit(image, size, bilinear)
            else:
                image = image.resize(size, bilinear)
        return np.array(image, np.uint8).reshape(self.height, self.width, -1)
