"""Handwritten digits with a convnet (section 5.1), with torch and Lightning, without dlp.

Run python examples/plain/mnist.py FOLDER. torchvision downloads missing files to FOLDER/mnist.
The same experiment with dlp: dlp fit --config mnist
"""

import os
import sys

import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import MNIST

SEED = 0
EPOCHS = 5


def read_digits(folder: str, is_train: bool) -> TensorDataset:
    """Read the pictures, (N, 1, 28, 28) from 0 to 1, and the digits, (N,), of a part."""
    digits = MNIST(f"{folder}/mnist", train=is_train, download=True)
    return TensorDataset(digits.data.unsqueeze(1) / 255, digits.targets)


class Digits(LightningModule):
    """Three convolutions, a dense layer of 64 units, and a logit for each digit."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1, 32, 3),  # output: 26 x 26 pixels
            nn.ReLU(),
            nn.MaxPool2d(2),  # 13
            nn.Conv2d(32, 64, 3),  # 11
            nn.ReLU(),
            nn.MaxPool2d(2),  # 5
            nn.Conv2d(64, 64, 3),  # 3
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 3 * 3, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
        for layer in self.network:  # Keras's initial weights; torch's differ
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        pictures, digits = batch
        return F.cross_entropy(self.network(pictures), digits)

    def test_step(self, batch: list[Tensor]) -> None:
        pictures, digits = batch
        is_right = self.network(pictures).argmax(dim=1) == digits
        self.log("test_acc", is_right.float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:  # Keras's; torch's are 0.01 and 0.99
        return torch.optim.RMSprop(self.parameters(), lr=0.001, alpha=0.9)


def main(folder: str) -> None:
    """Train on 60,000 digits, and print the accuracy on the 10,000 test digits."""
    seed_everything(SEED)
    train, test = read_digits(folder, is_train=True), read_digits(folder, is_train=False)
    model = Digits()
    trainer = Trainer(max_epochs=EPOCHS, logger=False, enable_checkpointing=False)
    trainer.fit(model, DataLoader(train, batch_size=64, shuffle=True))
    [result] = trainer.test(model, DataLoader(test, batch_size=1000), verbose=False)
    print(f"test_acc {result['test_acc']:.4f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ["DLP_DATA_DIR"])
