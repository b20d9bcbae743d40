"""Numbers behind the general claims of the notebook on house prices (section 3.6)."""

from typing import Any

import numpy as np
import torch
from claims import Claim
from sklearn.model_selection import ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from torch import nn

from dlp import cross_validate
from dlp.datamodules import HousingDataModule
from dlp.modules import DenseModule, KerasRMSprop
from dlp.visualization.curves import smooth

SIZES = (8, 64, 256)


def new_network() -> Any:
    """Build a network with new weights."""
    hidden = [nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, 1))


def train_and_score(network: Any, rows: Any, y: Any, train: Any, val: Any, epochs: int) -> Any:
    """Train on the training rows; return the MAE on the validation rows."""
    optimizer = KerasRMSprop(network.parameters(), lr=0.001)
    for _ in range(epochs):
        for batch in train[torch.randperm(len(train))].split(16):
            optimizer.zero_grad()
            loss = ((network(rows[batch]) - y[batch]) ** 2).mean()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return (network(rows[val]) - y[val]).abs().mean().item()


def of_folds(x: Any, y: Any, folds: Any, epochs: int, is_scaled: bool = True) -> Any:
    """Return the validation MAE of each fold."""
    scores = []
    for val in folds:
        rest = torch.cat([fold for fold in folds if fold is not val])
        rows = x
        if is_scaled:
            rows = (x - x[rest].mean(0)) / x[rest].std(0, correction=0)
        scores.append(train_and_score(new_network(), rows, y, rest, val, epochs))
    return scores


def few_rows(data: Any, seed: int, units: int, num_epochs: int) -> Any:
    """Return the validation MAE per epoch, as the mean over five random samples of 60 rows."""
    draws = ShuffleSplit(5, train_size=60, test_size=200, random_state=seed)

    def make_model(data: Any) -> Any:
        return DenseModule(
            data.input_shape,
            1,
            head="regression",
            hidden=[units, units],
            optimizer=lambda parameters: KerasRMSprop(parameters, lr=0.003),
        )

    result = cross_validate(data, make_model, num_epochs, splitter=draws, seed=seed)
    return np.array(result.mean_curves["val_mae"])


def measure(seed: int) -> dict[str, Any]:
    """Train networks on the prices. The seed decides on folds, initial weights and batches."""
    torch.set_num_threads(1)
    data = HousingDataModule("boston", drop_columns=["B"], split_seed=seed)
    train = data.examples("train")
    x = torch.tensor(train.inputs.frame.to_numpy(dtype=float), dtype=torch.float32)
    y = torch.tensor(train.targets, dtype=torch.float32).reshape(-1, 1)
    torch.manual_seed(seed)
    folds = torch.randperm(len(x)).chunk(4)
    numbers: dict[str, Any] = {}
    for epochs in (40, 80):
        numbers[f"raw, {epochs} epochs"] = np.mean(of_folds(x, y, folds, epochs, is_scaled=False))
        scores = of_folds(x, y, folds, epochs)
        numbers[f"scaled, {epochs} epochs"] = np.mean(scores)
        in_dollars = of_folds(x, 1000 * y, folds, epochs)
        numbers[f"prices in dollars, {epochs} epochs"] = np.mean(in_dollars) / 1000
        network = new_network()
        rows = (x - x.mean(0)) / x.std(0, correction=0)
        wrong = []
        for val in folds:
            rest = torch.cat([fold for fold in folds if fold is not val])
            wrong.append(train_and_score(network, rows, y, rest, val, epochs))
        numbers[f"new networks, folds 2 to 4, {epochs} epochs"] = np.mean(scores[1:])
        numbers[f"one network, folds 2 to 4, {epochs} epochs"] = np.mean(wrong[1:])
    neighbours = []
    for val in folds:
        rest = torch.cat([fold for fold in folds if fold is not val])
        rows = (x - x[rest].mean(0)) / x[rest].std(0, correction=0)
        guess = KNeighborsRegressor(5).fit(rows[rest], y[rest]).predict(rows[val])
        neighbours.append(np.abs(guess - y[val].numpy()).mean())
    numbers["five neighbours"] = np.mean(neighbours)

    def make_model(data: Any) -> Any:
        return DenseModule(data.input_shape, 1, head="regression", hidden=[64, 64])

    for epochs in (400, 800):
        result = cross_validate(
            data, make_model, epochs, seed=seed, monitor="val_mae", smoothing=0.9
        )
        best = result.verdict()
        curve = result.mean_curves["val_mae"]
        numbers[f"best epoch of {epochs}"] = best.best_epoch
        numbers[f"lowest MAE of {epochs}"] = best.best
        numbers[f"MAE at epoch {epochs}"] = smooth(curve, 0.9).iloc[-1]
        if epochs == 400:
            chosen = best.best_epoch
    numbers["median price"] = result.baseline["median"]["mae"]
    repeated = cross_validate(data, make_model, chosen, num_folds=5, repeats=4, seed=seed)
    maes = repeated.scores["val_mae"]
    means = maes.groupby("repeat").mean()
    numbers["lowest hold-out"], numbers["highest hold-out"] = maes.min(), maes.max()
    numbers["lowest mean of folds"], numbers["highest mean of folds"] = means.min(), means.max()

    for units in SIZES:
        curve = few_rows(data, seed, units, 800)
        numbers[f"{units} units, lowest of 400"] = curve[:400].min()
        numbers[f"{units} units, lowest of 800"] = curve.min()
        numbers[f"{units} units, epoch 400"] = curve[390:400].mean()
        numbers[f"{units} units, epoch 800"] = curve[-10:].mean()
    return numbers


