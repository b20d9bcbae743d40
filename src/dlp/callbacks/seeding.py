"""A seed for each epoch, so that a resumed run draws what an unbroken one does."""

import torch
from lightning import Callback, LightningModule, Trainer

from dlp.seeds import derived_seed


class EpochSeed(Callback):
    """Seed torch's global generator at the start of each epoch from (seed, epoch, process).

    The project's own dropout and order of batches need no such thing; a user's ``nn.Dropout`` or
    random transform does.
    """

    def __init__(self) -> None:
        self._seed = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the seed of the run."""
        self._seed = torch.initial_seed()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the epoch."""
        torch.manual_seed(derived_seed(self._seed, trainer.current_epoch, trainer.global_rank))
