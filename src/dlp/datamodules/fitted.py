"""The state of a DataModule under one split of its rows."""

from dataclasses import asdict, dataclass, field

import torch

from dlp.datamodules.batches import Stored
from dlp.datamodules.rows import LabelledParts, PlainValues
from dlp.datamodules.targets import TargetStatistics
from dlp.errors import InputError
from dlp.hyperparameters import class_path
from dlp.reader.encoder import AnyEncoder

#: Arguments of encoders that say where the inputs are in a file. They may change: new rows may come
#: in a file of another layout.
_LAYOUT = ("column", "read_csv")


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
        is_restored: Whether the state comes from a checkpoint.
    """

    encoder: AnyEncoder
    parts: LabelledParts = field(default_factory=dict)
    target_statistics: TargetStatistics = field(default_factory=TargetStatistics)
    fingerprint: str = ""
    inputs: dict[str, Stored] = field(default_factory=dict)
    seed: int | None = None
    is_muted: bool = False
    is_restored: bool = False

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
            "encoder_class": class_path(self.encoder),
            "arguments": self.encoder.arguments(),
            "encoder": self.encoder.state(),
            "target_statistics": asdict(self.target_statistics),
            "fingerprint": self.fingerprint,
        }

    def load_state(self, state: PlainValues) -> None:
        """Restore a `state`; the rows are not needed for it.

        Raises:
            InputError: If an older version wrote it, or if it belongs to another encoder.
        """
        if "fingerprint" not in state:
            raise InputError(
                "checkpoint: expected the state of data of version 2.0 or later, got an older one. "
                "dlp 1.2 reads it, or train again."
            )
        self._check_encoder(state["encoder_class"], state["arguments"])
        self.encoder.load_state(state["encoder"])
        self.target_statistics = TargetStatistics(**state["target_statistics"])
        self.fingerprint = state["fingerprint"]
        self.is_restored = True

    def _check_encoder(self, path: str, arguments: PlainValues) -> None:
        """Refuse the state of an encoder of another class or with other arguments."""
        own_path = class_path(self.encoder)
        if path != own_path:
            raise InputError(
                f"checkpoint: expected the state of data with a {own_path}, got one of {path}. "
                "Give the data class of its training."
            )
        for name, value in self.encoder.arguments().items():
            trained = arguments.get(name)
            if value != trained and name not in _LAYOUT:
                raise InputError(
                    f"{name}: expected {trained!r}, as in the training of the checkpoint, got "
                    f"{value!r}. Give the data the arguments of its training."
                )
