"""What a kind of data must say for itself: how rows are read, fitted and made into tensors."""

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray

from dlp.datamodules.batches import Rows
from dlp.datamodules.cuts import Indices
from dlp.datamodules.examples import Examples


class RowSource(ABC):
    """What a subclass of `SupervisedDataModule` provides."""

    @abstractmethod
    def load_train(self) -> Examples:
        """Return the labelled rows that are not a test part of their own, in the set's order."""

    def load_test(self) -> Examples | None:
        """Return the set's own test part; None where it has none."""
        return None

    def load_predict(self) -> Examples | None:
        """Return the unlabelled rows to predict; None to predict the test part."""
        return None

    def fit_inputs(self, rows: Any, targets: NDArray[Any]) -> None:  # noqa: B027 - may be nothing
        """Learn what `encode` needs from the rows of the training part (default: nothing)."""

    @abstractmethod
    def encode(self, rows: Any) -> Rows:
        """Return the stored form of `rows`, from which batches are sliced."""

    def select(self, rows: Any, index: Indices) -> Any:
        """Return the rows numbered `index`."""
        return rows[index]

    def inputs_state(self) -> dict[str, Any]:
        """Return what `fit_inputs` learned, as plain values."""
        return {}

    def load_inputs_state(self, state: dict[str, Any]) -> None:  # noqa: B027 - may be nothing
        """Take over what `inputs_state` returned."""

    def forget_inputs(self) -> None:  # noqa: B027 - may be nothing
        """Take back what `fit_inputs` or `load_inputs_state` changed, before another fit.

        Needed where an attribute is changed that the next `fit_inputs` does not set anew.
        """

    @abstractmethod
    def batch_shape(self) -> tuple[int, ...]:
        """Return the shape of one dense input row, once fitted."""
