"""Newswires on 46 topics (section 3.5), with torch and Lightning, without dlp.

Run python examples/plain/reuters.py FOLDER. The same experiment with dlp: dlp fit --config reuters
"""

import html
import os
import re
import sys
import tarfile
from collections import Counter

import pandas as pd
import torch
from lightning import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

SEED, EPOCHS, NUM_WORDS = 0, 9, 10_000
TRAIN, TEST = slice(1000, 8982), slice(8982, None)  # the book validates on the first 1,000 wires
MARKS = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~', " "))  # Keras removes them


def read_wires(path: str) -> pd.DataFrame:
    """Read the first topic of each wire, and the words of its body or, without one, its title."""
    with tarfile.open(path) as archive:  # the files are in the order of their numbers
        files = [archive.extractfile(file).read() for file in archive if ".sgm" in file.name]
    rows = []
    for wire in re.findall("(?s)<REUTERS .*?</REUTERS>", b"".join(files).decode("latin-1")):
        topic = re.search("<TOPICS><D>(.*?)</D>", wire)
        text = re.search("(?s).*<(BODY|TITLE|TEXT.*?)>(.+?)</(BODY|TITLE|TEXT)>", wire)
        if topic:
            rows.append((topic[1], html.unescape(text[2]).lower().translate(MARKS).split()))
    return pd.DataFrame(rows, columns=["topic", "words"])


class Newswires(LightningModule):
    """Two dense layers of 64 units, and a logit for each topic."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(NUM_WORDS, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Linear(64, 46))
        for layer in self.network[::2]:  # Keras's initial weights; torch's differ
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def test_step(self, batch: list[Tensor]) -> None:
        self.log("test_acc", (self.network(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:  # Keras's; torch's are 0.01 and 0.99
        return torch.optim.RMSprop(self.parameters(), lr=0.001, alpha=0.9)


def main(folder: str) -> None:
    """Train on 7,982 wires, and print the accuracy on the last 2,246, a fifth of all wires."""
    seed_everything(SEED)
    torch.set_num_threads(1)  # one thread is fastest for a small network
    wires = read_wires(f"{folder}/reuters21578/reuters21578.tar.gz")
    wires = wires.groupby("topic").filter(lambda of_topic: len(of_topic) >= 15)
    wires["topic"] = pd.factorize(wires["topic"])[0]  # numbered by their first appearance
    wires = wires.sample(frac=1, random_state=113)  # in the book's order
    counts = Counter(word for words in wires["words"].iloc[TRAIN] for word in words)
    ids = {word: id for id, (word, _) in enumerate(counts.most_common(NUM_WORDS - 4), start=4)}
    rows = torch.zeros(len(wires), NUM_WORDS)
    for row, words in zip(rows, wires["words"], strict=True):  # 1 starts a wire, 2 is unknown
        row[[1] + [ids.get(word, 2) for word in words]] = 1
    topics = torch.tensor(wires["topic"].to_numpy())
    model = Newswires()
    trainer = Trainer(max_epochs=EPOCHS, logger=False, enable_checkpointing=False)
    trainer.fit(model, DataLoader(TensorDataset(rows[TRAIN], topics[TRAIN]), 512, shuffle=True))
    tests = DataLoader(TensorDataset(rows[TEST], topics[TEST]), 512)
    print(f"test_acc {trainer.test(model, tests, verbose=False)[0]['test_acc']:.4f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ["DLP_DATA_DIR"])
