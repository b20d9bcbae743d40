"""Images of one's own: folders of classes, or a table of paths and targets."""

from pathlib import Path
from typing import Literal, cast

import numpy as np

from dlp.console import say
from dlp.datamodules.arguments import DataArguments, SplitArguments
from dlp.datamodules.base import Examples, LabelledParts, SupervisedDataModule
from dlp.datamodules.folders import find_files, part_folders, report_unused
from dlp.datamodules.images.augmentation import Augmentation, Augmenter, make_augmentation
from dlp.datamodules.images.store import (
    Images,
    ImageSources,
    StoredImages,
    decode,
    decode_for_now,
    file_states,
)
from dlp.datamodules.rows import Array, Rows
from dlp.datamodules.targets import TargetEncoder, TargetScaling, Task
from dlp.errors import InputError
from dlp.files import AnyPath
from dlp.hyperparameters import Keywords
from dlp.reader.files import CSVArguments
from dlp.reader.image import ImageEncoder as ImageEncoder
from dlp.reader.image import Resizing

_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


class ImageArguments(SplitArguments, total=False):
    """Keyword arguments of `ImageFolderDataModule` that sets of its own pass on."""

    predict_path: AnyPath | None
    image_size: int | tuple[int, int]
    augmentation: Augmentation | None
    eval_batch_size: int


