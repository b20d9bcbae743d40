"""What is learned from the training part of a split, and kept by its checkpoint."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlp.datamodules.examples import Examples, Part
from dlp.datamodules.loader import Rows
from dlp.datamodules.splitting.leakage import Seen
from dlp.datamodules.splitting.splits import Parts
from dlp.target_transforms import TargetTransform


class Encoder:
    """Makes tensors of rows, by what it learned from the rows of the training part.

    As scikit-learn's transformers it has `fit` and `transform`, and for the checkpoint `state` and
    `load_state`. A DataModule is given one that knows nothing, and uses a copy of it for each
    split. This one learns nothing and takes rows as float32.
    """

    def fit(self, rows: Any, targets: NDArray[Any] | None = None) -> None:
        """Learn from the rows of the training part and their targets."""

    def transform(self, rows: Any) -> Rows:
        """Return the stored form of rows, from which batches are sliced."""
        return torch.from_numpy(np.ascontiguousarray(rows, np.float32))

    def state(self) -> dict[str, Any]:
        """Return what was learned, as plain values."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""


@dataclass(frozen=True)
class Learned:
    """What a DataModule learned: enough to treat new rows as those it was trained on.

    Args:
        inputs: The state of the encoder of the inputs.
        targets: The state of the encoder of the targets.
        input_shape: The shape of one dense encoded row.
        target_mean: The mean of each target of the training part, where targets are scaled.
        target_std: Their standard deviations.
        target_transform: What targets are trained on instead of themselves.
        target_summary: What the targets of the training part are like; see
            `TargetEncoder.summary`. None in the checkpoints of older runs.
    """

    inputs: dict[str, Any]
    targets: dict[str, Any]
    input_shape: tuple[int, ...]
    target_mean: list[float] | None = None
    target_std: list[float] | None = None
    target_transform: TargetTransform = "none"
    target_summary: dict[str, list[float]] | None = None

    def state(self) -> dict[str, Any]:
        """Return it as plain values, uncopied: each checkpoint holds a vocabulary of thousands."""
        return {**vars(self), "input_shape": list(self.input_shape)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Return what `state` was made of; older states lack the last two."""
        return cls(**{**state, "input_shape": tuple(state["input_shape"])})


@dataclass
class OfSplit:
    """What belongs to one split of the rows; another split has another."""

    parts: Parts | None = None
    learned: Learned | None = None
    restored: bool = False  # learned by the run of a checkpoint, perhaps from other data
    seen: Seen = field(default_factory=Seen)
    seed: int | None = None  # of the order of every epoch
    stored: dict[Part, tuple[Rows, Tensor | None]] = field(default_factory=dict)
    to_predict: Examples | None = None
    prepare_seconds: float = 0.0
