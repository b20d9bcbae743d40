"""DataModule for your own images, in one folder per class or in a table of paths and targets."""

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
    """Keyword arguments that DataModules for a certain data set pass on.

    `ImageFolderDataModule` documents them.
    """

    predict_path: AnyPath | None
    image_size: int | tuple[int, int]
    augmentation: Augmentation | None
    eval_batch_size: int


class ImageFolderDataModule(SupervisedDataModule):
    """Image files of any size and format. Batches are float32 (N, C, H, W) in [0, 1].

    `path` is one of these:

    - a folder with one subfolder per class (``cats/1.jpg``, ``dogs/7.png``);
    - a folder that contains ``train``, and perhaps ``val`` and ``test``, each with one subfolder
      per class;
    - a table with a column of image paths, relative to the folder of the table.

    Labelled images are decoded once and kept in the cache folder. Images to predict are decoded
    into a temporary file.

    Args:
        path: Path of the labelled images.
        test_path: Path of the test images, in one of the forms above. None uses the folder
            ``test``, or `test_size`.
        predict_path: Path of the images to predict: a file, a folder, or a table.
        image_size: Height and width in pixels, or one number for both.
        fit: How images are resized. ``squeeze`` ignores the aspect ratio, as in the book. ``crop``
            keeps it and cuts out the middle.
        channels: 3 for colour, 1 for greyscale.
        augmentation: Random changes of the training images: ``book`` as in chapter 5.2, ``flip``,
            or a function that changes one uint8 image (C, H, W), such as a transform from
            ``torchvision.transforms.v2``. None means no changes.
        on_corrupt: What happens if files cannot be read: ``error``, or ``skip`` to leave them out.
            The message lists the first ten.
        image_column: Column with the paths of the images, if `path` is a table.
        target: Column or columns to predict, if `path` is a table.
        read_csv: Arguments of ``pandas.read_csv`` for all tables.
        drop_unlabelled: Whether rows without a target are left out of a table.
        task: Kind of target in a table. ``auto`` infers it.
        positive_class: Name of the class that becomes class 1 in a problem with two classes. None
            means the last one.
        target_scaling: ``standard`` makes the head scale targets by their mean and standard
            deviation.
        group_column: Column of groups in a table, such as patients. Rows of one group are never in
            two parts.
        time_column: Column of times in a table. The parts follow one another in time.
        id_column: Column of a table that identifies the rows in predictions. None means the path.
        eval_batch_size: Number of rows per batch in validation, test and prediction.
        **split: See `SupervisedDataModule`.

    Example::

        data = ImageFolderDataModule("photos", image_size=224, fit="crop", test_size=0.2)
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
        """Return the labelled images of each part that is in the folder."""
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
        # Not cached, because the images of regular predictions would fill the disk.
        return self._readable(images, decode_for_now(images.sources, self.encoder))

    def store(self, rows: Rows) -> StoredImages:
        """Return the images as bytes. Each batch is converted to floats on its device."""
        return StoredImages(cast(Images, rows))

    def augmenter(self, num_rows: int) -> Augmenter | None:
        """Return the function that changes training images at random, or None."""
        if self.augmentation is None:
            return None
        return Augmenter(self.augmentation)

    def _labelled(self, path: Path) -> ImageSources:
        """Return the files in class folders or in a table, with their targets."""
        if not path.is_dir():
            images = self._read_table(path, self.target_columns)
            if "targets" not in images.columns:
                raise InputError(
                    f"target: expected the column or columns to predict in the table {path}, got "
                    "none. Give target."
                )
            return images
        for name in (*self.target_columns, *self.roles):
            if name is not None:
                raise InputError(
                    f"{path}: expected a table with the column {name!r}, got a folder. Leave the "
                    "column out."
                )
        files = find_class_images(path)
        # As an array of text, because an array of objects needs pandas.
        classes = np.array([file.parent.name for file in files])
        images = _named_by_path(files)
        return ImageSources(files, {**images.columns, "targets": classes})

    def _read_table(self, path: Path, targets: list[str]) -> ImageSources:
        """Return the files that are listed in a table, with the targets in the given columns."""
        # Imported here because these modules import pandas, which images in folders do not need.
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
                f"{path} lists {len(absent):,} images that do not exist, such as {absent[0]}. "
                "Paths are relative to the folder of the table."
            )
        id_columns = {"path": frame[self.image_column].to_numpy(object)}
        cells = {"id_columns": id_columns, **roles.cells(frame)}
        if targets:
            cells["targets"] = target_values(frame[targets], self.task, self.read_csv or {})
        return ImageSources(files, cells)

    def decoded(self, images: ImageSources, key: object = None) -> Examples:
        """Decode images and return those that can be read.

        Args:
            images: Images to decode.
            key: Key of the files' content, under which the result is cached. None uses the names,
                sizes and times of the files.
        """
        key = key or file_states(images.sources)
        return self._readable(images, decode(images.sources, self.encoder, key))

    def _readable(self, images: ImageSources, records: Array) -> Examples:
        """Return the images whose record is valid, and report the others."""
        hashes = records["hash"]
        pixels = Images(records["pixels"], np.arange(len(records)))
        if not hashes.all():
            self._report(images, np.flatnonzero(hashes == 0).tolist())
        examples = Examples(pixels, hashes=hashes, **images.columns)
        return examples.take(np.flatnonzero(hashes))

    def _report(self, images: ImageSources, rows: list[int]) -> None:
        """Print the number of images that cannot be read, and the first ten with the reason.

        Raises:
            InputError: If `on_corrupt` is ``error``.
        """
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
        say(f"{text}. They are left out.")


def find_images(path: Path) -> list[Path]:
    """Return an image file, or all images in a folder and its subfolders, sorted.

    Hidden files are skipped, and other files are reported.

    Raises:
        InputError: If there is no image.
    """
    if path.is_file():
        return [path]
    files = find_files(path)
    images = list(filter(_is_image, files))
    if not images:
        raise InputError(
            f"{path}: expected an image or a folder of images, found none (working directory "
            f"{Path.cwd()})."
        )
    report_unused(path, files, images)
    return images


def find_class_images(root: Path) -> list[Path]:
    """Return the images in the class folders.

    Raises:
        InputError: If an image is outside the class folders, or a class folder has no image.
    """
    images = find_images(root)
    classes = set(root.glob("[!.]*/")) - {root / "__MACOSX"}  # macOS adds it to archives
    others = classes ^ {file.parent for file in images}
    if others:
        raise InputError(
            f"{min(others)} is not a class folder with images. Accepted: one subfolder of {root} "
            "per class, also below train, val and test. If these folders have other names, give "
            "them as path and test_path, or give a table of paths."
        )
    return images


def _named_by_path(files: list[Path]) -> ImageSources:
    paths = np.array(list(map(str, files)), object)
    return ImageSources(files, {"id_columns": {"path": paths}})


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in _ENDINGS
