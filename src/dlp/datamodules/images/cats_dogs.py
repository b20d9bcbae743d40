"""Cats and dogs: 25,000 photographs, of which chapters 5.2 and 5.3 use 4,000."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlp.console import say
from dlp.datamodules.base import LabelledParts
from dlp.datamodules.images.folder import ImageArguments, ImageFolderDataModule, find_images
from dlp.datamodules.images.store import ImageSources, file_states
from dlp.datamodules.rows import Indices
from dlp.datamodules.splits import Size
from dlp.errors import downloading, reading
from dlp.files import AnyPath, atomic_path, find_data_dir, hub_commit
from dlp.hyperparameters import Keywords

if TYPE_CHECKING:
    import pyarrow as pa

#: Name of the data set on the Hugging Face Hub.
HUB = "microsoft/cats_vs_dogs"


class CatsVsDogsDataModule(ImageFolderDataModule):
    """Photographs of cats and dogs, divided as in the book.

    The first `per_class` images of each class are used, in the order of their numbers. By default,
    images 0 to 999 of each class are the training part, images 1,000 to 1,499 the validation part,
    and images 1,500 to 1,999 the test part.

    The set is read from ``<data_dir>/cats_vs_dogs``, in the layout of the Hugging Face Hub
    (``data/*.parquet``) or of Kaggle (``train/cat.0.jpg``). If it is not there, it is downloaded
    from the Hub (``microsoft/cats_vs_dogs``). Source: Elson et al. 2007, "Asirra: a CAPTCHA that
    exploits interest-aligned manual image categorization".

    Args:
        data_dir: Folder of the reference sets. None means ``DLP_DATA_DIR``, or a folder in the
            user's cache if that is not set.
        per_class: Largest number of images per class. None means all, about 12,500.
        batch_size: Number of rows per training batch.
        val_size: Number or fraction of validation rows. None means no validation.
        test_size: Number or fraction of test rows.
        split_seed: Seed of the shuffle. None keeps the book's order.
        **split: See `ImageFolderDataModule`.
    """

    def __init__(
        self,
        data_dir: AnyPath | None = None,
        per_class: int | None = 2000,
        batch_size: int = 20,
        val_size: Size = 1000,
        test_size: Size = 1000,
        split_seed: int | None = None,
        **split: Keywords[ImageArguments],
    ) -> None:
        super().__init__(
            path=find_data_dir(data_dir) / "cats_vs_dogs",
            on_corrupt="skip",  # Kaggle's set has two damaged images
            batch_size=batch_size,
            val_size=val_size,
            test_size=test_size,
            split_seed=split_seed,
            **split,
        )
        self.per_class = per_class
        self.save_arguments(locals())

    def prepare_data(self) -> None:
        """Download the set from the Hub if the folder contains it in neither layout."""
        if any(self.path.glob("data/*.parquet")) or (self.path / "train").is_dir():
            return
        import datasets

        advice = "Set DLP_DATA_DIR to the folder of the sets, or copy Kaggle's folder train to it."
        with downloading(self.path, "cats and dogs", advice):
            commit = hub_commit(HUB)
            table = datasets.load_dataset(HUB, split="train", revision=commit)
        say(f"downloaded {HUB} from the Hub, commit {commit}")
        with atomic_path(self.path / "data" / "train-00000-of-00001.parquet") as temporary:
            table.to_parquet(temporary)

    def load(self) -> LabelledParts:
        """Return the images in alternating classes, with the highest numbers first."""
        files = sorted(self.path.glob("data/*.parquet"))
        if files:
            images = _column(files, "image.path").to_pylist()
            names = [image["path"] or f"row {row}" for row, image in enumerate(images)]
            labels = np.array(_column(files, "labels").to_pylist())  # to_numpy imports pandas
            index = self._book_order(names, labels)
            sources: Sequence[Path | bytes] = _ParquetImages(files, index)
        else:
            files = find_images(self.path / "train")
            names = [file.name for file in files]
            labels = np.array([name.startswith("dog") for name in names], np.int64)
            index = self._book_order(names, labels)
            sources = [files[row] for row in index]
        columns = {
            "targets": np.array(["cat", "dog"])[labels[index]],
            "index": np.array(index),
            "id_columns": {"path": np.array(names, object)[index]},
        }
        images = ImageSources(sources, columns)
        return {"train": self.decoded(images, (file_states(files), index))}

    def _book_order(self, names: Sequence[str], labels: Indices) -> list[int]:
        """Return the rows of the images in use, in alternating classes, highest numbers first.

        A split without a shuffle takes the test part first, so it gets the highest numbers.
        """
        order = np.argsort([int(re.sub(r"\D", "", name)) for name in names], kind="stable")
        classes = []
        for label in (0, 1):
            rows = order[labels[order] == label].tolist()
            classes.append(reversed(rows[: self.per_class]))
        turns = chain.from_iterable(zip_longest(*classes))
        return [row for row in turns if row is not None]


@dataclass(frozen=True)
class _ParquetImages(Sequence[bytes]):
    """Contents of some images in Parquet files, which are only read if they are not cached."""

    files: Sequence[Path]
    indices: Sequence[int]

    @cached_property
    def _images(self) -> "pa.ChunkedArray":
        return _column(self.files, "image.bytes")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: Any) -> Any:
        return self._images[self.indices[position]]["bytes"].as_py() or b""


def _column(files: Sequence[Path], name: str) -> "pa.ChunkedArray":
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    with reading(files[0].parent, "microsoft/cats_vs_dogs (delete the folder to get it again)"):
        tables = [ParquetFile(file).read(columns=[name]) for file in files]
        return pa.concat_tables(tables)[0]
