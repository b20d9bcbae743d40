"""DataModule for NumPy arrays and tensors in memory."""

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
    """Rows of an array (N, ...).

    Args:
        array: The array.
    """

    array: Array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Indices) -> "ArrayRows":
        return ArrayRows(self.array[index])

    def describe(self) -> str:
        """Return the number of rows, their shape and the range of their values."""
        shape = self.array.shape[1:]
        numbers = f"from {self.array.min():g} to {self.array.max():g}"
        return f"{len(self):,} rows of shape {shape}, {numbers}"

    def raw(self) -> Array:
        """Return the array."""
        return self.array

    def features(self) -> Array:
        """Return the values of each row, flattened, (N, D)."""
        return self.array.reshape(len(self), -1)


class ArrayDataModule(SupervisedDataModule):
    """Arrays in memory.

    Inputs are converted to float32 and otherwise unchanged, so images of bytes must be divided by
    255 first.

    Args:
        x: Inputs, (N, D) or (N, C, H, W). None if the data is only used to predict with a
            checkpoint.
        y: Targets, (N,) or (N, T).
        x_test: Inputs of the test part. If None, `test_size` takes a test part from `x`.
        y_test: Targets of the test part.
        x_predict: Inputs to predict.
        groups: Group of each row, (N,). Rows of one group are never in two parts.
        scaling: ``standard`` subtracts the mean of each column in the training part and divides by
            its standard deviation. ``none`` leaves the inputs unchanged.
        task: Kind of target. ``auto`` treats text and the integers 0 to C - 1 as classes; see
            `TargetEncoder` for all rules.
        class_names: Names of the classes, if `y` contains class numbers.
        positive_class: Name of the class that becomes class 1 in a problem with two classes. None
            means the last one.
        eval_batch_size: Number of rows per batch in validation, test and prediction.
        **split: See `SupervisedDataModule`.

    Raises:
        InputError: If an array has no rows, another number of rows than its targets, or values that
            are not finite numbers.

    Example::

        data = ArrayDataModule(x, y, val_size=0.2, test_size=0.2, scaling="standard")
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
        """Return `x` with `y`, and `x_test` with `y_test` if given."""
        if "train" not in self.labelled_rows:
            raise InputError(
                "ArrayDataModule: expected x and y, got neither. Give them, or use the data only "
                "to predict."
            )
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
            raise InputError(
                f"{name}: expected one target and one group for each of the {len(rows)} rows, got "
                f"an array of shape {column.shape}."
            )
    if targets.ndim > 2:
        raise InputError(
            f"the target of {name}: expected shape (N,) or (N, T), got {targets.shape}."
        )
    hashes = row_hashes(np.ascontiguousarray(rows, np.float32))
    return Examples(ArrayRows(rows), targets, groups=groups, hashes=hashes)


def _inputs(name: str, values: ArrayLike) -> Array:
    """Return inputs as an array (N, ...) with at least two dimensions, after checking them."""
    rows = _array(name, values)
    if rows.size == 0 or rows.ndim == 0:
        raise InputError(
            f"{name}: expected an array with rows, got shape {rows.shape}. Convert a sparse matrix "
            "with its method toarray()."
        )
    if rows.ndim == 1:
        rows = rows[:, None]
    try:
        with np.errstate(over="ignore"):
            numbers = rows.astype(np.float32).reshape(len(rows), -1)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: expected numbers ({error}). Use TableDataModule for columns of text."
        ) from error
    is_finite = np.isfinite(numbers).all(axis=1)
    if not is_finite.all():
        raise InputError(
            f"row {is_finite.argmin()} of {name} has a missing or infinite number. Correct it, or "
            "leave the row out."
        )
    return rows


def _array(name: str, values: ArrayLike | None) -> Array:
    """Return an array. Refuse masks, complex numbers and dates, which NumPy silently drops."""
    if np.ma.is_masked(values):
        raise InputError(
            f"{name}: expected an array without masked cells. Use values.filled(0), or leave rows "
            "with masked cells out."
        )
    array = np.asarray(values)
    if array.dtype == object:  # such as numbers from a data frame that also contains text
        array = np.array(array.tolist())
    if array.dtype.kind in "cmM":
        raise InputError(
            f"{name}: expected real numbers, got {array.dtype}. Convert it to columns of numbers."
        )
    return array
