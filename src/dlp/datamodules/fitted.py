"""State of a DataModule for one split of its rows."""

from dataclasses import asdict, dataclass, field

import torch

from dlp.datamodules.batches import Stored
from dlp.datamodules.rows import LabelledParts, PlainValues
from dlp.datamodules.targets import TargetStatistics
from dlp.errors import InputError
from dlp.hyperparameters import class_path
from dlp.reader.encoder import AnyEncoder

#: Arguments of encoders that say where the inputs are in a file. They may differ from those in a
#: checkpoint, because new rows may be in a file with another layout.
_LAYOUT = ("column", "read_csv")


@dataclass(eq=False)
class FittedSplit:
    """State of a DataModule for the current split. Another split needs a new object.

    Args:
        encoder: Encoder of the inputs, which is fitted to the training part.
        parts: Labelled rows of each part, not yet encoded; empty until they are first needed.
        target_statistics: Statistics of the targets in the training part.
        fingerprint: `rows_fingerprint` of the training and validation rows; empty before the fit.
        inputs: Encoded inputs of each part.
        seed: Seed of the order of batches; None until it is drawn.
        is_muted: Whether messages about the rows are suppressed, because an earlier split has
            printed them.
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
        """True after a fit, and if the state comes from a checkpoint."""
        return bool(self.fingerprint)

    @property
    def order_seed(self) -> int:
        """Seed of the order of batches.

        On first access it is taken from torch's initial seed, which ``seed_everything`` sets.
        """
        if self.seed is None:
            self.seed = torch.initial_seed() % 2**63
        return self.seed

    def state(self) -> PlainValues:
        """Return what was learned from the rows, as plain values."""
        return {
            "encoder_class": class_path(self.encoder),
            "arguments": self.encoder.arguments(),
            "encoder": self.encoder.state(),
            "target_statistics": asdict(self.target_statistics),
            "fingerprint": self.fingerprint,
        }

    def load_state(self, state: PlainValues) -> None:
        """Restore the result of `state`. The rows are not needed for this.

        Raises:
            InputError: If an older version of dlp wrote the state, or if it belongs to another
                encoder.
        """
        if "fingerprint" not in state:
            raise InputError(
                "checkpoint: expected the state of data from dlp 2.0 or later, got an older one. "
                "Read it with dlp 1.2, or train again."
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
                f"checkpoint: expected the state of data with a {own_path}, got a state of "
                f"data with a {path}. Use the DataModule that the model was trained with."
            )
        for name, value in self.encoder.arguments().items():
            trained = arguments.get(name)
            if value != trained and name not in _LAYOUT:
                raise InputError(
                    f"{name}: expected {trained!r}, with which the checkpoint was trained, got "
                    f"{value!r}. Give the data the arguments of the checkpoint."
                )
