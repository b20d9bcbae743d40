"""Show the progress of a fit: a bar in a terminal, or one line per epoch in a pipe or a file."""

import sys

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from dlp.console import say, scores_text


class ProgressBar(TQDMProgressBar):
    """Lightning's progress bar, with epochs that are counted from 1 as in ``metrics.csv``.

    If the output is not a terminal, one line per epoch is printed instead.
    """

    def __init__(self) -> None:
        # The bar is updated every 20 batches, because an update takes as long as a small step.
        refresh_rate = 20 if sys.stdout.isatty() else 0
        super().__init__(refresh_rate, leave=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do nothing, because Lightning would print a bar here that stays empty."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar of an epoch."""
        super().on_train_epoch_start(trainer, pl_module)
        self.train_progress_bar.set_description(_epoch(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish the bar of an epoch, or print its line."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.is_disabled:
            say(f"{_epoch(trainer)}: {scores_text(trainer.progress_bar_metrics)}")


def _epoch(trainer: Trainer) -> str:
    """Return ``Epoch 3/20``, or ``Epoch 3`` if the number of epochs is not limited."""
    number = f"Epoch {trainer.current_epoch + 1}"
    if trainer.max_epochs is None or trainer.max_epochs < 1:
        return number
    return f"{number}/{trainer.max_epochs}"
