"""NumPy arrays and tensors in memory: the first step of someone who comes from Keras."""

from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dlp.datamodules.base import Examples, SharedArguments, SupervisedDataModule
from dlp.datamodules.labelled_data import Readable
from dlp.datamodules.learned import Encoder
from dlp.datamodules.splitting.groups import as_column, group_values, time_values
from dlp.datamodules.splitting.leakage import row_hashes
from dlp.datamodules.standardising import mean_and_deviation
from dlp.datamodules.targets import TargetEncoder, TaskArgument
from dlp.errors import InputError


class ArrayEncoder(Encoder):
    """Makes float32 tensors of arrays: uint8 is divided by 255, features are perhaps standardised.

    Args:
        scaling: ``standard`` by mean and population standard deviation of each feature of the
            training part; a constant one is only centred.
    """

    def __init__(self, scaling: Literal["standard", "none"]) -> None:
        self.scaling = scaling
        self.uint8 = False
        self._mean: NDArray[np.float32] | None = None
        self._std: NDArray[np.float32] | None = None

    def fit(self, rows: NDArray[Any], targets: NDArray[Any] | None = None) -> None:
        """Learn mean and standard deviation of each feature, if they scale."""
        self.uint8 = rows.dtype == np.uint8
        if self.scaling == "standard":
            mean, std = mean_and_deviation(_float32(rows))
            self._mean, self._std = mean.astype(np.float32), std.astype(np.float32)

    def transform(self, rows: NDArray[Any]) -> Tensor:
        """Return float32 (N, ...)."""
        numbers = _float32(rows)
        if self._mean is not None and self._std is not None:
            numbers = (numbers - self._mean) / self._std
        return torch.from_numpy(np.ascontiguousarray(numbers))

    def state(self) -> dict[str, Any]:
        """Return the statistics as lists, and whether images were divided by 255."""
        kind = {"uint8": self.uint8}
        if self._mean is None or self._std is None:
            return kind
        return {**kind, "mean": self._mean.tolist(), "std": self._std.tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the statistics."""
        self.uint8 = state.get("uint8", False)  # older checkpoints do not say
        if "mean" in state:
            self._mean = np.array(state["mean"], np.float32)
            self._std = np.array(state["std"], np.float32)


class ArrayDataModule(SupervisedDataModule):
    """Arrays in memory, trained on as they are.

    Inputs become float32; uint8 (images) is divided by 255. Targets that are whole numbers 0 to
    C - 1 or text are classes, several columns of 0 and 1 are labels, other numbers are values (see
    `task`).

    Args:
        x: Inputs, (N, D) or images (N, C, H, W); NumPy, tensor or nested lists.
        y: Targets, (N,) or (N, T).
        x_test: Inputs of a test part of its own.
        y_test: Its targets.
        x_predict: Unlabelled inputs to predict; None predicts the test part.
        test_size: Rows to test on, where `x_test` is not given: a count or a fraction.
        task: What the targets are; ``auto`` looks at them.
        class_names: Names of the classes, where `y` holds class numbers.
        positive_class: Of two classes, the one that recall, precision, F1, average precision and
            the threshold are of (class 1). By default the last one: of texts by the alphabet, of
            numbers the larger, of `class_names` the second.
        scaling: Of the inputs, by feature (a position of the row), from the training part.
        groups: What rows may have in common, such as a patient, (N,): rows of one group stay in one
            part, so that sizes are kept as nearly as whole groups allow.
        times: Numbers or dates, (N,): rows are put in their order and not shuffled; the latest ones
            are the test part, those before them the validation part, and folds validate on later
            rows than they train on.

    Example:
        >>> data = ArrayDataModule(x, y, x_test=x_test, y_test=y_test, val_size=0.2)
    """

    encoder: ArrayEncoder
    test_advice = "Give x_test and y_test, or test_size."

    data_arguments = frozenset({"x", "y", "x_test", "y_test", "x_predict", "groups", "times"})

    def __init__(
        self,
        x: ArrayLike | Tensor | None = None,
        y: ArrayLike | Tensor | None = None,
        x_test: ArrayLike | Tensor | None = None,
        y_test: ArrayLike | Tensor | None = None,
        x_predict: ArrayLike | Tensor | None = None,
        test_size: int | float | None = None,
        task: TaskArgument = "auto",
        class_names: list[str] | None = None,
        positive_class: str | int | None = None,
        scaling: Literal["standard", "none"] = "none",
        groups: ArrayLike | Tensor | None = None,
        times: ArrayLike | Tensor | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        super().__init__(
            targets=TargetEncoder(task, class_names, positive=positive_class),
            encoder=ArrayEncoder(scaling),
            test_size=test_size,
            **shared,
        )
        if (x is None) != (y is None) or (x is None and x_predict is None):
            raise InputError("give x and y; to predict with what a run has learned, x_predict.")
        self.x = np.zeros((0,)) if x is None else _array("x", x)
        self.y = np.zeros((0,)) if y is None else _array("y", y)
        self.x_test = None if x_test is None else _array("x_test", x_test)
        self.y_test = None if y_test is None else _array("y_test", y_test)
        self.x_predict = None if x_predict is None else _array("x_predict", x_predict)
        self.scaling = scaling
        self.split.check(groups is not None, times is not None)
        if x is not None:
            self._check()
        self._groups: NDArray[Any] | None = None
        self._times: NDArray[Any] | None = None
        if groups is not None:
            self._groups = group_values(as_column("groups", _array("groups", groups), len(self.y)))
        if times is not None:
            self._times = time_values(as_column("times", _array("times", times), len(self.y)))
        for name, array in (("x", self.x), ("x_test", self.x_test), ("x_predict", self.x_predict)):
            if array is not None and x is not None:
                _check_inputs(name, array, self.x)

    def _check(self) -> None:
        if (self.x_test is None) != (self.y_test is None):
            raise InputError("x_test and y_test go together: give both, or test_size.")
        if self.x_test is not None and self.split.test_size is not None:
            raise InputError("give x_test and y_test, or test_size, not both.")
        pairs = [("x", self.x, "y", self.y), ("x_test", self.x_test, "y_test", self.y_test)]
        for x_name, x, y_name, y in pairs:
            if x is None or y is None:
                continue
            if not len(x):
                raise InputError(f"{x_name} has no row.")
            if len(x) != len(y):
                raise InputError(f"{x_name} has {len(x)} rows and {y_name} has {len(y)}.")

    def load_train(self) -> Examples:
        """Return `x` and `y`, with groups and times.

        Raises:
            InputError: They were not given.
        """
        if not len(self.x):
            raise InputError("ArrayDataModule has no x and y to learn from: give both.")
        hashes = row_hashes(_float32(self.x))
        return Examples(self.x, self.y, hashes, groups=self._groups, times=self._times)

    def load_test(self) -> Examples | None:
        """Return `x_test` and `y_test`."""
        if self.x_test is None or self.y_test is None:
            return None
        return Examples(self.x_test, self.y_test, row_hashes(_float32(self.x_test)))

    def load_predict(self) -> Examples | None:
        """Return `x_predict`.

        Raises:
            InputError: Its rows are not as those of the run that it is to be predicted by.
        """
        if self.x_predict is None:
            return None
        if not len(self.x):
            shape, was_uint8 = self.x_predict.shape[1:] or (1,), self.encoder.uint8
            if shape != self.input_shape or (self.x_predict.dtype == np.uint8) != was_uint8:
                raise InputError(
                    f"a row of x_predict is {self.x_predict.dtype} of shape {shape}; the run was "
                    f"trained on {'uint8' if was_uint8 else 'numbers'} of {self.input_shape}."
                )
        return Examples(self.x_predict)

    def readable(self, rows: NDArray[Any]) -> Readable:
        """Return the rows before scaling: images, else a table of numbers."""
        numbers = torch.from_numpy(_float32(rows))
        if numbers.ndim == 3 and rows.dtype == np.uint8:  # images (N, H, W) for a dense net
            numbers = numbers.unsqueeze(1)
        if numbers.ndim == 4 and numbers.shape[1] in (1, 3):
            low, high = numbers.min().clamp(max=0), numbers.max().clamp(min=1)
            return (numbers - low) / (high - low)
        return pd.DataFrame(numbers.reshape(len(numbers), -1).numpy())


def _array(name: str, values: ArrayLike | Tensor) -> NDArray[Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(
            f"{name} is ragged: every row must have the same shape ({error})."
        ) from error
    if not array.ndim:
        raise InputError(f"{name} is {values!r}; it must hold rows.")
    return array


def _check_inputs(name: str, rows: NDArray[Any], x: NDArray[Any]) -> None:
    """Check an array of inputs against `x`, before anything is split: row numbers are its own."""
    if rows.dtype.kind not in "biuf":
        raise InputError(
            f"{name} is {rows.dtype}; accepted: numbers. For columns of text use TableDataModule, "
            "for texts TextDataModule."
        )
    if rows.shape[1:] != x.shape[1:]:
        raise InputError(f"a row of {name} has shape {rows.shape[1:]}, one of x {x.shape[1:]}.")
    if (rows.dtype == np.uint8) != (x.dtype == np.uint8):
        raise InputError(
            f"x is {x.dtype} and {name} {rows.dtype}, but uint8 alone is divided by 255: give both "
            "the same type."
        )
    if rows.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what float32 cannot hold counts as infinite
            bad = ~np.isfinite(rows.astype(np.float32)).reshape(len(rows), -1).all(axis=1)
        if bad.any():
            raise InputError(
                f"row {int(bad.argmax())} of {name} (counted from 0) holds a missing or infinite "
                f"number ({int(bad.sum()):,} such rows)."
            )


def _float32(rows: NDArray[Any]) -> NDArray[np.float32]:
    numbers = rows.astype(np.float32)
    if rows.dtype == np.uint8:
        numbers /= 255
    return numbers.reshape(-1, 1) if numbers.ndim == 1 else numbers
