"""Numbers behind the claims of notebook 06: missing values, hours on a circle, large inputs."""

from functools import partial

import torch
from claims import Claim
from lightning import Trainer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule, KerasRMSprop

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def error_at_holes(trains_with_holes: bool, epochs: int) -> float:
    """Return the error on rows with missing values after training with or without such rows."""
    x = 2 + torch.rand(800, 2)
    y = x[:, 0] + 3 * x[:, 1]
    with_holes = x.clone()
    with_holes[torch.rand(800) < 0.3, 1] = 0
    x_test = with_holes[400:]
    is_hole = x_test[:, 1] == 0
    test = {"x_test": x_test[is_hole], "y_test": y[400:][is_hole]}
    x_train = with_holes if trains_with_holes else x
    rows = ArrayDataModule(x_train[:400], y[:400], val_size=None, **test)
    fast = partial(KerasRMSprop, lr=0.01)
    model = DenseModule(rows.input_shape, 1, "regression", hidden=[16], optimizer=fast)
    trainer = Trainer(max_epochs=epochs, **QUIET)
    trainer.fit(model, rows)
    return trainer.test(model, rows, verbose=False)[0]["test_mae"]


def night_accuracy(on_circle: bool) -> float:
    """Return how often a linear model correctly predicts from the hour whether it is night."""
    hours = 24 * torch.rand(300)
    columns = hours[:, None]
    if on_circle:
        angles = 2 * torch.pi * hours / 24
        columns = torch.stack([angles.sin(), angles.cos()], dim=1)
    is_night = ((hours < 6) | (hours > 18)).numpy()
    return cross_val_score(LogisticRegression(), columns.numpy(), is_night).mean()


def scaled_accuracy(factor: float, epochs: int) -> float:
    """Return the validation accuracy on digits if their pixels are multiplied by a factor."""
    x, y = load_digits(return_X_y=True)
    parts = {"val_size": 400, "test_size": 400, "batch_size": 64}
    data = ArrayDataModule(x / 16 * factor, y, **parts)
    history = History()
    model = DenseModule(data.input_shape, data.num_outputs, "softmax", hidden=[32])
    Trainer(max_epochs=epochs, callbacks=[history], **QUIET).fit(model, data)
    return history.metrics["val_acc"][-1]


def measure(seed: int) -> dict[str, float]:
    """Measure each variant with the same seed."""
    torch.set_num_threads(1)
    numbers = {}
    for epochs in (30, 60):
        for name, trains_with_holes in (("with holes", True), ("without", False)):
            torch.manual_seed(seed)
            error = error_at_holes(trains_with_holes, epochs)
            numbers[f"error, trained {name}, {epochs} epochs"] = error
    for name, on_circle in (("number", False), ("place on a circle", True)):
        torch.manual_seed(seed)
        numbers[f"accuracy, the hour as a {name}"] = night_accuracy(on_circle)
    for epochs in (10, 20):
        for factor in (1, 1000):
            torch.manual_seed(seed)
            accuracy = scaled_accuracy(factor, epochs)
            numbers[f"accuracy, x {factor}, {epochs} epochs"] = accuracy
    return numbers


CLAIMS = [
    Claim(
        "A network that saw holes as 0 learns to ignore them; one that did not is far off.",
        [
            "error, trained with holes, 30 epochs",
            "error, trained without, 30 epochs",
            "error, trained with holes, 60 epochs",
            "error, trained without, 60 epochs",
        ],
        lambda n: all(
            n[f"error, trained with holes, {epochs} epochs"]
            < n[f"error, trained without, {epochs} epochs"] / 2
            for epochs in (30, 60)
        ),
    ),
    Claim(
        "Hours as places on a circle let a linear model find the night.",
        ["accuracy, the hour as a number", "accuracy, the hour as a place on a circle"],
        lambda n: (
            n["accuracy, the hour as a number"] < 0.8
            and n["accuracy, the hour as a place on a circle"] > 0.95
        ),
    ),
    Claim(
        "Inputs multiplied by 1,000 slow the training down.",
        [
            "accuracy, x 1, 10 epochs",
            "accuracy, x 1000, 10 epochs",
            "accuracy, x 1, 20 epochs",
            "accuracy, x 1000, 20 epochs",
        ],
        lambda n: all(
            n[f"accuracy, x 1000, {epochs} epochs"] < n[f"accuracy, x 1, {epochs} epochs"]
            for epochs in (10, 20)
        ),
    ),
]
