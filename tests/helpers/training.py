"""Helpers for short fits: a silent Trainer that writes no files, and a record of its epochs."""

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.utils.data import DataLoader, TensorDataset

from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(10, 3, generator=DRAW), torch.randint(0, 4, (10,), generator=DRAW)
X_VAL, Y_VAL = (
    torch.randn(7, 3, generator=DRAW),
    torch.randint(0, 4, (7,), generator=DRAW),
)

#: Lightning's advice about a DataLoader that does not come from dlp.
plain_loaders = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*but have no `val_dataloader`"
)


class OneWeight(LightningModule):
    """Model with one weight that accepts any batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        return self.weight

    def validation_step(self, batch, batch_idx):
        """Accept the batch."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Curves(Callback):
    """Record of all metrics at the end of each epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append({k: v.item() for k, v in trainer.callback_metrics.items()})


def quiet_trainer(
    max_epochs=1, callbacks=(), logger=False, accelerator="cpu", **arguments
):
    """Return a Trainer without progress bar and summary."""
    return Trainer(
        accelerator=accelerator,
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(each, Checkpoint) for each in callbacks),
        max_epochs=max_epochs,
        callbacks=list(callbacks),
        **{
            "log_every_n_steps": 1,
            **arguments,
        },  # Lightning warns if an epoch has fewer batches
    )


def loader(x, y, batch_size=4):
    """Return a plain DataLoader that keeps the order of the rows."""
    return DataLoader(TensorDataset(x, y), batch_size=batch_size)


def sgd(parameters):
    """Return an optimizer whose step is one multiplication."""
    return torch.optim.SGD(parameters, lr=0.5)


def small_fit(*callbacks, path=None, **trainer):
    """Fit a classifier to 60 rows, three batches per epoch; return its Trainer."""
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)).numpy()
    data = ArrayDataModule(x, (x[:, 0] > 0).astype(int), batch_size=16)
    torch.manual_seed(0)
    module = DenseModule(
        data.input_shape, data.num_outputs, head="sigmoid", hidden=(4,)
    )
    result = quiet_trainer(**{"max_epochs": 3, "callbacks": callbacks, **trainer})
    result.fit(
        module,
        datamodule=data,
        ckpt_path=path,
        weights_only=None if path is None else True,
    )
    return result
