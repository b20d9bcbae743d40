"""Film reviews, positive or negative (section 3.4), with torch and Lightning, without dlp.

Run python examples/plain/imdb.py FOLDER: FOLDER/imdb is stanfordnlp/imdb from the Hub.
The same experiment with dlp: dlp fit --config imdb
"""

import os
import sys
from collections import Counter

import pandas as pd
import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

SEED, EPOCHS = 0, 20
NUM_WORDS = 10_000
VAL_SIZE = 10_000  # the first reviews; the other 15,000 are for training
MARKS = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~', " "))  # Keras removes them


class Reviews(LightningModule):
    """Two dense layers of 16 units, and one logit."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(NUM_WORDS, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Linear(16, 1))
        for layer in self.network[::2]:  # Keras's initial weights; torch's differ
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.val_losses: list[float] = []

    def training_step(self, batch: list[Tensor]) -> Tensor:
        rows, labels = batch
        return F.binary_cross_entropy_with_logits(self.network(rows.float()).squeeze(1), labels)

    def validation_step(self, batch: list[Tensor]) -> None:
        self.log("val_loss", self.training_step(batch), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.val_losses.append(self.trainer.callback_metrics["val_loss"].item())

    def configure_optimizers(self) -> torch.optim.Optimizer:  # Keras's; torch's are 0.01 and 0.99
        return torch.optim.RMSprop(self.parameters(), lr=0.001, alpha=0.9)


def main(folder: str) -> None:
    """Train, and print the lowest validation loss."""
    seed_everything(SEED)
    torch.set_num_threads(1)  # one thread is fastest for a small network
    table = pd.read_parquet(f"{folder}/imdb/plain_text/train-00000-of-00001.parquet")
    table = table.sample(frac=1, random_state=113)  # in the book's order
    labels = torch.tensor(table["label"].to_numpy(), dtype=torch.float32)
    reviews = [text.lower().translate(MARKS).split() for text in table["text"]]
    counts = Counter(word for words in reviews[VAL_SIZE:] for word in words)
    ids = {word: id for id, (word, _) in enumerate(counts.most_common(NUM_WORDS - 4), start=4)}
    # One byte per review and word of the vocabulary, 250 MB; dlp stores only the words that occur.
    rows = torch.zeros(len(reviews), NUM_WORDS, dtype=torch.uint8)
    for row, words in zip(rows, reviews, strict=True):  # 1 starts a review, 2 is an unknown word
        row[[1] + [ids.get(word, 2) for word in words]] = 1
    val = TensorDataset(rows[:VAL_SIZE], labels[:VAL_SIZE])
    train = TensorDataset(rows[VAL_SIZE:], labels[VAL_SIZE:])
    model = Reviews()
    settings = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    trainer = Trainer(max_epochs=EPOCHS, **settings)
    trainer.fit(model, DataLoader(train, 512, shuffle=True), DataLoader(val, 512))
    lowest = min(model.val_losses)
    print(f"lowest val_loss {lowest:.4f}, in epoch {model.val_losses.index(lowest) + 1}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ["DLP_DATA_DIR"])
