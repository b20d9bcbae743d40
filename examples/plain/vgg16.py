"""Cats and dogs on features of a frozen VGG16 (section 5.3), with torch and Lightning, without dlp.

Run python examples/plain/vgg16.py FOLDER: FOLDER/cats_vs_dogs is microsoft/cats_vs_dogs from the
Hub. With dlp: dlp fit --config cats_dogs_features --model.weights IMAGENET1K_FEATURES
"""

import io
import os
import sys

import pandas as pd
import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import VGG16_Weights, vgg16
from torchvision.transforms.functional import pil_to_tensor

SEED, EPOCHS, SIZE = 0, 30, 150
TRAIN, VAL, TEST = slice(0, 1000), slice(1000, 1500), slice(1500, 2000)  # images of each class
MEAN_COLOUR = torch.tensor([[[123.0]], [[117.0]], [[104.0]]])  # the book's / 255: 0.90, not 0.97


def compute_features(base: nn.Module, table: pd.DataFrame, numbers: slice) -> TensorDataset:
    """Return features, (N, 8192), of photographs minus the mean colour, and labels, (N,)."""
    rows = table.sort_values("number").groupby("labels").nth(numbers)  # label 0: cat, 1: dog
    features = []
    for image in rows["image"]:
        picture = Image.open(io.BytesIO(image["bytes"])).convert("RGB")
        pixels = pil_to_tensor(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        features.append(base(pixels - MEAN_COLOUR).flatten())
    return TensorDataset(torch.stack(features), torch.tensor(rows["labels"].to_numpy()).float())


class Head(LightningModule):
    """A dense layer of 256 units, dropout, and one logit."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        layers = [nn.Linear(num_features, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 1)]
        self.network = nn.Sequential(*layers, nn.Flatten(0))  # (N, 1) becomes (N,)
        for layer in self.network[:4:3]:  # Keras's initial weights; torch's differ
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(self.network(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor]) -> None:
        self.log("val_loss", self.training_step(batch), prog_bar=True)

    def test_step(self, batch: list[Tensor]) -> None:
        self.log("test_acc", ((self.network(batch[0]) > 0) == batch[1].bool()).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:  # Keras's; torch's alpha is 0.99
        return torch.optim.RMSprop(self.parameters(), lr=0.00002, alpha=0.9)


def main(folder: str) -> None:
    """Compute the features once, train on them, and print the test accuracy of the best epoch."""
    seed_everything(SEED)
    path = os.environ.get("DLP_WEIGHTS")  # path of a file with the paper's weights
    weights = torch.load(path) if path else VGG16_Weights.IMAGENET1K_FEATURES.get_state_dict()
    network = vgg16().requires_grad_(False)  # frozen
    network.load_state_dict(weights, strict=False)  # a file may contain only the convolutions
    table = pd.read_parquet(f"{folder}/cats_vs_dogs/data")
    table["number"] = [int(image["path"].split(".")[1]) for image in table["image"]]  # cat.7.jpg
    train, val, test = (compute_features(network.features, table, n) for n in (TRAIN, VAL, TEST))
    model = Head(num_features=train.tensors[0].shape[1])
    best = ModelCheckpoint(monitor="val_loss")
    trainer = Trainer(max_epochs=EPOCHS, callbacks=[best], logger=False)
    trainer.fit(model, DataLoader(train, 20, shuffle=True), DataLoader(val, 100))
    [result] = trainer.test(model, DataLoader(test, 100), ckpt_path="best", verbose=False)
    print(f"test_acc {result['test_acc']:.4f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ["DLP_DATA_DIR"])
