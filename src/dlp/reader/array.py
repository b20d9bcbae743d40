"""Encoder of arrays."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .encoder import Array, Encoder


class ArrayEncoder(Encoder[ArrayLike]):
    """Encoder of arrays of numbers into float32 (N, ...).

    Args:
        scaling: ``standard`` subtracts the mean of each position of a row and divides by its
            standard deviation; a position that is constant in training becomes 0.
    """

    kind = "array"

    def __init__(self, scaling: Literal["none", "standard"] = "none") -> None:
        self.scaling = scaling
        #: Mean and standard deviation of each position, lists of the shape of a row.
        self.mean_: list[Any] = []
        self.std_: list[Any] = []

    def fit(self, rows: ArrayLike, targets: Array | None = None) -> None:
        """Learn the shape, and mean and standard deviation of each position."""
        array = np.asarray(rows)
        self.input_shape_ = array.shape[1:]
        self.mean_ = []
        self.std_ = []
        if self.scaling == "none":
            return
        numbers = array.astype(np.float64)
        is_constant = np.ptp(numbers, axis=0) == 0  # rounding gives a constant 0.1 a deviation
        self.mean_ = numbers.mean(axis=0).tolist()
        self.std_ = np.where(is_constant, np.inf, numbers.std(axis=0)).tolist()

    def transform(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Encode an array (N, ...) of finite numbers."""
        try:
            array = np.asarray(rows)
            if np.ma.is_masked(rows):
                raise ValueError("a cell is masked")
            if array.dtype.kind in "US":
                raise ValueError("a cell is a text")
            if array.dtype.kind == "c":
                raise ValueError("a cell is a complex number")
            if array.dtype.kind not in "biuf":
                array = array.astype(np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"a row is an array of numbers: {error}.") from error
        shape = self.input_shape_
        if shape and array.shape[1:] != tuple(shape):
            raise ValueError(f"a row has the shape {list(shape)}, not {list(array.shape[1:])}.")
        if not np.isfinite(array).all():
            raise ValueError("a row contains missing or infinite numbers.")
        if self.scaling == "standard":
            array = (array - np.array(self.mean_)) / np.array(self.std_)
        with np.errstate(over="ignore"):
            encoded = array.astype(np.float32)
        if not np.isfinite(encoded).all():
            raise ValueError("a row contains a number above 3e38.")
        return encoded