class ImageFolderDataModule(SupervisedDataModule):
    """Images of any size and kind; batches are float32 (N, C, H, W) in [0, 1].

    `path` is a folder with one subfolder per class (``cats/1.jpg``, ``dogs/7.png``); a folder with
    ``train`` and perhaps ``val`` and ``test``, each with one subfolder per class; or a table with
    a column of paths relative to its folder. Labelled images are decoded once, into the cache
    folder, and images to predict into a file that is gone at the end.

    Args:
        path: Path of the labelled images.
        test_path: Path of the test images, in the form of `path`.
        predict_path: Path of the images to predict: a file, a folder, or a table.
        image_size: Height and width in pixels; one number for both.
        fit: ``squeeze`` ignores the aspect ratio, as in the book; ``crop`` cuts out the middle.
        channels: 3 for colours, 1 for grey.
        augmentation: Random changes of the training images: ``book`` as in chapter 5.2,
            ``flip``, or a transform of one uint8 image, such as those of
            ``torchvision.transforms.v2``.
        on_corrupt: Treatment of files that cannot be read; a line lists the first ten.
        image_column: Column of paths of a table.
        target: Column to predict of a table, or several.
        read_csv: Arguments of ``pandas.read_csv`` for all tables.
        drop_unlabelled: Whether rows of a table without a target are left out.
        task: Kind of target of a table; ``auto`` infers it.
        positive_class: Name of the class that becomes class 1 of two; None is the last one.
        target_scaling: Whether the head scales targets by mean and standard deviation.
        group_column: Column of groups of a table; no group is in two parts.
        time_column: Column of times of a table; parts follow each other.
        id_column: Column of a table that names the rows in predictions; None is the path.
        eval_batch_size: Number of rows per batch of validation, test and prediction.
        **split: See `SupervisedDataModule`.
    """

    encoder: ImageEncoder

    def __init__(
        self,
        path: AnyPath,
        test_path: AnyPath | None = None,
        predict_path: AnyPath | None = None,
        image_size: int | tuple[int, int] = 150,
        fit: Resizing = "squeeze",
        channels: Literal[1, 3] = 3,
        augmentation: Augmentation | None = None,
        on_corrupt: Literal["error", "skip"] = "error",
        image_column: str = "image",
        target: str | list[str] | None = None,
        read_csv: CSVArguments | None = None,
        drop_unlabelled: bool = False,
        task: Task = "auto",
        positive_class: str | None = None,
        target_scaling: TargetScaling = "none",
        group_column: str | None = None,
        time_column: str | None = None,
        id_column: str | None = None,
        eval_batch_size: int = 100,
        **split: Keywords[DataArguments],
    ) -> None:
        self.target_columns = [target] if isinstance(target, str) else list(target or ())
        self.task = task if self.target_columns else "classification"
        if isinstance(image_size, int):
            height = width = image_size
        else:
            height, width = image_size
        super().__init__(
            encoder=ImageEncoder(height, width, fit, channels),
            targets=TargetEncoder(
                self.task,
                column_names=self.target_columns or None,
                positive_class=positive_class,
                scaling=target_scaling,
            ),
            eval_batch_size=eval_batch_size,
            **split,
        )
        self.path = Path(path).expanduser()
        self.test_path = test_path
        self.predict_path = predict_path
        self.augmentation = make_augmentation(augmentation)
        self.on_corrupt = on_corrupt
        self.image_column = image_column
        self.read_csv = read_csv
        self.drop_unlabelled = drop_unlabelled
        self.roles = (id_column, group_column, time_column)
        self.save_arguments(locals())

    def load(self) -> LabelledParts:
        """Return the images of each part that the files have."""
        paths = part_folders(self.path)
        if self.test_path is not None:
            paths["test"] = Path(self.test_path).expanduser()
        return {part: self.decoded(self._labelled(path)) for part, path in paths.items()}

    def load_predict(self) -> Examples | None:
        """Return the images of `predict_path`."""
        if self.predict_path is None:
            return None
        path = Path(self.predict_path).expanduser()
        if path.is_file() and not _is_image(path):
            images = self._read_table(path, [])
        else:
            images = _named_by_path(find_images(path))
        # Not cached: the folders of regular predictions would fill the disk.
        return self._readable(images, decode_for_now(images.sources, self.encoder))

    def store(self, rows: Rows) -> StoredImages:
        """Return the images as bytes; a batch becomes floats on its device."""
        return StoredImages(cast(Images, rows))

    def augmenter(self, num_rows: int) -> Augmenter | None:
        """Return the random changes of the training images."""
        if self.augmentation is None:
            return None
        return Augmenter(self.augmentation)

    def _labelled(self, path: Path) -> ImageSources:
        """Return the files of class folders or of a table, with their targets."""
        if not path.is_dir():
            images = self._read_table(path, self.target_columns)
            if "targets" not in images.columns:
                raise InputError(
                    f"{path} is a table; give target, its column to predict, or several."
                )
            return images
        for name in (*self.target_columns, *self.roles):
            if name is not None:
                raise InputError(f"{path} is a folder without columns; leave out {name!r}.")
        files = find_class_images(path)
        classes = np.array([file.parent.name for file in files])  # of text: objects need pandas
        images = _named_by_path(files)
        return ImageSources(files, {**images.columns, "targets": classes})

    def _read_table(self, path: Path, targets: list[str]) -> ImageSources:
        """Return the files that a table names, with the targets in some of its columns."""
        # Imported here because they import pandas, which images in folders do not need.
        from dlp.datamodules.tables.conversion import convert_columns
        from dlp.datamodules.tables.files import read_table
        from dlp.datamodules.tables.rows import (
            Roles,
            check_columns,
            drop_unlabelled,
            target_values,
        )

        roles = Roles(*self.roles)
        frame = read_table(path, self.read_csv)
        check_columns(frame, [self.image_column, *targets])
        if targets:
            check_columns(frame, roles)
            converted = [roles.time]
            if self.task != "classification":
                converted += targets
            frame = convert_columns(frame, self.read_csv or {}, str(path), converted)
            if self.drop_unlabelled:
                frame = drop_unlabelled(frame, targets, str(path))
        files = [path.parent / str(file) for file in frame[self.image_column]]
        absent = [file for file in files if not file.is_file()]
        if absent:
            raise InputError(
                f"{path} names {len(absent):,} images that do not exist, such as {absent[0]}."
            )
        id_columns = {"path": frame[self.image_column].to_numpy(object)}
        cells = {"id_columns": id_columns, **roles.cells(frame)}
        if targets:
            cells["targets"] = target_values(frame[targets], self.task, self.read_csv or {})
        return ImageSources(files, cells)

    def decoded(self, images: ImageSources, key: object = None) -> Examples:
        """Decode images, cached by a key of the files; return the readable ones."""
        key = key or file_states(images.sources)
        return self._readable(images, decode(images.sources, self.encoder, key))

    def _readable(self, images: ImageSources, records: Array) -> Examples:
        """Return the images that were decoded to records, if readable; report the others."""
        hashes = records["hash"]
        pixels = Images(records["pixels"], np.arange(len(records)))
        if not hashes.all():
            self._report(images, np.flatnonzero(hashes == 0).tolist())
        examples = Examples(pixels, hashes=hashes, **images.columns)
        return examples.take(np.flatnonzero(hashes))

    def _report(self, images: ImageSources, rows: list[int]) -> None:
        """Name the images that cannot be read, the first ten with the reason."""
        reasons = []
        [paths] = images.columns["id_columns"].values()
        for row in rows[:10]:
            try:
                self.encoder.read_image(images.sources[row])
            except Exception as error:
                reasons.append(f"{paths[row]} ({error})")
        text = (
            f"{len(rows):,} of {len(images.sources):,} images cannot be read: {', '.join(reasons)}"
        )
        if self.on_corrupt == "error":
            raise InputError(
                f"{text}. Correct or remove them, or give on_corrupt: skip.",
                {"on_corrupt": "skip"},
            )
        say(f"{text}; they are left out")


def find_images(path: Path) -> list[Path]:
    """Return an image file, or all images in a folder and below it but hidden ones, sorted."""
    if path.is_file():
        return [path]
    files = find_files(path)
    images = list(filter(_is_image, files))
    if not images:
        raise InputError(f"found no image at {path} (from {Path.cwd()}).")
    report_unused(path, files, images)
    return images


def find_class_images(root: Path) -> list[Path]:
    """Return the images of the class folders; images elsewhere are refused."""
    images = find_images(root)
    classes = set(root.glob("[!.]*/")) - {root / "__MACOSX"}  # which macOS adds to archives
    others = classes ^ {file.parent for file in images}
    if others:
        raise InputError(
            f"{min(others)} is not a class folder with images. Accepted: one subfolder of {root} "
            "per class, also below train, val and test; give folders of other names as path and "
            "test_path, or a table of paths."
        )
    return images


def _named_by_path(files: list[Path]) -> ImageSources:
    paths = np.array(list(map(str, files)), object)
    return ImageSources(files, {"id_columns": {"path": paths}})


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in _ENDINGS
