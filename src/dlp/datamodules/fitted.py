"""The state of a DataModule under one split of its rows."""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from dlp.datamodules.rows import Encoder, LabelledParts, PlainValues
from dlp.datamodules.stored import Stored
from dlp.datamodules.targets import TargetStatistics
from dlp.errors import InputError


@dataclass(eq=False)
class FittedSplit:
    """State of a DataModule that belongs to one split of its rows; another split has its own.

    Args:
        encoder: Encoder of the inputs, which learns from the training part.
        parts: Labelled rows by part, as they were read; empty until somebody asks for them.
        target_statistics: Statistics of the targets of the training part.
        fingerprint: `rows_fingerprint` of the training and validation rows; empty before the fit.
        inputs: Encoded inputs by part.
        seed: Seed of the order of batches; None until it is drawn.
        is_muted: Whether lines about the rows are left out because an earlier split printed them.
    """

    encoder: Encoder[Any]
    parts: LabelledParts = field(default_factory=dict)
    target_statistics: TargetStatistics = field(default_factory=TargetStatistics)
    fingerprint: str = ""
    inputs: dict[str, Stored] = field(default_factory=dict)
    seed: int | None = None
    is_muted: bool = False

    @property
    def is_fitted(self) -> bool:
        """True after a fit and for the state of a checkpoint."""
        return bool(self.fingerprint)

    @property
    def order_seed(self) -> int:
        """Seed of the order of batches, drawn by ``seed_everything`` when it is first asked for."""
        if self.seed is None:
            self.seed = torch.initial_seed() % 2**63
        return self.seed

    def state(self) -> PlainValues:
        """Return what was learned as plain values."""
        return {
            "encoder": self.encoder.state(),
            "target_statistics": asdict(self.target_statistics),
            "fingerprint": self.fingerprint,
        }

    def load_state(self, state: PlainValues) -> None:
        """Restore a `state`; the rows are not needed for it.

        Raises:
            InputError: If an older version wrote it.
        """
        if "fingerprint" not in state:
            raise InputError(
                "checkpoint: expected the state of data of version 2.0 or later, got an older one. "
                "dlp 1.2 reads it, or train again."
            )
        self.encoder.load_state(state["encoder"])
        self.target_statistics = TargetStatistics(**state["target_statistics"])
        self.fingerprint = state["fingerprint"]
