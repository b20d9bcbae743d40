"""NumPy arrays and tensors in memory."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dlp.datamodules.base import Examples, SplitArguments, SupervisedDataModule
from dlp.datamodules.duplicates import row_hashes
from dlp.datamodules.targets import TargetEncoder, Task
from dlp.errors import InputError
from dlp.keywords import Keywords


class ArrayEncoder:
    """Encoder of arrays into float32 tensors; columns (N, D) are standardised if `scaling`."""

    def __init__(self, scaling: bool) -> None:
        self.scaling = scaling
        self.input_shape: tuple[int, ...] = ()
        self.mean: list[float] = []
        self.std: list[float] = []

    def fit(self, inputs: NDArray[Any], targets: Any = None) -> None:
        """Learn the shape, and mean and standard deviation of each column."""
        self.input_shape = inputs.shape[1:]
        if self.scaling:
            columns = inputs.astype(np.float64)
            is_constant = np.ptp(columns, axis=0) == 0
            self.mean = columns.mean(axis=0).tolist()
            self.std = np.where(is_constant, 1.0, columns.std(axis=0)).tolist()

    def transform(self, inputs: NDArray[Any]) -> Tensor:
        """Return float32 (N, ...)."""
        if self.scaling:
            inputs = (inputs.astype(np.float64) - self.mean) / self.std
        return torch.from_numpy(inputs.astype(np.float32))

    def state(self) -> dict[str, Any]:
        """Return what was learned as plain values."""
        return {**vars(self), "input_shape": [*self.input_shape]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a `state`."""
        vars(self).update(state)


class ArrayDataModule(SupervisedDataModule):
    """Arrays in memory.

    Args:
        x: Inputs, (N, D) or (N, C, H, W).
        y: Targets, (N,) or (N, T).
        x_test: Inputs of the test part; None to cut one by `test_size`.
        y_test: Targets of the test part.
        x_predict: Inputs to predict.
        scaling: Whether columns are standardised by mean and deviation of the training part.
        task: Kind of target.
        batch_size: Number of rows per training batch.
        eval_batch_size: Number of rows per other batch.
        val_size: Size of the validation part: a number of rows, a fraction, or None.
        test_size: Size of the test part, likewise.
        split_seed: Seed of the shuffle; None keeps the order.
        **split: See `SupervisedDataModule`.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        x_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        x_predict: ArrayLike | None = None,
        scaling: bool = False,
        task: Task = "auto",
        batch_size: int = 32,
        eval_batch_size: int = 1024,
        val_size: int | float | None = 0.2,
        test_size: int | float | None = None,
        split_seed: int | None = 0,
        **split: Keywords[SplitArguments],
    ) -> None:
        arguments = dict(locals())
        super().__init__(
            encoder=ArrayEncoder(scaling),
            targets=TargetEncoder(task),
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            val_size=val_size,
            test_size=test_size,
            split_seed=split_seed,
            **split,
        )
        self.arrays = {"train": (np.asarray(x), np.asarray(y))}
        if x_test is not None:
            self.arrays["test"] = (np.asarray(x_test), np.asarray(y_test))
        self.x_predict = x_predict
        self.save_plain_arguments(arguments)

    def load(self) -> dict[str, Examples]:
        """Return the given arrays."""
        return {part: _examples(x, y) for part, (x, y) in self.arrays.items()}

    def load_predict(self) -> Examples | None:
        """Return the inputs to predict."""
        return None if self.x_predict is None else Examples(np.asarray(self.x_predict))


def _examples(x: NDArray[Any], y: NDArray[Any]) -> Examples:
    if len(x) != len(y):
        raise InputError(f"x has {len(x)} rows and y has {len(y)}; give one target per row.")
    if not np.isfinite(x).all():
        raise InputError("x has missing or infinite values; fill them in.")
    return Examples(x, y, hashes=row_hashes(np.ascontiguousarray(x)))
