"""Progress bar of a command: a line per epoch with its metrics."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with epochs from 1, as in ``metrics.csv``.

    Args:
        refresh_rate: Number of batches per update; each one takes as long as a small step.
    """

    def __init__(self, refresh_rate: int = 20) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=True)

    def on_train_start(self, *_: Trainer | LightningModule) -> None:
        """Leave the first line to the first epoch; Lightning's would stay empty."""

    def on_train_epoch_start(self, trainer: Trainer, *args: LightningModule) -> None:
        """Begin the line of an epoch."""
        super().on_train_epoch_start(trainer, *args)
        total = f"/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
        self.train_progress_bar.set_description(f"Epoch {trainer.current_epoch + 1}{total}")
