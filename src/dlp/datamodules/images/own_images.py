"""Own images: a folder with a subfolder a class, or a table of paths and targets."""

import os
from pathlib import Path
from typing import ClassVar, Literal, Unpack

from dlp.datamodules.base import Examples
from dlp.datamodules.images.base import BaseImageDataModule, ImageArguments
from dlp.datamodules.images.files import ImageFiles
from dlp.datamodules.images.folders import files_of_classes, part_folders
from dlp.datamodules.splitting.groups import keys_of_table
from dlp.datamodules.tables.column_values import target_values
from dlp.datamodules.tables.files import (
    CSV_ENDINGS,
    PARQUET_ENDINGS,
    read_table,
    without_unlabelled,
)
from dlp.datamodules.tables.table_format import TableFormat
from dlp.datamodules.targets import TargetEncoder, TargetScaling, TaskArgument
from dlp.errors import InputError, MissingInputError
from dlp.table_places import absent, place, row_numbers

TABLES = (*CSV_ENDINGS, *PARQUET_ENDINGS)


class ImageFolderDataModule(BaseImageDataModule):
    """Own images of any sizes and kinds: batches are float32 (N, C, H, W) in [0, 1].

    `path` is one of:

    - a folder with a subfolder a class (``cats/1.jpg``, ``dogs/7.png``), cut by the split
      arguments;
    - a folder with the subfolders ``train`` and perhaps ``val`` and ``test`` (or ``training_set``,
      ``Valid``, ``dev``, ``testing`` ...: one line says which was taken for what), each with a
      subfolder a class: what there is of these is used as it is (with `num_folds`, train and val
      together are cut into folds);
    - a table (CSV or Parquet) with a column of paths, relative to the table's folder, and one or
      several target columns: classes, labels of 0 and 1, or values.

    Args:
        path: The labelled images.
        test_path: Another folder or table with the test part, in the form of `path`.
        test_size: Images to test on, where there is no test part: a count or a fraction.
        image_column: The table's column of paths.
        target: The table's target column, or several.
        task: What to predict, for a table: ``auto`` takes text and whole numbers from 0 as classes,
            several columns of 0 and 1 as labels, other numbers as values.
        positive_class: Of two classes, the one that recall, precision, F1, average precision and
            the threshold are of (class 1). By default the last one by the alphabet; of numbers the
            larger.
        target_scaling: Train on standardised targets; metrics and predictions keep their unit.
        drop_unlabelled: Leave out the table's rows without a target; they are counted.
        table_format: What the table's file leaves open: separator, encoding, decimal mark, day or
            month first, and cells that mean "missing".
        channels: 3 for colours, 1 for grey.
        stratify: Give every class its share in each part; null does so for folders of classes.
        group_column: The table's column of what images may have in common, such as a patient:
            those of one group stay in one part, so that sizes are kept as nearly as whole groups
            allow.
        time_column: The table's column of numbers or dates (ISO 8601): images are put in its
            order and not shuffled; the latest ones are the test part, those before them the
            validation part, and folds validate on later images than they train on.
        id_column: The table's column that says which image is which: predictions and mistakes
            carry it along.

    Example:
        >>> data = ImageFolderDataModule("flowers", image_size=(128, 192), test_size=0.2)
    """

    defaults: ClassVar[ImageArguments] = {"stratify": None}

    def __init__(
        self,
        path: str | os.PathLike[str],
        test_path: str | os.PathLike[str] | None = None,
        test_size: int | float | None = None,
        image_column: str = "image",
        target: str | list[str] | None = None,
        task: TaskArgument = "auto",
        positive_class: str | int | None = None,
        target_scaling: TargetScaling = "none",
        drop_unlabelled: bool = False,
        table_format: TableFormat | None = None,
        channels: Literal[1, 3] = 3,
        group_column: str | None = None,
        time_column: str | None = None,
        id_column: str | None = None,
        **arguments: Unpack[ImageArguments],
    ) -> None:
        self.path = Path(path)
        self._parts_words = self._table_words = ""
        self.is_table = _is_table(self.path)
        self.target_scaling = target_scaling
        self.drop_unlabelled = drop_unlabelled
        self.table_format = TableFormat.of(table_format)
        self.test_path = None if test_path is None else Path(test_path)
        self.image_column = image_column
        self.target_columns = [target] if isinstance(target, str) else list(target or ())
        if test_path is not None and test_size is not None:
            raise InputError("give test_path or test_size, not both.")
        if test_path is not None and _is_table(Path(test_path)) != self.is_table:
            raise InputError(
                f"path {path} and test_path {test_path} must both be folders of classes, or both "
                "tables."
            )
        if self.is_table and not self.target_columns:
            raise InputError(f"{path} is a table: give target, the column to predict (or several).")
        columns = {"group_column": group_column, "time_column": time_column, "id_column": id_column}
        for name, column in columns.items():
            if column is not None and not self.is_table:
                raise InputError(
                    f"{name} names a column of a table, and {path} is a folder. Leave it out, or "
                    "give a CSV of paths and targets as path."
                )
            if column is not None and column in self.target_columns:
                raise InputError(f"{column!r} is the target; it cannot be {name}.")
        if not self.is_table and self.target_columns:
            raise InputError(
                f"target names columns of a table, and {path} is a folder: its subfolders are the "
                "classes. Leave target out, or give a CSV of paths and targets as path."
            )
        if not self.is_table:
            if task not in ("auto", "classification"):
                raise InputError(
                    f"task {task} needs a table of paths and targets, and {path} is a folder: its "
                    "subfolders are the classes. Leave task out, or give a CSV as path."
                )
            task = "classification"
        self.group_column, self.time_column = group_column, time_column
        self.id_column = id_column
        if arguments.get("stratify") is None:
            arguments["stratify"] = not self.is_table
        super().__init__(
            targets=TargetEncoder(task, names=self.target_columns or None, positive=positive_class),
            channels=channels,
            test_size=test_size,
            **arguments,
        )
        self.split.check(group_column is not None, time_column is not None)

    def load_train(self) -> Examples:
        """Return the labelled images; a ``val`` folder's come last."""
        if self.is_table:
            return self._of_table(self.path, with_keys=True)
        parts, lines = part_folders(self.path)
        if not parts:
            return self.decoded(files_of_classes(self.path))
        if "test" in parts and self.split.test_size is not None:
            raise InputError(f"{self.path} has a test folder of its own: leave test_size out.")
        self._parts_words = "; ".join(lines)
        self._say_once("parts", f"{self.path}: {self._parts_words}")
        return self.decoded(files_of_classes(self.path, parts["train"], parts.get("val")))

    def load_test(self) -> Examples | None:
        """Return the images of `test_path`, or of the ``test`` folder of `path`."""
        if self.is_table:
            return None if self.test_path is None else self._of_table(self.test_path)
        path = self.test_path
        if path is None and (test := part_folders(self.path)[0].get("test")):
            path = self.path / test
        return None if path is None else self.decoded(files_of_classes(path, may_lack=True))

    def source_words(self) -> str:
        """See `BaseImageDataModule.source_words`."""
        if self.is_table:
            return self._table_words
        words = self._parts_words or "a subfolder a class"
        return f"{self.path}: {words}"

    @property
    def root(self) -> Path | None:
        """The folder of the images, or of their table."""
        return self.path.parent if self.is_table else self.path

    def _of_table(self, path: Path, with_keys: bool = False) -> Examples:
        """Return the images that a table lists."""
        texts = [self.image_column, *([self.id_column] if self.id_column else [])]
        classes = self.targets.class_columns
        table = read_table(path, self.table_format, texts=texts, classes=classes)
        self._table_words = self._table_words or table.source
        for column in (self.image_column, *self.target_columns):
            if column not in table.frame:
                what = "image_column" if column == self.image_column else "target"
                raise absent(what, column, table.frame.columns)
        if self.drop_unlabelled:
            table, count = without_unlabelled(table, self.target_columns)
            if count:
                said = f"{path}: {count:,} rows have no target and are left out"
                self._say_once(str(path), said)
        frame = table.in_memory()
        paths = frame[self.image_column]
        absent_at = [
            number
            for number, name in enumerate(paths)
            if not isinstance(name, str) or not (path.parent / name).is_file()
        ]
        if absent_at:
            raise MissingInputError(
                f"{path}: there is no image {paths.iloc[absent_at[0]]!r} "
                f"({place(paths, absent_at[0])}; {len(absent_at):,} such rows). Paths are relative "
                f"to {path.parent.resolve()}."
            )
        table.check(self.target_columns, inputs=False)
        values = target_values(frame, self.target_columns, self.targets.task)
        group_column = self.group_column if with_keys or self.group_column in frame else None
        time_column = self.time_column if with_keys else None
        groups, times, ids = keys_of_table(frame, group_column, time_column, self.id_column)
        files = ImageFiles(path.parent, tuple(paths))
        places = row_numbers(frame)
        return self.decoded(
            Examples(files, values, groups=groups, times=times, ids=ids, places=places)
        )


def _is_table(path: Path) -> bool:
    return path.is_file() or (path.name.lower().endswith(TABLES) and not path.is_dir())
