"""Progress of a command: a bar in a terminal, a line per epoch in a pipe or a file."""

import sys

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from dlp.console import say, scores_text


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with epochs from 1, as in ``metrics.csv``; lines outside of a terminal."""

    def __init__(self) -> None:
        # An update per 20 batches: each one takes as long as a small step.
        refresh_rate = 20 if sys.stdout.isatty() else 0
        super().__init__(refresh_rate, leave=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the first line to the first epoch; Lightning's would stay empty."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of an epoch."""
        super().on_train_epoch_start(trainer, pl_module)
        self.train_progress_bar.set_description(_epoch(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the bar of an epoch, or print its line."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.is_disabled:
            say(f"{_epoch(trainer)}: {scores_text(trainer.progress_bar_metrics)}")


def _epoch(trainer: Trainer) -> str:
    """Return the number of the current epoch from 1, of their number if there is a limit."""
    number = f"Epoch {trainer.current_epoch + 1}"
    if trainer.max_epochs is None or trainer.max_epochs < 1:
        return number
    return f"{number}/{trainer.max_epochs}"
