"""Cats and dogs: 25,000 photographs, of which sections 5.2 and 5.3 use 4,000."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.base import Examples
from dlp.datamodules.images.base import BaseImageDataModule, ImageArguments
from dlp.datamodules.images.files import ImageFiles
from dlp.datamodules.images.on_all_cores import ImageSource
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError
from dlp.files import data_dir as reference_folder

HUB_NAME = "microsoft/cats_vs_dogs"
CLASS_NAMES = ["cat", "dog"]


@dataclass(frozen=True)
class ImageTable:
    """Images in Parquet files as the Hub has them: a column `image` of bytes and path.

    Args:
        files: The Parquet files, in order.
        rows: The rows of these images, counted through all files.
        names: What each image is called.
    """

    files: tuple[Path, ...]
    rows: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def stamp(self) -> object:
        """Return the rows, and name, size and time of change of the files."""
        states = [(file.name, file.stat()) for file in self.files]
        return self.rows, [(name, state.st_size, state.st_mtime_ns) for name, state in states]

    def __getitem__(self, number: int) -> bytes:
        """Return the bytes of an image."""
        content = self._images[self.rows[number]]["bytes"].as_py()
        return b"" if content is None else content

    def chosen(self, rows: Sequence[int]) -> "ImageTable":
        """Return the images numbered `rows`, in that order."""
        return ImageTable(
            self.files,
            tuple(self.rows[row] for row in rows),
            tuple(self.names[row] for row in rows),
        )

    @cached_property
    def _images(self) -> Any:
        readers = [pq.ParquetFile(file, memory_map=True) for file in self.files]
        tables = [reader.read(columns=["image.bytes"]) for reader in readers]
        return pa.concat_tables(tables).column("image")


class CatsVsDogsDataModule(BaseImageDataModule):
    """The photographs of sections 5.2 and 5.3, in the book's parts.

    Of each class the first `per_class` images are used, in the order of their numbers, and cut
    from their end: with the defaults, images 0 to 999 of each class train, 1,000 to 1,499
    validate, 1,500 to 1,999 test.

    The set comes from the Hub (``microsoft/cats_vs_dogs``), or lies in
    ``<data_dir>/cats_vs_dogs`` in any of three layouts: the Hub's (``data/*.parquet``), Kaggle's
    (``train/cat.0.jpg``) or Microsoft's (``PetImages/Cat/0.jpg``). Asirra; Elson et al. 2007,
    "Asirra: a CAPTCHA that exploits interest-aligned manual image categorization".

    Args:
        data_dir: Folder of the reference sets; default DLP_DATA_DIR, else one per user.
        per_class: Use only the first so many images of each class; null takes all (some 12,500).
        test_size: Images to test on: a count, or a fraction of all (the second edition: 2,000 of
            per_class 2,500).
        split_seed: Shuffle before any cut; null keeps the book's order: the first rows validate.
    """

    own_data = False
    defaults: ClassVar[ImageArguments] = {
        "on_corrupt": "skip",
        "batch_size": 20,
        "val_size": 1000,
        "split_seed": None,
    }

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        per_class: int | None = 2000,
        test_size: int | float | None = 1000,
        **arguments: Unpack[ImageArguments],
    ) -> None:
        super().__init__(
            targets=TargetEncoder("classification", CLASS_NAMES),
            test_size=test_size,
            **arguments,
        )
        if per_class is not None and per_class < 1:
            raise InputError(f"per_class must be at least 1, or null for all; got {per_class}.")
        self.per_class = per_class
        self.data_dir = reference_folder(data_dir)

    def prepare_data(self) -> None:
        """Download the set from the Hub, where it is in none of the three layouts.

        Raises:
            InputError: The Hub cannot be reached, or the folder cannot be written to.
        """
        if self._layout() is None:
            self._download()
        if self._layout() is None:
            raise InputError(
                f"{HUB_NAME} on the Hub no longer has data/*.parquet: what came is in "
                f"{self.data_dir / 'cats_vs_dogs'}."
            )

    def load_train(self) -> Examples:
        """Return the images of both classes by turns, the last numbers first."""
        source, labels = self._images()
        numbers = _numbers(source.names)
        by_class = []
        for label, name in enumerate(CLASS_NAMES):
            rows = np.flatnonzero(labels == label)
            rows = rows[np.argsort(numbers[rows], kind="stable")][: self.per_class]
            short = self.per_class is not None and len(rows) < self.per_class
            if short and not self.dry_run:
                raise InputError(
                    f"per_class is {self.per_class}, and there are {len(rows)} images of a "
                    f"{name}. Give a smaller per_class, or null for all."
                )
            by_class.append(rows[::-1])
        ranks = np.concatenate([np.arange(len(rows)) for rows in by_class])
        order = np.concatenate(by_class)[np.argsort(ranks, kind="stable")]
        return self.decoded(Examples(source.chosen(order.tolist()), labels[order]))

    def _layout(self) -> tuple[Literal["hub", "kaggle", "petimages"], Path] | None:
        """Return which layout there is, and its folder."""
        for home in (self.data_dir / "cats_vs_dogs", self.data_dir):
            if _is_whole(home / "data"):
                return "hub", home / "data"
            if next((home / "train").glob("cat.*.jpg"), None):
                return "kaggle", home / "train"
            if (home / "PetImages" / "Cat").is_dir():
                return "petimages", home / "PetImages"
        return None

    def _images(self) -> tuple[ImageSource, NDArray[np.int64]]:
        """Return all images of the set and their labels."""
        found = self._layout()
        assert found is not None
        layout, folder = found
        if layout == "hub":
            return _table(sorted(folder.glob("*.parquet")))
        files, labels = [], []
        for label, name in enumerate(CLASS_NAMES):
            pattern = f"{name}.*.jpg" if layout == "kaggle" else f"{name.capitalize()}/*.jpg"
            paths = (path for path in folder.glob(pattern) if not path.name.startswith("."))
            names = sorted(path.relative_to(folder).as_posix() for path in paths)
            files += names
            labels += [label] * len(names)
        return ImageFiles(folder, tuple(files)), np.array(labels)

    def _download(self) -> None:
        from huggingface_hub import snapshot_download

        home = self.data_dir / "cats_vs_dogs"
        say(f"downloading {HUB_NAME} from the Hub to {home}")
        try:
            snapshot_download(
                HUB_NAME, repo_type="dataset", allow_patterns="data/*.parquet", local_dir=home
            )
        except Exception as error:  # Hub, network and disk: each in its way
            raise InputError(
                f"the cats and dogs are not in {home} and {HUB_NAME} could not be downloaded from "
                f"the Hub ({type(error).__name__}: {error}). On a machine with network, download "
                f"it there; or put Kaggle's train folder (train/cat.0.jpg ...) or Microsoft's "
                f"PetImages folder into {home}."
            ) from error


def _is_whole(folder: Path) -> bool:
    """Return whether all Parquet files of a set are there (train-00000-of-00002.parquet ...)."""
    names = [path.name for path in folder.glob("*.parquet")]
    of = re.fullmatch(r".*-of-(\d+)\.parquet", max(names, default=""))
    return len(names) >= (int(of[1]) if of else 1)


def _table(files: Sequence[Path]) -> tuple[ImageTable, NDArray[np.int64]]:
    """Return the images of the Hub's Parquet files, and their labels."""
    names, labels = [], []
    for file in files:
        try:
            table = pq.ParquetFile(file).read(columns=["image.path", "labels"])
            paths = [image["path"] for image in table.column("image").to_pylist()]
            labels.append(table.column("labels").to_numpy())
        except (pa.ArrowInvalid, KeyError, OSError) as error:
            raise InputError(
                f"{file} is damaged or not of {HUB_NAME} ({error}). Remove it, and it is "
                "downloaded again."
            ) from error
        names += [path or f"{file.name} row {row}" for row, path in enumerate(paths)]
    rows = tuple(range(len(names)))
    return ImageTable(tuple(files), rows, tuple(names)), np.concatenate(labels)


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the number in each file name (cat.17.jpg); what has none comes last."""
    found = [re.fullmatch(r"\D*(\d+)\.\w+", Path(name).name) for name in names]
    return np.array([int(match[1]) if match else np.iinfo(np.int64).max for match in found])
