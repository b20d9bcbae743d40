"""Reader of images."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .rows import Reader, Spec

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


class ImageReader(Reader):
    """Reader of image files, their content or Pillow images, uint8 (N, H, W, C)."""

    form = "file"

    def __call__(self, rows: Sequence[Any]) -> list[Any]:
        """Decode images."""
        shape = [self.spec[name] for name in ("height", "width", "channels")]
        pixels = np.zeros([len(rows), *shape], np.uint8)
        for number, source in enumerate(rows):
            try:
                pixels[number] = read_image(source, self.spec)
            except Exception as error:  # decoders fail on damaged files in every way
                name = source if isinstance(source, str | Path) else f"image {number}"
                reason = str(error).partition(" <")[0]
                raise ValueError(f"{name} cannot be read ({reason}).") from error
        return [pixels]


def read_image(source: Any, spec: Spec) -> Any:
    """Read a path, the content of a file or a Pillow image as uint8 (height, width, channels).

    The EXIF orientation is undone, transparent pixels become white, and an animation gives its
    first frame. ``squeeze`` resizes whatever the shape, ``crop`` cuts out the middle.
    """
    from PIL import Image, ImageOps

    size = (spec["width"], spec["height"])
    bilinear = Image.Resampling.BILINEAR
    if isinstance(source, bytes):
        source = BytesIO(source)
    is_read = isinstance(source, Image.Image)
    with nullcontext(source) if is_read else Image.open(source, formats=_FORMATS) as image:
        image.load()
        with suppress(Exception):  # damaged EXIF data of a whole image
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            raise ValueError("16 or more bits per pixel; save it with 8 bits")
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("L" if spec["channels"] == 1 else "RGB")
        if spec["fit"] == "crop":
            image = ImageOps.fit(image, size, bilinear)
        else:
            image = image.resize(size, bilinear)
    return np.array(image, np.uint8).reshape(spec["height"], spec["width"], -1)
