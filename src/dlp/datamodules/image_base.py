"""What all DataModules of picture files share: decoding once, corrupt files, augmentation."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray
from torch import nn

from dlp.console import say
from dlp.datamodules.augmentation import AugmentationName, make_augmentation
from dlp.datamodules.base import Examples, SupervisedDataModule
from dlp.datamodules.corpus import sample_rows
from dlp.datamodules.picture_store import (
    Fit,
    PictureFormat,
    PictureRows,
    Pictures,
    PictureSource,
    decoded,
)
from dlp.datamodules.pictures import EXTENSIONS, is_picture_name
from dlp.datamodules.splits import Split
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError, MissingInputError
from dlp.files import atomic_path, cache_dir

OnCorrupt = Literal["raise", "skip"]

#: Pictures of a trial run.
_SAMPLE = 64


@dataclass(frozen=True)
class PictureFiles:
    """Picture files on disk.

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
        """Return name, size and time of change of each file: no file is opened for it."""
        states = [(self.root / name).stat() for name in self.files]
        return [
            (name, state.st_size, state.st_mtime_ns)
            for name, state in zip(self.files, states, strict=True)
        ]

    def __getitem__(self, number: int) -> Path:
        """Return the file of a picture."""
        return self.root / self.files[number]

    def chosen(self, rows: Sequence[int]) -> "PictureFiles":
        """Return the files numbered `rows`, in that order."""
        return PictureFiles(self.root, tuple(self.files[row] for row in rows))


def find_pictures(folder: Path) -> list[str]:
    """Return the picture files below `folder` by their names, relative to it and sorted."""
    found, others = [], 0
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if name.startswith("."):
                continue
            if is_picture_name(path):
                found.append(path.relative_to(folder).as_posix())
            else:
                others += 1
    if others:
        say(f"{folder}: {others:,} files that are no pictures by their names are left out")
    return found


class BaseImageDataModule(SupervisedDataModule):
    """Base of the DataModules of picture files: batches are float32 (N, C, H, W) in [0, 1].

    A subclass gives its labelled pictures by `labelled`. Pictures are decoded once into uint8
    pixels in the cache folder; see `dlp.datamodules.picture_store`.

    Args:
        image_size: Height and width in pixels; one number for both.
        fit: How a picture gets that size.
        channels: 3 or 1.
        augmentation: Random changes of the training pictures.
        on_corrupt: What to do about pictures that cannot be read.
        cache_gb: The most the decoded pixels may take, in gigabytes.
        predict_path: Unlabelled pictures.
        batch_size: Pictures a training batch.
        eval_batch_size: Pictures a batch of validation, test and prediction.
        split: The parts of the labelled pictures.
        targets: What the targets mean.
        drop_duplicates: Remove pictures that stand in two parts from the earlier one.
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
        batch_size: int,
        eval_batch_size: int,
        split: Split,
        targets: TargetEncoder,
        drop_duplicates: bool,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            split=split,
            targets=targets,
            drop_duplicates=drop_duplicates,
        )
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise InputError(
                f"image_size must be one positive number, or height and width; got {image_size}."
            )
        if cache_gb < 0:
            raise InputError(f"cache_gb must be 0 or more, got {cache_gb}.")
        self.form = PictureFormat((size[0], size[1]), fit, channels)
        self.augmentation = make_augmentation(augmentation)
        self.on_corrupt = on_corrupt
        self.cache_gb = cache_gb
        self.predict_path = None if predict_path is None else Path(predict_path)

    def labelled(self, source: PictureSource, targets: NDArray[Any], num_val: int = 0) -> Examples:
        """Return the pictures that can be read, with their targets.

        Args:
            source: The pictures; a spread sample of them is taken in a trial run.
            targets: Their targets, (N,) or (N, T).
            num_val: The last so many are a validation part of their own.
        """
        if self.dry_run:
            kept = sample_rows(targets, len(targets), _SAMPLE)
            num_val = int((kept >= len(targets) - num_val).sum())
            source, targets = source.chosen(kept.tolist()), targets[kept]
        pictures, good, digests = self._read(source)
        names = source.names
        return Examples(
            pictures,
            targets[good],
            digests[good],
            [names[row] for row in good],
            int((good >= len(targets) - num_val).sum()),
        )

    def load_predict(self) -> Examples | None:
        """Return the pictures of `predict_path`: a picture, or all in a folder and below it.

        Raises:
            InputError: There is no such file or folder, or no picture in it.
        """
        path = self.predict_path
        if path is None:
            return None
        if not path.exists():
            raise MissingInputError(f"there is no predict_path {path} (from {Path.cwd()}).")
        source = PictureFiles(path.parent, (path.name,))
        if path.is_dir():
            source = PictureFiles(path, tuple(find_pictures(path)))
        if not source.files:
            raise InputError(f"{path} holds no picture ({', '.join(sorted(EXTENSIONS))}).")
        if self.dry_run:
            source = source.chosen(range(min(_SAMPLE, len(source.files))))
        pictures, good, _ = self._read(source)
        names = source.names
        return Examples(pictures, names=[names[row] for row in good])

    def _read(
        self, source: PictureSource
    ) -> tuple[Pictures, NDArray[np.int64], NDArray[np.uint64]]:
        """Return the readable pictures, their numbers, and the digests of all."""
        found = decoded(source, self.form, self.cache_gb, keep=not self.dry_run)
        if found.corrupt:
            self._report(source, found.corrupt)
        good = np.setdiff1d(np.arange(len(source.names)), [*found.corrupt])
        height, width, channels = self.form.shape
        return Pictures(found.pixels, good, (channels, height, width)), good, found.digests

    def _report(self, source: PictureSource, corrupt: dict[int, str]) -> None:
        """Name every picture that cannot be read.

        Raises:
            InputError: `on_corrupt` is ``raise``, or none can be read.
        """
        names = source.names
        offenders = [(names[number], why) for number, why in sorted(corrupt.items())]
        lines = [f"  {name}: {why}" for name, why in offenders[:10]]
        if len(offenders) > 10:
            lines.append(f"  and {len(offenders) - 10:,} more")
        if not self.dry_run:
            lines.append(f"  the whole list is in {_write_report(offenders)}")
        count = f"{len(offenders):,} of {len(names):,} pictures cannot be read"
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

    def encode(self, rows: Pictures) -> PictureRows:
        """Return the pictures as batches are sliced from them."""
        return PictureRows(rows)

    def batch_shape(self) -> tuple[int, ...]:
        """Return (C, H, W)."""
        height, width, channels = self.form.shape
        return (channels, height, width)

    def inputs_state(self) -> dict[str, Any]:
        """Return what every picture is made into."""
        form = self.form
        return {"size": list(form.size), "fit": form.fit, "channels": form.channels}

    def load_inputs_state(self, state: dict[str, Any]) -> None:
        """Make new pictures into what those of the run were made into."""
        height, width = state["size"]
        self.form = PictureFormat((height, width), state["fit"], state["channels"])


def _write_report(offenders: Sequence[tuple[str, str]]) -> Path:
    """Write path and reason of each corrupt picture as a CSV and return where."""
    key = xxhash.xxh3_64_hexdigest(repr(offenders).encode())
    path = cache_dir() / "pictures" / f"corrupt_{key}.csv"
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "reason"), *offenders])
    return path
