"""What anybody may ask a DataModule, as soon as it is built."""

from abc import abstractmethod
from typing import Any

from dlp.datamodules.row_source import RowSource
from dlp.datamodules.targets import TargetEncoder


class DataFacts(RowSource):
    """The facts of a data set; the first one asked for reads, splits and fits it."""

    targets: TargetEncoder
    _shape: tuple[int, ...] | None
    _state: dict[str, Any] | None
    _target_mean: list[float] | None
    _target_std: list[float] | None

    @abstractmethod
    def fit(self) -> None:
        """Read the labelled rows, split them and learn from the training part, once."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input row: (D,), (num_words,) or (C, H, W)."""
        self.fit()
        assert self._shape is not None
        return self._shape

    @property
    def num_outputs(self) -> int:
        """The number of classes, labels or target columns."""
        self.fit()
        return self.targets.num_outputs

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes or labels; None for values."""
        self.fit()
        return self.targets.class_names

    @property
    def target_names(self) -> list[str] | None:
        """The names of the target columns, where they have names."""
        return self.targets.names

    @property
    def target_mean(self) -> list[float] | None:
        """The mean of each target in the training part; None where targets are not scaled."""
        self.fit()
        return self._target_mean

    @property
    def target_std(self) -> list[float] | None:
        """The standard deviation of each target; None where targets are not scaled."""
        self.fit()
        return self._target_std

    @property
    def target_summary(self) -> dict[str, list[float]] | None:
        """What the targets of the training part are like, for common-sense baselines.

        ``frequencies`` of each of C classes or labels; or ``mean`` and ``median`` of each value in
        its own unit. None for the checkpoint of an older run.
        """
        self.fit()
        assert self._state is not None
        summary: dict[str, list[float]] | None = self._state.get("target_summary")
        return summary
