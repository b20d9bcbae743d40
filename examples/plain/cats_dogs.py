"""Cats and dogs from scratch (section 5.2), with torch and Lightning, without dlp.

Run python examples/plain/cats_dogs.py FOLDER: FOLDER/cats_vs_dogs is microsoft/cats_vs_dogs from
the Hub. The same experiment with dlp: dlp fit --config cats_dogs
"""

import io
import os
import sys

import pandas as pd
import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer, seed_everything
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.functional import pil_to_tensor

SEED, EPOCHS = 0, 30
TRAIN, VAL = slice(0, 1000), slice(1000, 1500)  # of each class; the book tests on 1,500 to 1,999


def read_photographs(folder: str, numbers: slice) -> TensorDataset:
    """Read photographs of both classes as uint8 (N, 3, 150, 150), and their labels, (N,)."""
    table = pd.read_parquet(f"{folder}/cats_vs_dogs/data")
    table["number"] = [int(image["path"].split(".")[1]) for image in table["image"]]  # cat.7.jpg
    rows = table.sort_values("number").groupby("labels").nth(numbers)  # label 0: cat, 1: dog
    images = []
    for image in rows["image"]:
        picture = Image.open(io.BytesIO(image["bytes"])).convert("RGB")
        images.append(pil_to_tensor(picture.resize((150, 150), Image.Resampling.BILINEAR)))
    return TensorDataset(torch.stack(images), torch.tensor(rows["labels"].to_numpy()).float())


class CatsDogs(LightningModule):
    """Four convolutions with pooling, a dense layer of 512 units, and one logit."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, filters in [(3, 32), (32, 64), (64, 128), (128, 128)]:
            layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(128 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 1)]
        self.network = nn.Sequential(*layers)
        for layer in layers:  # Keras's initial weights; torch's differ
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.val_acc: list[float] = []

    def training_step(self, batch: list[Tensor]) -> Tensor:
        images, labels = batch
        return F.binary_cross_entropy_with_logits(self.network(images / 255).squeeze(1), labels)

    def validation_step(self, batch: list[Tensor]) -> None:
        images, labels = batch
        is_dog = self.network(images / 255).squeeze(1) > 0
        self.log("val_acc", (is_dog == labels.bool()).float().mean(), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.val_acc.append(self.trainer.callback_metrics["val_acc"].item())

    def configure_optimizers(self) -> torch.optim.Optimizer:  # Keras's; torch's alpha is 0.99
        return torch.optim.RMSprop(self.parameters(), lr=0.0001, alpha=0.9)


def main(folder: str) -> None:
    """Train, and print the mean validation accuracy of the last ten epochs."""
    seed_everything(SEED)
    train = DataLoader(read_photographs(folder, TRAIN), batch_size=20, shuffle=True)
    val = DataLoader(read_photographs(folder, VAL), batch_size=100)
    model = CatsDogs()
    settings = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    Trainer(max_epochs=EPOCHS, **settings).fit(model, train, val)
    print(f"val_acc, mean of the last 10 epochs: {torch.tensor(model.val_acc[-10:]).mean():.4f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ["DLP_DATA_DIR"])
