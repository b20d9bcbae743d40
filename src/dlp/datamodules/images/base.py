"""What all DataModules of image files share: decoding once, corrupt files, augmentation."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import numpy as np
import xxhash
from numpy.typing import NDArray
from torch import nn

from dlp.console import say
from dlp.datamodules.base import Examples, SupervisedDataModule
from dlp.datamodules.examples import sample_rows
from dlp.datamodules.images.augmentation import AugmentationName, make_augmentation
from dlp.datamodules.images.decoding import EXTENSIONS, is_image_name
from dlp.datamodules.images.folders import missing
from dlp.datamodules.images.properties import Looks
from dlp.datamodules.images.store import (
    Fit,
    ImageFormat,
    ImageRows,
    ImageSource,
    StoredImages,
    decoded,
)
from dlp.datamodules.part_names import is_seen
from dlp.datamodules.reading import InputReading
from dlp.datamodules.shared_arguments import SharedArguments
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError, unknown
from dlp.files import atomic_path, cache_dir

OnCorrupt = Literal["raise", "skip"]

#: Images of a trial run.
_SAMPLE = 64


@dataclass(frozen=True)
class ImageFiles:
    """Image files on disk.

    Args:
        root: The folder that `names` are relative to.
        names: The path of each file below it.
    """

    root: Path
    files: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The path of each file."""
        return [str(self.root / name) for name in self.files]

    def stamp(self) -> object:
        """Return name, size and times of change of each file, and the content of a few.

        Raises:
            InputError: There is no such file (a link to one that is gone), or it cannot be read.
        """
        path = self.root
        try:
            states = []
            for name in self.files:
                path = self.root / name
                state = path.stat()
                states.append((name, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
            contents = []  # of an unpacked archive all times may be equal, and sizes too
            for name in self.files[:: max(1, len(self.files) // 3)]:
                path = self.root / name
                contents.append(xxhash.xxh3_64_hexdigest(path.read_bytes()))
        except OSError as error:
            raise InputError(f"cannot read the image {path}: {error.strerror}.") from error
        return states, contents

    def __getitem__(self, number: int) -> Path:
        """Return the file of an image."""
        return self.root / self.files[number]

    def chosen(self, rows: Sequence[int]) -> "ImageFiles":
        """Return the files numbered `rows`, in that order."""
        return ImageFiles(self.root, tuple(self.files[row] for row in rows))


def find_images(root: Path, folders: Sequence[str] = ("",)) -> list[list[str]]:
    """Return the image files below each of the folders of `root`, by names relative to it.

    They come sorted. Links are followed, hidden files and folders left out. What is no image by
    its name is left out too, and counted by endings in one printed line.
    """
    found: list[list[str]] = []
    others: Counter[str] = Counter()
    for folder in folders:
        images = []
        parents = {str(root / folder): {(root / folder).resolve()}}  # true places of all above
        for parent, inner, files in os.walk(root / folder, followlinks=True):
            above = parents.pop(parent)
            inner[:] = sorted(filter(is_seen, inner))
            for name in list(inner):
                path = Path(parent, name)
                if path.resolve() in above:  # a link to a folder that it stands in
                    inner.remove(name)
                parents[str(path)] = above | {path.resolve()}
            for name in sorted(name for name in files if not name.startswith(".")):
                if is_image_name(name):
                    images.append(Path(parent, name).relative_to(root / folder).as_posix())
                else:
                    others[Path(name).suffix.lower() or "without an ending"] += 1
        found.append(images)
    if others:
        kinds = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(6))
        say(f"{root}: files that are no images by their names, left out: {kinds}")
    return found


class BaseImageDataModule(SupervisedDataModule):
    """Base of the DataModules of image files: batches are float32 (N, C, H, W) in [0, 1].

    A subclass gives its labelled images by `labelled`. Images are decoded once into uint8
    pixels in the cache folder; see `dlp.datamodules.images.store`.

    Args:
        image_size: Height and width in pixels; one number for both.
        fit: How an image gets that size.
        channels: 3 or 1.
        augmentation: Random changes of the training images.
        on_corrupt: What to do about images that cannot be read.
        cache_gb: The most the decoded pixels may take, in gigabytes.
        predict_path: Unlabelled images.
        targets: What the targets mean.
        test_size: See `SupervisedDataModule`, as the other arguments.
    """

    def __init__(
        self,
        *,
        image_size: int | tuple[int, int],
        fit: Fit,
        channels: Literal[1, 3],
        augmentation: AugmentationName | nn.Module | None,
        on_corrupt: OnCorrupt,
        cache_gb: float,
        predict_path: str | os.PathLike[str] | None,
        targets: TargetEncoder,
        test_size: int | float | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        super().__init__(targets=targets, test_size=test_size, **shared)
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise InputError(
                f"image_size must be one positive number, or height and width; got {image_size}."
            )
        if cache_gb < 0:
            raise InputError(f"cache_gb must be 0 or more, got {cache_gb}.")
        for name, given, accepted in (
            ("fit", fit, get_args(Fit)),
            ("channels", channels, (1, 3)),
            ("on_corrupt", on_corrupt, get_args(OnCorrupt)),
        ):
            if given not in accepted:
                raise unknown(name, str(given), map(str, accepted))
        self.form = self._given_form = ImageFormat((size[0], size[1]), fit, channels)
        self.augmentation = make_augmentation(augmentation)
        self.on_corrupt = on_corrupt
        self.cache_gb = cache_gb
        self.predict_path = None if predict_path is None else Path(predict_path)
        self._looks: dict[str, tuple[Looks, int]] = {}  # first image -> those read with it

    def labelled(
        self,
        source: ImageSource,
        targets: NDArray[Any],
        num_val: int = 0,
        groups: NDArray[Any] | None = None,
        times: NDArray[Any] | None = None,
        ids: NDArray[Any] | None = None,
        places: NDArray[np.int64] | None = None,
    ) -> Examples:
        """Return the images that can be read, with their targets.

        Args:
            source: The images; a spread sample of them is taken in a trial run.
            targets: Their targets, (N,) or (N, T).
            num_val: The last so many are a validation part of their own.
            groups: The group of each, (N,).
            times: The time of each, (N,).
            ids: What a person knows each by, (N,).
            places: The number of each in the table it was read from, (N,); None for their order.

        Raises:
            InputError: An image cannot be read, and `on_corrupt` is ``raise``; or none can be.
        """
        places = np.arange(len(targets)) if places is None else places
        keys: tuple[NDArray[Any] | None, ...] = (groups, times, ids, places)
        if self.dry_run:
            classes = len(np.unique(targets)) if targets.dtype.kind in "OUib" else 0
            kept = sample_rows(targets, len(targets), max(_SAMPLE, classes))
            num_val = int((kept >= len(targets) - num_val).sum())
            source, targets = source.chosen(kept.tolist()), targets[kept]
            keys = tuple(None if key is None else key[kept] for key in keys)
        images, good, digests = self._read(source)
        names = source.names
        self._looks[names[0]] = Looks.of(names, self._read_looks, good), len(names) - len(good)
        left = int((good >= len(targets) - num_val).sum())
        if num_val and not left:
            raise InputError("none of the images of the validation part can be read.")
        groups, times, ids, places = (None if key is None else key[good] for key in keys)
        shown = [names[row] for row in good]
        return Examples(
            *(images, targets[good], digests[good], shown, left),
            groups=groups,
            times=times,
            places=places,
            ids=ids,
        )

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
        source = ImageFiles(path.parent, (path.name,))
        if path.is_dir():
            source = ImageFiles(path, tuple(find_images(path)[0]))
        if not source.files:
            raise InputError(f"{path} holds no image ({', '.join(sorted(EXTENSIONS))}).")
        if self.dry_run:
            source = source.chosen(range(min(_SAMPLE, len(source.files))))
        images, good, _ = self._read(source)
        names = source.names
        return Examples(images, names=[names[row] for row in good], places=good)

    def _read(
        self, source: ImageSource
    ) -> tuple[StoredImages, NDArray[np.int64], NDArray[np.uint64]]:
        """Return the readable images, their numbers, and the digests of all."""
        found = decoded(source, self.form, self.cache_gb, keep=not self.dry_run)
        if found.corrupt:
            self._report(source, found.corrupt)
        good = np.setdiff1d(np.arange(len(source.names)), [*found.corrupt])
        self._read_looks = found.looks
        height, width, channels = self.form.shape
        return StoredImages(found.pixels, good, (channels, height, width)), good, found.digests

    def _report(self, source: ImageSource, corrupt: dict[int, str]) -> None:
        """Name every image that cannot be read.

        Raises:
            InputError: `on_corrupt` is ``raise``, or none can be read.
        """
        names = source.names
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
            raise InputError(
                "\n".join(
                    [
                        f"{count}. Mend or remove them, or leave them out by on_corrupt: skip:",
                        *lines,
                    ]
                )
            )
        say("\n".join([f"{count} and are left out:", *lines]))

    def read_input(self) -> InputReading:
        """Return sizes and modes of the images, and those that are unlike the others."""
        height, width = self.form.size
        kind = "colours" if self.form.channels == 3 else "grey"
        found = list(self._looks.values())
        looks = Looks(
            [name for one, _ in found for name in one.names],
            np.concatenate([one.table for one, _ in found]),
        )
        unread = sum(count for _, count in found)
        facts = (
            ("images", f"{len(looks.names):,}" + f", {unread:,} unreadable" * bool(unread)),
            *looks.facts(),
            ("made into", f"{height} x {width}, {self.form.fit}, {kind}"),
        )
        return InputReading(self.source_words(), facts=facts, notes=looks.notes(self.root))

    def source_words(self) -> str:
        """Return what was read and how, in words."""
        return type(self).__name__

    @property
    def root(self) -> Path | None:
        """The folder that paths are shown relative to."""
        return None

    def encode(self, rows: StoredImages) -> ImageRows:
        """Return the images as batches are sliced from them."""
        return ImageRows(rows)

    def batch_shape(self) -> tuple[int, ...]:
        """Return (C, H, W)."""
        height, width, channels = self.form.shape
        return (channels, height, width)

    def inputs_state(self) -> dict[str, Any]:
        """Return what every image is made into."""
        form = self.form
        return {"size": list(form.size), "fit": form.fit, "channels": form.channels}

    def load_inputs_state(self, state: dict[str, Any]) -> None:
        """Make new images into what those of the run were made into."""
        height, width = state["size"]
        form = ImageFormat((height, width), state["fit"], state["channels"])
        if form != self.form:  # what was read before has another size
            say(f"images are made into what the run was trained on: {height} x {width}, {form.fit}")
            self._labelled = self._test = self._parts = None
        self.form = form

    def forget_inputs(self) -> None:
        """Make images into what the arguments say."""
        self.form = self._given_form


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
