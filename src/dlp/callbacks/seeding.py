"""A seed for each epoch, so that a resumed run draws what an unbroken one does."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from dlp.seeds import derived_seed


class EpochSeed(Callback):
    """Seed torch's global generator at the start of each epoch from (seed, epoch, process).

    The project's own dropout and order of batches need no such thing; a user's ``nn.Dropout`` or
    random transform does.
    """

    def __init__(self) -> None:
        self._seed: int | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the seed of the run, unless a checkpoint brought it."""
        if self._seed is None:
            self._seed = torch.initial_seed()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the epoch."""
        seed = torch.initial_seed() if self._seed is None else self._seed
        torch.manual_seed(derived_seed(seed, trainer.current_epoch, trainer.global_rank))

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the run, for the checkpoint."""
        return {"seed": self._seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the seed of the run that is resumed."""
        self._seed = state_dict["seed"]
