"""Small labelled texts in the true formats, and the DataModule most of their tests build."""

import csv

import datasets
import numpy as np

from dlp.datamodules import TextDataModule

NUM_WORDS = 60
LABELS = ["good", "bad", "fair"]


def reviews(rows=60, seed=0):
    """Return (text, label) rows, every text another one, sorted by label as on the Hub."""
    random = np.random.default_rng(seed)
    pairs = []
    for row in range(rows):
        label = LABELS[row * 2 // rows]
        words = random.choice([f"word{number}" for number in range(40)], 6)
        pairs.append((f"A {label} film, number {row + 1000 * seed}: {' '.join(words)}.", label))
    return pairs


def write_csv(path, rows, header=("text", "label"), **options):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **options).writerows([header, *rows])
    return str(path)


def hub_folder(folder):
    """Write a folder as the Hub has it, with the classes' names in the files."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    (folder / "plain").mkdir(parents=True)
    for part, seed in (("train", 1), ("test", 2)):
        rows = reviews(40, seed)
        columns = {
            "text": [t for t, _ in rows],
            "label": [int(label == "good") for _, label in rows],
        }
        made = datasets.Dataset.from_dict(columns, features=features)
        made.to_parquet(folder / "plain" / f"{part}-00000-of-00001.parquet")
    return str(folder)


def named_classes(path, names, labels):
    """Write a Parquet file as `datasets` does, with the list `names` of its classes."""
    kind = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    columns = {
        "text": [f"{path.stem} {row} {label}" for row, label in enumerate(labels)],
        "label": [names.index(label) for label in labels],
    }
    datasets.Dataset.from_dict(columns, features=kind).to_parquet(path)
    return str(path)


def make(path, **arguments):
    return TextDataModule(path, **{"num_words": NUM_WORDS, **arguments})