CLAIMS = [
    Claim(
        "Raw columns double the error of 40 epochs.",
        ["raw, 40 epochs", "scaled, 40 epochs"],
        lambda n: n["raw, 40 epochs"] > 2 * n["scaled, 40 epochs"],
    ),
    Claim(
        "80 epochs on raw columns are worse by half than 40 on standardised ones.",
        ["raw, 80 epochs", "scaled, 40 epochs", "scaled, 80 epochs"],
        lambda n: n["raw, 80 epochs"] > 1.5 * n["scaled, 40 epochs"],
    ),
    Claim(
        "With prices in dollars the network has hardly begun after 40 epochs; after 80 it is "
        "still off twice as much.",
        ["prices in dollars, 40 epochs", "prices in dollars, 80 epochs", "scaled, 80 epochs"],
        lambda n: (
            n["prices in dollars, 40 epochs"] > 2 * n["median price"]
            and n["prices in dollars, 80 epochs"] > 2 * n["scaled, 80 epochs"]
        ),
    ),
    Claim(
        "One network for all folds gets a score that is too good, by a tenth or more.",
        [
            "new networks, folds 2 to 4, 40 epochs",
            "one network, folds 2 to 4, 40 epochs",
            "new networks, folds 2 to 4, 80 epochs",
            "one network, folds 2 to 4, 80 epochs",
        ],
        lambda n: all(
            n[f"one network, folds 2 to 4, {epochs} epochs"]
            < 0.9 * n[f"new networks, folds 2 to 4, {epochs} epochs"]
            for epochs in (40, 80)
        ),
    ),
    Claim(
        "The smoothed validation error turns between the epochs 60 and 350 and rises on to 800.",
        ["best epoch of 800", "lowest MAE of 800", "MAE at epoch 400", "MAE at epoch 800"],
        lambda n: (
            60 < n["best epoch of 800"] < 350
            and n["lowest MAE of 800"] < n["MAE at epoch 400"] < n["MAE at epoch 800"]
        ),
    ),
    Claim(
        "20 hold-outs spread at least three times as far as four means of five folds.",
        ["lowest hold-out", "highest hold-out", "lowest mean of folds", "highest mean of folds"],
        lambda n: (
            n["highest hold-out"] - n["lowest hold-out"]
            > 3 * (n["highest mean of folds"] - n["lowest mean of folds"])
        ),
    ),
    Claim(
        "On 60 rows, after 400 epochs, 8 units per layer are better than 64 and 256.",
        [f"{units} units, epoch 400" for units in SIZES],
        lambda n: n["8 units, epoch 400"] < min(n[f"{u} units, epoch 400"] for u in (64, 256)),
    ),
    Claim(
        "Stopped each at its turn, neither 8 nor 64 units are better: they differ by less than "
        "0.2, three seeds this way and two that.",
        ["8 units, lowest of 800", "64 units, lowest of 800"],
        lambda n: abs(n["64 units, lowest of 800"] - n["8 units, lowest of 800"]) < 0.2,
    ),
    Claim(
        "256 units are never the best of the three, each stopped at its turn.",
        [f"{units} units, lowest of 800" for units in SIZES],
        lambda n: (
            n["256 units, lowest of 800"]
            > min(n["8 units, lowest of 800"], n["64 units, lowest of 800"])
        ),
    ),
    Claim(
        "By epoch 800 the 8 units have overfitted too, by 0.2 or more.",
        ["8 units, lowest of 800", "8 units, epoch 800"],
        lambda n: n["8 units, epoch 800"] > n["8 units, lowest of 800"] + 0.2,
    ),
    Claim(
        "The five nearest districts predict worse than the network, and better than the median.",
        ["five neighbours", "scaled, 40 epochs", "median price"],
        lambda n: n["scaled, 40 epochs"] + 0.1 < n["five neighbours"] < n["median price"] / 2,
    ),
]
