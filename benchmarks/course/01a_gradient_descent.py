"""Numbers behind the claims of the notebook on section 2.4: four optimizers on film reviews.

python benchmarks/claims.py 01a_gradient_descent   # takes minutes
"""

from functools import cache, partial

import torch
import torch.nn.functional as F
from claims import Claim
from torch import Tensor, nn

from dlp.datamodules import IMDBDataModule
from dlp.modules import KerasRMSprop

#: Number of epochs in the notebook. Numbers are measured after these and after twice as many.
EPOCHS = 12
SGD = torch.optim.SGD
OPTIMIZERS = {
    "SGD": (SGD, [0.1, 0.3, 1.0]),
    "momentum": (partial(SGD, momentum=0.9), [0.01, 0.03, 0.1]),
    "RMSprop": (KerasRMSprop, [0.0003, 0.001, 0.003]),
    "Adam": (torch.optim.Adam, [0.0003, 0.001, 0.003]),
}


@cache
def rows(part: str) -> tuple[Tensor, Tensor]:
    """Return 2,000 reviews from a part and their targets, the same for all seeds."""
    data = IMDBDataModule(num_words=1000, train_size=2000, val_size=2000)
    x = data.inputs(part)[torch.arange(2000)].to_dense(1000)
    targets = data.targets.encode(data.examples(part).targets[:2000])
    return x, torch.from_numpy(targets).float()


def loss_of(network: nn.Module, part: str) -> float:
    """Return the loss of a network on 2,000 reviews from a part."""
    x, y = rows(part)
    with torch.no_grad():
        return F.binary_cross_entropy_with_logits(network(x).flatten(), y).item()


@cache
def train(name: str, rate: float, seed: int) -> tuple[list[float], list[float]]:
    """Return the validation loss and the test loss after each epoch."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(1000, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)
    )
    optimizer = OPTIMIZERS[name][0](network.parameters(), lr=rate)
    (x, y), losses, test_losses = rows("train"), [], []
    for _ in range(2 * EPOCHS):
        for batch in torch.randperm(2000).split(100):
            optimizer.zero_grad()
            logits = network(x[batch]).flatten()
            F.binary_cross_entropy_with_logits(logits, y[batch]).backward()
            optimizer.step()
        losses.append(loss_of(network, "val"))
        test_losses.append(loss_of(network, "test"))
    return losses, test_losses


def first_gradient(activation: nn.Module, seed: int) -> float:
    """Return the mean absolute gradient of the first of six hidden layers."""
    torch.manual_seed(seed)
    layers = [nn.Linear(1000, 16), activation]
    for _ in range(5):
        layers += [nn.Linear(16, 16), activation]
    network = nn.Sequential(*layers, nn.Linear(16, 1))
    x, y = rows("train")
    F.binary_cross_entropy_with_logits(network(x).flatten(), y).backward()
    return network[0].weight.grad.abs().mean().item()


def measure(seed: int) -> dict[str, float]:
    """Return the lowest loss of each optimizer at each learning rate and at its best one."""
    torch.set_num_threads(1)
    numbers: dict[str, float] = {}
    for name, (_, rates) in OPTIMIZERS.items():
        for epochs, suffix in ((EPOCHS, ""), (2 * EPOCHS, ", twice the epochs")):
            best = None
            for rate in rates:
                losses, test_losses = train(name, rate, seed)
                lowest = min(losses[:epochs])
                numbers[f"{name} {rate}{suffix}"] = lowest
                if best is None or lowest < best[0]:
                    best = lowest, test_losses[losses.index(lowest)], rate
            for key, value in zip(("", " on the test", ", its rate"), best, strict=True):
                numbers[f"{name}{key}{suffix}"] = value
    numbers["SGD 0.001"] = min(train("SGD", 0.001, seed)[0][:EPOCHS])
    numbers["gradient, ReLU times 1e6"] = 1e6 * first_gradient(nn.ReLU(), seed)
    numbers["gradient, sigmoid times 1e6"] = 1e6 * first_gradient(nn.Sigmoid(), seed)
    return numbers


SUFFIXES = ("", ", twice the epochs", " on the test", " on the test, twice the epochs")
NAMES = ("RMSprop", "Adam", "SGD", "momentum")

CLAIMS = [
    Claim(
        "RMSprop is good enough: each at its best rate of three, its lowest loss is within 0.01 of "
        "Adam's and below that of SGD with and without momentum",
        [f"{name}{suffix}" for suffix in SUFFIXES for name in NAMES],
        lambda n: all(
            abs(n[f"RMSprop{suffix}"] - n[f"Adam{suffix}"]) < 0.01
            and n[f"RMSprop{suffix}"] < min(n[f"SGD{suffix}"], n[f"momentum{suffix}"])
            for suffix in SUFFIXES
        ),
    ),
    Claim(
        "The rate matters more than the choice between RMSprop and Adam",
        [f"RMSprop {rate}{suffix}" for suffix in SUFFIXES[:2] for rate in (0.0003, 0.001, 0.003)],
        lambda n: all(
            max(n[f"RMSprop {rate}{suffix}"] for rate in (0.0003, 0.001, 0.003))
            > n[f"RMSprop{suffix}"] + abs(n[f"RMSprop{suffix}"] - n[f"Adam{suffix}"])
            for suffix in SUFFIXES[:2]
        ),
    ),
    Claim(
        "The gradient of the first of six hidden layers is far smaller with sigmoid than with ReLU",
        ["gradient, ReLU times 1e6", "gradient, sigmoid times 1e6"],
        lambda n: n["gradient, ReLU times 1e6"] > 10 * n["gradient, sigmoid times 1e6"],
    ),
    Claim(
        "At Adam's rate of 0.001, SGD is far from its own best",
        ["SGD 0.001", "SGD", "Adam 0.001"],
        lambda n: n["SGD 0.001"] > n["SGD"] + 0.1,
    ),
]
