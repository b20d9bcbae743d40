"""NumPy arrays and tensors in memory."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dlp.datamodules.arguments import DataArguments
from dlp.datamodules.base import Examples, LabelledParts, SupervisedDataModule
from dlp.datamodules.rows import Array, Indices, Rows, row_hashes
from dlp.datamodules.targets import TargetEncoder, Task
from dlp.errors import InputError
from dlp.hyperparameters import Keywords
from dlp.reader.array import ArrayEncoder as ArrayEncoder


@dataclass(frozen=True)
class ArrayRows(Rows):
    """Rows of an array (N, ...)."""

    array: Array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Indices) -> "ArrayRows":
        return ArrayRows(self.array[index])

    def describe(self) -> str:
        """Return number, shape and range of the rows."""
        shape = self.array.shape[1:]
        numbers = f"from {self.array.min():g} to {self.array.max():g}"
        return f"{len(self):,} rows of shape {shape}, {numbers}"

    def raw(self) -> Array:
        """Return the array."""
        return self.array

    def features(self) -> Array:
        """Return the numbers of each row, (N, D)."""
        return self.array.reshape(len(self), -1)


class ArrayDataModule(SupervisedDataModule):
    """Arrays in memory. Inputs become float32 with the same numbers: divide bytes of images by 255.

    Args:
        x: Inputs, (N, D) or (N, C, H, W); None to predict with a checkpoint.
        y: Targets, (N,) or (N, T).
        x_test: Inputs of the test part; None to cut one by `test_size`.
        y_test: Targets of the test part.
        x_predict: Inputs to predict.
        groups: Group of each row, (N,); no group is in two parts.
        scaling: Scaling of the inputs by mean and deviation of the training part.
        task: Kind of target; ``auto`` takes the integers 0 to C - 1 and text as classes.
        class_names: Names of the classes, if `y` contains class numbers.
        positive_class: Name of the class that becomes class 1 of two; None is the last one.
        eval_batch_size: Number of rows per batch of validation, test and prediction.
        **split: See `SupervisedDataModule`.
    """

    encoder: ArrayEncoder

    def __init__(
        self,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        x_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        x_predict: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        scaling: Literal["none", "standard"] = "none",
        task: Task = "auto",
        class_names: list[str] | None = None,
        positive_class: str | None = None,
        eval_batch_size: int = 1024,
        **split: Keywords[DataArguments],
    ) -> None:
        super().__init__(
            encoder=ArrayEncoder(scaling),
            targets=TargetEncoder(task, class_names, positive_class=positive_class),
            eval_batch_size=eval_batch_size,
            **split,
        )
        self.labelled_rows = {}
        if x is not None:
            self.labelled_rows["train"] = _examples("x", x, y, groups)
        if x_test is not None:
            self.labelled_rows["test"] = _examples("x_test", x_test, y_test)
        self.predict = None
        if x_predict is not None:
            self.predict = Examples(ArrayRows(_inputs("x_predict", x_predict)))
        arrays = dict.fromkeys(("x", "y", "x_test", "y_test", "x_predict", "groups"))
        self.save_arguments({**locals(), **arrays})

    def load(self) -> LabelledParts:
        """Return `x` and `y`, and `x_test` and `y_test` if there are any."""
        if "train" not in self.labelled_rows:
            raise InputError("ArrayDataModule needs x and y, or only x_predict to predict.")
        return self.labelled_rows

    def load_predict(self) -> Examples | None:
        """Return the inputs to predict."""
        return self.predict


def _examples(
    name: str,
    x: ArrayLike,
    y: ArrayLike | None,
    groups: ArrayLike | None = None,
) -> Examples:
    rows = _inputs(name, x)
    targets = _array(f"the target of {name}", y)
    if groups is not None:
        groups = np.asarray(groups)
    for column in (targets, groups):
        if column is not None and column.shape[:1] != (len(rows),):
            raise InputError(f"{name} has {len(rows)} rows; targets and groups are one per row.")
    if targets.ndim > 2:
        raise InputError(f"targets are (N,) or (N, T); {name} has the shape {targets.shape}.")
    hashes = row_hashes(np.ascontiguousarray(rows, np.float32))
    return Examples(ArrayRows(rows), targets, groups=groups, hashes=hashes)


def _inputs(name: str, values: ArrayLike) -> Array:
    """Return finite numbers (N, D) or (N, ...)."""
    rows = _array(name, values)
    if rows.size == 0 or rows.ndim == 0:
        raise InputError(f"{name} has no rows. Give an array; of a sparse matrix its toarray().")
    if rows.ndim == 1:
        rows = rows[:, None]
    try:
        with np.errstate(over="ignore"):
            numbers = rows.astype(np.float32).reshape(len(rows), -1)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must contain numbers ({error}); see TableDataModule.") from error
    is_finite = np.isfinite(numbers).all(axis=1)
    if not is_finite.all():
        raise InputError(f"row {is_finite.argmin()} of {name} has a missing or infinite number.")
    return rows


def _array(name: str, values: ArrayLike | None) -> Array:
    """Return an array; refuse what NumPy would drop without a word."""
    if np.ma.is_masked(values):
        raise InputError(f"{name} has masked cells; give values.filled(0), or leave rows out.")
    array = np.asarray(values)
    if array.dtype == object:  # numbers of a data frame that also contains text
        array = np.array(array.tolist())
    if array.dtype.kind in "cmM":
        raise InputError(f"{name} contains {array.dtype}; give real numbers, one per column.")
    return array
