"""Images of one's own: folders of classes, or a table of paths and targets."""

import os
from dataclasses import asdict, replace
from glob import glob
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dlp.console import say
from dlp.datamodules.base import DataArguments, Examples, SupervisedDataModule
from dlp.datamodules.examples import PART_NAMES
from dlp.datamodules.images.augmentation import Augmentation, Augmenter, make_augmentation
from dlp.datamodules.images.store import (
    ImageEncoder,
    ImageFormat,
    Images,
    decode,
    file_states,
    read_image,
)
from dlp.datamodules.tables.files import check_columns, read_table
from dlp.datamodules.targets import TargetEncoder, Task
from dlp.errors import InputError
from dlp.hyperparameters import Keywords, plain_arguments

ImagePath = str | os.PathLike[str]
_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


class ImageFolderDataModule(SupervisedDataModule):
    """Images of any size and kind; batches are float32 (N, C, H, W) in [0, 1].

    `path` is a folder with one subfolder per class (``cats/1.jpg``, ``dogs/7.png``); a folder with
    ``train`` and perhaps ``val`` and ``test``, each with one subfolder per class; or a table with
    a column of paths relative to its folder. Images are decoded once, into the cache folder.

    Args:
        path: Path of the labelled images.
        test_path: Path of the test images, in the form of `path`.
        predict_path: Path of the images to predict: a file, a folder, or a table.
        image_size: Height and width in pixels; one number for both.
        fit: ``squeeze`` resizes whatever the shape, as in the book; ``crop`` cuts out the middle.
        channels: 3 for colours, 1 for grey.
        augmentation: Random changes of the training images: ``book`` are those of chapter 5.2;
            ``flip``, or a transform of one uint8 image, such as those of
            ``torchvision.transforms.v2``.
        on_corrupt: Treatment of files that cannot be read; the first ten are named.
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

    def __init__(
        self,
        path: ImagePath,
        test_path: ImagePath | None = None,
        predict_path: ImagePath | None = None,
        image_size: int | tuple[int, int] = 150,
        fit: Literal["squeeze", "crop"] = "squeeze",
        channels: Literal[1, 3] = 3,
        augmentation: Augmentation | None = None,
        on_corrupt: Literal["error", "skip"] = "error",
        image_column: str = "image",
        target: str | list[str] | None = None,
        read_csv: dict[str, Any] | None = None,
        drop_unlabelled: bool = False,
        task: Task = "auto",
        positive_class: str | None = None,
        target_scaling: Literal["none", "standard"] = "none",
        group_column: str | None = None,
        time_column: str | None = None,
        id_column: str | None = None,
        eval_batch_size: int = 100,
        **split: Keywords[DataArguments],
    ) -> None:
        self.target_columns = [target] if isinstance(target, str) else list(target or ())
        self.task = task if self.target_columns else "classification"
        columns = self.target_columns or None
        super().__init__(
            encoder=ImageEncoder(),
            targets=TargetEncoder(self.task, None, columns, positive_class, scaling=target_scaling),
            eval_batch_size=eval_batch_size,
            **split,
        )
        self.path = Path(path)
        self.test_path = None if test_path is None else Path(test_path)
        self.predict_path = None if predict_path is None else Path(predict_path)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.form = ImageFormat(height, width, fit, channels)
        self.augmentation = make_augmentation(augmentation)
        self.on_corrupt, self.image_column = on_corrupt, image_column
        self.read_csv, self.drop_unlabelled = read_csv, drop_unlabelled
        self.group_column, self.time_column, self.id_column = group_column, time_column, id_column
        self.hparams.update(plain_arguments(self, locals()))

    def load(self) -> dict[str, Examples]:
        """Return the images of each part that the files have."""
        paths = {"train": self.path}
        train = self.path / "train"
        if train.is_dir() and _subfolders(train):  # else it is a class among others
            folders = {self.path / name: part for name, part in PART_NAMES.items()}
            paths = {part: folder for folder, part in folders.items() if folder.is_dir()}
        if self.test_path is not None:
            paths["test"] = self.test_path
        return {
            part: self._read_folder(path) if path.is_dir() else self._read_table(path, True)
            for part, path in paths.items()
        }

    def load_predict(self) -> Examples | None:
        """Return the images of `predict_path`."""
        path = self.predict_path
        if path is None:
            return None
        if path.is_file() and not _is_image(path):
            return self._read_table(path, False)
        files = find_images(path)
        return self.decoded(Examples(files, names={"path": list(map(str, files))}))

    def input_spec(self) -> dict[str, Any]:
        """Return the format of new images."""
        return {**super().input_spec(), **asdict(self.form)}

    def augmenter(self, num_rows: int) -> Augmenter | None:
        """Return the random changes of the training images."""
        return None if self.augmentation is None else Augmenter(self.augmentation, num_rows)

    def _read_folder(self, path: Path) -> Examples:
        columns = [*self.target_columns, self.group_column, self.time_column, self.id_column]
        if any(columns):
            raise InputError(
                f"{path} is a folder without columns; leave out {next(filter(None, columns))!r}."
            )
        files = _find_class_images(path)
        classes = np.array([file.parent.name for file in files], object)
        return self.decoded(Examples(files, classes, names={"path": list(map(str, files))}))

    def _read_table(self, path: Path, is_labelled: bool) -> Examples:
        targets = self.target_columns if is_labelled else []
        group, time, name = self.group_column, self.time_column, self.id_column
        texts = [self.image_column, group, name, *targets * (self.task == "classification")]
        frame = read_table(path, self.read_csv, [*filter(None, texts)])
        if is_labelled and not self.target_columns:
            raise InputError(f"{path} is a table; give target, its column to predict, or several.")
        check_columns(frame, [self.image_column, name, *targets, *[group, time] * is_labelled])
        if self.drop_unlabelled:
            frame = frame[frame[targets].notna().all(axis=1)]
            frame[targets] = frame[targets].convert_dtypes()  # holes made floats of whole numbers
        files = [path.parent / str(file) for file in frame[self.image_column]]
        if missing := [file for file in files if not file.is_file()]:
            raise InputError(
                f"{path} names {len(missing):,} images that do not exist, such as {missing[0]}."
            )
        values = frame[targets[0] if len(targets) == 1 else targets].to_numpy()
        examples = Examples(
            inputs=files,
            targets=values if is_labelled else None,
            index=frame.index.to_numpy(),
            names={name or "path": frame[name or self.image_column].tolist()},
            groups=frame[group].to_numpy() if group in frame else None,
            times=frame[time].to_numpy() if time in frame else None,
        )
        return self.decoded(examples)

    def decoded(self, examples: Examples, key: object = None) -> Examples:
        """Decode the images of rows, cached by a key of the files; return the readable rows."""
        records = decode(examples.inputs, self.form, key or file_states(examples.inputs))
        hashes = records["hash"]
        images = Images(records["pixels"], np.arange(len(records)))
        if not hashes.all():
            self._report(examples, np.flatnonzero(hashes == 0).tolist())
        return replace(examples, inputs=images, hashes=hashes).take(np.flatnonzero(hashes))

    def _report(self, examples: Examples, rows: list[int]) -> None:
        """Name the images that cannot be read, the first ten with the reason."""
        reasons = []
        [names] = examples.names.values()
        for row in rows[:10]:
            try:
                read_image(examples.inputs[row], self.form)
            except InputError as error:
                reasons.append(f"{names[row]} ({error})")
        text = f"{len(rows):,} of {len(examples):,} images cannot be read: {', '.join(reasons)}"
        if self.on_corrupt == "error":
            raise InputError(
                f"{text}. Correct or remove them, or give on_corrupt: skip.",
                fix={"on_corrupt": "skip"},
            )
        say(f"{text}; they are left out")


def find_images(path: Path) -> list[Path]:
    """Return an image file, or all images in a folder and below it, sorted."""
    names = glob("**", root_dir=path, recursive=True)  # noqa: PTH207  # follows links
    images = [path] if path.is_file() else sorted(filter(_is_image, map(path.joinpath, names)))
    if not images:
        raise InputError(f"found no image at {path} (from {Path.cwd()}).")
    return images


def _find_class_images(root: Path) -> list[Path]:
    images = {folder: [*filter(_is_image, _visible(folder))] for folder in _subfolders(root)}
    empty = [folder for folder in images if not images[folder]] if images else [root]
    if empty:
        raise InputError(
            f"{empty[0]} holds no images of a class. Accepted: one subfolder per class, also below "
            "train, val and test; give folders of other names as path and test_path."
        )
    files = [image for folder in images.values() for image in folder]
    if others := sorted({*filter(Path.is_file, root.rglob("[!.]*"))} - {*files}):
        say(f"{len(others):,} files in {root} are not images of a class, such as {others[0]}")
    return files


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    """Return what is in a folder, without hidden files and the folder that macOS adds."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in _ENDINGS
