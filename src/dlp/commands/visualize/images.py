"""Which images ``dlp visualize`` draws: files, or samples of a recipe's data."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlp.datamodules import SupervisedDataModule
from dlp.datamodules.examples import Part
from dlp.datamodules.images.decoding import CorruptImageError, read_image, upright_size
from dlp.datamodules.images.files import find_images
from dlp.datamodules.images.folders import missing
from dlp.datamodules.images.on_all_cores import ImageFormat
from dlp.errors import InputError


@dataclass(frozen=True)
class NamedImage:
    """An image as the network takes it.

    Args:
        name: What its files are called after.
        pixels: (C, H, W) in [0, 1].
        truth: Its class in words, where it is known.
        file: Where it was read from.
        form: What was made of that file.
    """

    name: str
    pixels: Tensor
    truth: str = ""
    file: Path | None = None
    form: ImageFormat | None = None

    def full_size(self) -> Tensor:
        """Return the image at the size of its file, cut as the network sees it."""
        if self.file is None or self.form is None:
            return self.pixels
        height, width = upright_size(self.file)
        if self.form.fit == "crop":
            scale = min(height / self.form.size[0], width / self.form.size[1])
            height, width = (max(1, round(side * scale)) for side in self.form.size)
        return _read(self.file, ImageFormat((height, width), self.form.fit, self.form.channels))


def has_images(data: SupervisedDataModule) -> bool:
    """Whether the rows of `data` are images."""
    shape = data.input_shape
    return len(shape) == 3 and shape[0] in (1, 3)


def check_shows_images(kind: str, data: SupervisedDataModule) -> None:
    """Raise `InputError` unless the rows of `data` are images."""
    if not has_images(data):
        shape = data.input_shape
        raise InputError(
            f"visualize {kind} draws images; a row of {type(data).__name__} has the shape {shape}."
        )


def image_files(given: Sequence[str]) -> list[Path]:
    """Return the image files that paths mean: files, and all in folders and below them.

    Raises:
        InputError: A path is not there, or a folder holds no image.
    """
    files: list[Path] = []
    for path in map(Path, given):
        if not path.exists():
            raise missing("image", path)
        found = [path]
        if path.is_dir():
            found = [path / name for name in find_images(path)[0]]
        if not found:
            raise InputError(f"{path} holds no image.")
        files += found
    return files


def read_images(given: Sequence[str], count: int | None, form: ImageFormat) -> list[NamedImage]:
    """Return the first `count` images, or all, of files and folders, made into `form`.

    Raises:
        InputError: A file is not there or cannot be read.
    """
    files = image_files(given)[:count]
    return [
        NamedImage(name, _read(file, form), file=file, form=form)
        for name, file in zip(_distinct(files), files, strict=True)
    ]


def sample_images(data: SupervisedDataModule, part: Part, count: int) -> list[NamedImage]:
    """Return the first images of each class in turn, `count` in all.

    Raises:
        InputError: There is no such part.
    """
    examples, inputs = data.examples(part), data.inputs(part)
    if not len(inputs):
        raise no_rows(part)
    encoded = None if examples.targets is None else data.targets.encode(examples.targets)
    rows = list(range(len(inputs)))
    if encoded is not None and data.targets.is_classification:
        rows = _in_turn(encoded if encoded.ndim == 1 else encoded.argmax(1))
    rows = rows[:count]
    names, truths = [f"{part}_{row}" for row in rows], [""] * len(rows)
    if encoded is not None:
        truths = [target_in_words(encoded[row].tolist(), data.class_names) for row in rows]
    if examples.names is not None:
        names = _distinct([Path(examples.names[row]) for row in rows])
    found = zip(names, inputs[torch.tensor(rows)], truths, strict=True)
    return [NamedImage(*each) for each in found]


def no_rows(part: Part) -> InputError:
    """Return the error for a part without rows."""
    advice = " Give val_size, or another --part." if part == "val" else ""
    return InputError(f"the {part} part has no rows.{advice}")


def target_in_words(target: Any, names: Sequence[str] | None) -> str:
    """Return a target in words: the class, the labels that apply, or the values."""
    if names is None:
        values = target if isinstance(target, list) else [target]
        return ", ".join(f"{value:.4g}" for value in values)
    if isinstance(target, list):
        return ", ".join(name for name, value in zip(names, target, strict=True) if value >= 0.5)
    return names[int(target)]


def file_name(*parts: str) -> str:
    """Return a file's name made of `parts`, without what file systems do not like."""
    return "_".join(re.sub(r"[^\w.-]+", "-", part).strip("-.") or "x" for part in parts)


def _in_turn(classes: Any) -> list[int]:
    """Return all row numbers: the first row of each class, then the second of each ..."""
    of_each = [np.flatnonzero(classes == number).tolist() for number in np.unique(classes)]
    return [row for row in chain(*zip_longest(*of_each)) if row is not None]


def _distinct(files: Sequence[Path]) -> list[str]:
    """Return a name for each file; those that would be equal have their folder's, or a number."""
    stems = [file_name(file.stem) for file in files]
    common = {stem for stem, count in Counter(map(str.lower, stems)).items() if count > 1}
    names: list[str] = []
    taken: set[str] = set()  # without upper case, which some file systems do not tell apart
    for file, stem in zip(files, stems, strict=True):
        wanted = file_name(file.parent.name, stem) if stem.lower() in common else stem
        name, number = wanted, 1
        while name.lower() in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name.lower())
        names.append(name)
    return names


def _read(file: Path, form: ImageFormat) -> Tensor:
    try:
        pixels = read_image(file, form.size, form.fit, form.channels)
    except CorruptImageError as error:
        raise InputError(f"{file} cannot be read as an image: {error.reason}.") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
