"""What all DataModules of image files share: decoding once, corrupt files, augmentation."""

import csv
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Unpack, cast, get_args

import numpy as np
import xxhash
from torch import nn

from dlp.console import say
from dlp.datamodules.base import Examples, SharedArguments, SupervisedDataModule
from dlp.datamodules.examples import sample_rows
from dlp.datamodules.images.augmentation import AugmentationName, Augmenter, make_augmentation
from dlp.datamodules.images.decoding import EXTENSIONS
from dlp.datamodules.images.files import ImageFiles, find_images
from dlp.datamodules.images.folders import missing
from dlp.datamodules.images.on_all_cores import Fit, ImageFormat, ImageSource
from dlp.datamodules.images.properties import ImageProperties
from dlp.datamodules.images.store import StoredImages, decode
from dlp.datamodules.learned import Encoder
from dlp.datamodules.reading import InputReading
from dlp.datamodules.splitting.splits import Indices
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError, unknown
from dlp.files import atomic_path, cache_dir

OnCorrupt = Literal["raise", "skip"]

#: Images of a trial run.
_SAMPLE = 64


class ImageEncoder(Encoder):
    """What every image is made into. Nothing is learned of images; a checkpoint says the form.

    Args:
        form: Size, channels and how an image gets them.
    """

    def __init__(self, form: ImageFormat) -> None:
        self.form = form

    def transform(self, rows: StoredImages) -> StoredImages:
        """Return the images as they are: batches are sliced from them."""
        return rows

    def state(self) -> dict[str, Any]:
        """Return the form as plain values."""
        form = self.form
        return {"size": list(form.size), "fit": form.fit, "channels": form.channels}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a form."""
        height, width = state["size"]
        self.form = ImageFormat((height, width), state["fit"], state["channels"])


class ImageArguments(SharedArguments, total=False):
    """What every DataModule of image files takes; `BaseImageDataModule` says what each means."""

    predict_path: str | os.PathLike[str] | None
    image_size: int | tuple[int, int]
    fit: Fit
    augmentation: AugmentationName | nn.Module | None
    on_corrupt: OnCorrupt
    cache_gb: float


class BaseImageDataModule(SupervisedDataModule):
    """Base of the DataModules of image files: batches are float32 (N, C, H, W) in [0, 1].

    A subclass reads its images by `decoded`. Images are decoded once into uint8
    pixels in the cache folder; see `dlp.datamodules.images.store`.

    Args:
        targets: What the targets mean.
        channels: 3 for colours, 1 for grey.
        test_size: Images to test on, where there is no test part: a count or a fraction.
        predict_path: Unlabelled images: a file, or a folder with all that is below it. Without it,
            the test part is predicted.
        image_size: Height and width in pixels; one number for both.
        fit: How an image gets that size: ``squeeze`` it whatever its shape, as in the book, or
            ``crop`` the middle.
        augmentation: Random changes of the training images: ``book`` for those of section 5.2,
            another name, or a transform by its class_path (torchvision.transforms.v2...).
        on_corrupt: Stop at images that cannot be read (``raise``), or leave them out (``skip``);
            all are named.
        cache_gb: The most the decoded pixels may take in the cache folder, in gigabytes; larger
            sets are decoded anew in every epoch.
    """

    encoder: ImageEncoder
    defaults: ClassVar[ImageArguments] = {
        "eval_batch_size": 100,
        "predict_path": None,
        "image_size": 150,
        "fit": "squeeze",
        "augmentation": None,
        "on_corrupt": "raise",
        "cache_gb": 20.0,
    }

    def __init__(
        self,
        *,
        targets: TargetEncoder,
        channels: Literal[1, 3] = 3,
        test_size: int | float | None = None,
        **arguments: Unpack[ImageArguments],
    ) -> None:
        given: ImageArguments = {**self.defaults, **arguments}
        fit, size = given["fit"], _height_and_width(given["image_size"])
        if given["cache_gb"] < 0:
            raise InputError(f"cache_gb must be 0 or more, got {given['cache_gb']}.")
        for name, value, accepted in (
            ("fit", fit, get_args(Fit)),
            ("channels", channels, (1, 3)),
            ("on_corrupt", given["on_corrupt"], get_args(OnCorrupt)),
        ):
            if value not in accepted:
                raise unknown(name, str(value), map(str, accepted))
        encoder = ImageEncoder(ImageFormat(size, fit, channels))
        shared = cast(SharedArguments, arguments)  # and more, which its reader passes over
        super().__init__(targets=targets, encoder=encoder, test_size=test_size, **shared)
        self.augmentation = make_augmentation(given["augmentation"])
        self.on_corrupt = given["on_corrupt"]
        self.cache_gb = given["cache_gb"]
        path = given["predict_path"]
        self.predict_path = None if path is None else Path(path)
        self._properties: dict[str, ImageProperties] = {}  # first image -> those read with it

    def decoded(self, files: Examples) -> Examples:
        """Return the images that can be read, with all that is known of them.

        Args:
            files: Their `rows` are an `ImageSource`; in a trial run a spread sample is taken.

        Raises:
            InputError: An image cannot be read, and `on_corrupt` is ``raise``; or none can be.
        """
        if self.dry_run:
            targets = files.targets
            classes = 0
            if targets is not None and targets.dtype.kind in "OUib":
                classes = len(np.unique(targets))
            kept = sample_rows(targets, files.count, max(_SAMPLE, classes))
            files = files.chosen(kept, files.rows.chosen(kept.tolist()))
        source: ImageSource = files.rows
        names = source.names
        found = decode(source, self.form, self.cache_gb, keep=not self.dry_run)
        if found.corrupt:
            self._report(names, found.corrupt)
        good = np.setdiff1d(np.arange(len(names)), [*found.corrupt])
        good_names = [names[row] for row in good]
        images = files.chosen(good, StoredImages(found.pixels, good, found.hashes))
        if files.num_val and not images.num_val:
            raise InputError("none of the images of the validation part can be read.")
        if files.targets is not None:
            self._properties[names[0]] = ImageProperties(
                good_names, found.properties[good], len(found.corrupt)
            )
        return replace(images, names=good_names, hashes=found.hashes[good])

    def load_predict(self) -> Examples | None:
        """Return the images of `predict_path`: an image, or all in a folder and below it.

        Raises:
            InputError: There is no such file or folder, or no image in it.
        """
        path = self.predict_path
        if path is None:
            return None
        if not path.exists():
            raise missing("predict_path", path)
        files = ImageFiles(path.parent, (path.name,))
        if path.is_dir():
            files = ImageFiles(path, tuple(find_images(path)[0]))
        if not len(files):
            raise InputError(f"{path} holds no image ({', '.join(sorted(EXTENSIONS))}).")
        return self.decoded(Examples(files))

    def _report(self, names: Sequence[str], corrupt: dict[int, str]) -> None:
        """Name every image that cannot be read.

        Raises:
            InputError: `on_corrupt` is ``raise``, or none can be read.
        """
        offenders = [(names[number], why) for number, why in sorted(corrupt.items())]
        lines = [f"  {name}: {why}" for name, why in offenders[:10]]
        if len(offenders) > 10:
            lines.append(f"  and {len(offenders) - 10:,} more")
        if not self.dry_run:
            lines.append(_write_report(offenders))
        count = f"{len(offenders):,} of {len(names):,} images cannot be read"
        if len(offenders) == len(names):
            raise InputError("\n".join([f"{count}:", *lines]))
        if self.on_corrupt == "raise":
            advice = "Mend or remove them, or leave them out by on_corrupt: skip:"
            raise InputError("\n".join([f"{count}. {advice}", *lines]))
        say("\n".join([f"{count} and are left out:", *lines]))

    def read_input(self) -> InputReading:
        """Return sizes and modes of the images, and those that are unlike the others."""
        height, width = self.form.size
        kind = "colours" if self.form.channels == 3 else "grey"
        made = ("made into", f"{height} x {width}, {self.form.fit}, {kind}")
        found = ImageProperties.joined([*self._properties.values()])
        notes = found.notes(self.root)
        return InputReading(self.source_words(), facts=(*found.facts(), made), notes=notes)

    def source_words(self) -> str:
        """Return what was read and how, in words."""
        return type(self).__name__

    @property
    def root(self) -> Path | None:
        """The folder that paths are shown relative to."""
        return None

    def select(self, rows: StoredImages, index: Indices) -> StoredImages:
        """Return the images numbered `index`."""
        return rows.chosen(index)

    def batch_shape(self) -> tuple[int, ...]:
        """Return (C, H, W)."""
        height, width, channels = self.form.shape
        return (channels, height, width)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Make new images into what those of the run were made into."""
        before = self.form
        super().load_state_dict(state_dict)
        form = self.form
        if form != before:  # what was read before has another size
            height, width = form.size
            say(f"images are made into what the run was trained on: {height} x {width}, {form.fit}")
            self.read_again()

    @property
    def form(self) -> ImageFormat:
        """What every image is made into: as the arguments say, or the run of a checkpoint."""
        return self.encoder.form

    def augmenter(self, num_rows: int) -> Augmenter | None:
        """Return what applies `augmentation`."""
        return None if self.augmentation is None else Augmenter(self.augmentation, num_rows)


def _height_and_width(size: int | tuple[int, int]) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise InputError(
            f"image_size must be one positive number, or height and width; got {size}."
        )
    return sides


def _write_report(offenders: Sequence[tuple[str, str]]) -> str:
    """Write path and reason of each corrupt image as a CSV and say where."""
    key = xxhash.xxh3_64_hexdigest(repr(offenders).encode())
    path = cache_dir() / "images" / f"corrupt_{key}.csv"
    try:
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([("path", "reason"), *offenders])
    except OSError as error:
        return f"  the whole list cannot be written to {path} ({error.strerror})"
    return f"  the whole list is in {path}"
