"""Images that ``dlp visualize`` draws: files, or rows of a part of the data."""

from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.images.files import find_images
from dlp.datamodules.images.folder import ImageFolderDataModule
from dlp.datamodules.images.store import ImageFormat, read_image
from dlp.errors import InputError

LabelledPart = Literal["train", "val", "test"]


@dataclass(frozen=True)
class NamedImage:
    """Image as a network takes it.

    Args:
        name: Start of the names of its figures.
        title: File name, and the true class if it is known.
        pixels: Image (C, H, W) in [0, 1].
    """

    name: str
    title: str
    pixels: Tensor


def read_images(path: Path, count: int, form: ImageFormat) -> list[NamedImage]:
    """Read the first images of a file or a folder.

    Raises:
        InputError: If there is no image, or one cannot be read.
    """
    files = find_images(path)[:count]
    if not files:
        raise InputError(f"{path} holds no image.")
    images = []
    for file in files:
        try:
            pixels = read_image(file, form)
        except InputError as error:
            raise InputError(f"{file} cannot be read: {error}.") from error
        name = file.stem if file == path else "_".join(file.relative_to(path).with_suffix("").parts)
        floats = torch.from_numpy(pixels).permute(2, 0, 1) / 255
        images.append(NamedImage(name, file.name, floats))
    return images


def part_images(data: SupervisedDataModule, part: LabelledPart, count: int) -> list[NamedImage]:
    """Return images of a part: the first of each class in turn, then the second, ..."""
    examples = data.examples(part)
    titles = target_titles(data, examples.targets)
    by_class: dict[str, list[int]] = {}
    for row, title in enumerate(titles):
        by_class.setdefault(title if data.class_names else "", []).append(row)
    turns = chain(*zip_longest(*by_class.values()))
    rows = [row for row in turns if row is not None][:count]
    images: Any = data.inputs(part)[torch.tensor(rows)]
    return [
        NamedImage(f"{part}_{row}", f"{part} row {row} ({titles[row]})", image)
        for row, image in zip(rows, images, strict=True)
    ]


def target_titles(data: SupervisedDataModule, targets: Any) -> list[str]:
    """Return the class, labels or values of each row in words."""
    encoded = data.targets.encode(targets)
    names = data.class_names
    if names is None:
        return [", ".join(f"{value:.4g}" for value in np.atleast_1d(row)) for row in encoded]
    if (classes := data.targets.classes(encoded)) is not None:
        return [names[number] for number in classes]
    return [", ".join(n for n, value in zip(names, row, strict=True) if value) for row in encoded]


def image_format(data: SupervisedDataModule) -> ImageFormat:
    """Return the format of the images of some data.

    Raises:
        InputError: If its rows are not images.
    """
    shape = data.input_shape
    if len(shape) != 3:
        raise InputError(
            f"the rows of {type(data).__name__} have the shape {shape}; visualize takes images "
            "(channels, height, width)."
        )
    if isinstance(data, ImageFolderDataModule):
        return data.form
    return ImageFormat(shape[1], shape[2], channels=3 if shape[0] == 3 else 1)
