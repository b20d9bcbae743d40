"""What a kind of data must say for itself: how rows are read, fitted and made into tensors."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlp.datamodules.examples import Examples
from dlp.datamodules.learned import Encoder
from dlp.datamodules.loader import Augment, Rows
from dlp.datamodules.reading import InputReading
from dlp.datamodules.splitting.pairs import Indices

if TYPE_CHECKING:
    import pandas as pd

#: Rows for a person: images (n, 1 or 3, H, W) in [0, 1], the words of texts, or a table.
Readable: TypeAlias = Union[Tensor, list[str], "pd.DataFrame"]


class RowSource(ABC):
    """What a subclass of `SupervisedDataModule` provides."""

    #: Makes tensors of rows; of the current split.
    encoder: Encoder

    @abstractmethod
    def load_train(self) -> Examples:
        """Return the labelled rows that are not a test part of their own, in the set's order."""

    def load_test(self) -> Examples | None:
        """Return the set's own test part; None where it has none."""
        return None

    def load_predict(self) -> Examples | None:
        """Return the unlabelled rows to predict; None to predict the test part."""
        return None

    def fit_inputs(self, rows: Any, targets: NDArray[Any]) -> None:
        """Let the encoder learn from the rows of the training part and their targets."""
        self.encoder.fit(rows, targets)

    def encode(self, rows: Any) -> Rows:
        """Return the stored form of `rows`, from which batches are sliced."""
        return self.encoder.transform(rows)

    def augmenter(self, num_rows: int) -> Augment | None:
        """Return what changes training inputs, another way in every epoch; None for nothing."""
        return None

    def select(self, rows: Any, index: Indices) -> Any:
        """Return the rows numbered `index`."""
        return rows[index]

    def readable(self, rows: Any) -> Readable:
        """Return a few rows as a person reads them (default: images, else a table of numbers)."""
        import pandas as pd

        if isinstance(rows, pd.DataFrame):
            return rows
        inputs: Tensor = self.encode(rows)[torch.arange(len(rows))]
        if inputs.ndim == 4 and inputs.shape[1] in (1, 3):
            return inputs
        return pd.DataFrame(inputs.reshape(len(inputs), -1).numpy())

    def texts(self, rows: Any) -> list[str] | None:
        """Return the text of each row; None for what is no text."""
        return None

    def read_input(self) -> InputReading:
        """Return what the input was taken for, for `reading`; rows are read and fitted by then."""
        return InputReading(type(self).__name__)

    def plain_columns(
        self, rows: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None] | None:
        """Return rows as columns of numbers, for models that need no encoding (trees).

        Args:
            rows: The rows as they were read.

        Returns:
            float64 (N, D), NaN where a number is missing, and which columns hold codes of
            categories, (D,), None where none does. None for images and the like (default: the
            encoded inputs, where they are a matrix).
        """
        inputs = self.encode(rows)
        if not isinstance(inputs, Tensor) or inputs.ndim != 2:
            return None
        return inputs.double().numpy(), None

    def inputs_state(self) -> dict[str, Any]:
        """Return what was learned of the inputs, as plain values."""
        return self.encoder.state()

    def load_inputs_state(self, state: dict[str, Any]) -> None:
        """Take over what `inputs_state` returned."""
        self.encoder.load_state(state)

    @abstractmethod
    def batch_shape(self) -> tuple[int, ...]:
        """Return the shape of one dense input row, once fitted."""
