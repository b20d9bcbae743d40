"""What the tests of the modules share: a Trainer that writes and prints nothing."""

import warnings
from contextlib import contextmanager

from lightning import Trainer
from lightning.pytorch.callbacks import Callback


def quiet_trainer(max_epochs=1, callbacks=(), **arguments):
    """Return a Trainer on the CPU without logger, bar, summary or checkpoints."""
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any("Checkpoint" in type(each).__name__ for each in callbacks),
        max_epochs=max_epochs,
        callbacks=list(callbacks),
        **arguments,
    )


@contextmanager
def plain_loaders():
    """Silence what Lightning says of plain DataLoaders: workers, few batches, no validation."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*The number of training batches.*")
        warnings.filterwarnings("ignore", ".*but have no `val_dataloader`.*")
        yield


class Curves(Callback):
    """Remembers all metrics at the end of each epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append({k: v.item() for k, v in trainer.callback_metrics.items()})
