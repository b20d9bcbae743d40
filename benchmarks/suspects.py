"""Flip 5 % of the labels in two sets, and count how many of them ``dlp suspects`` lists.

    python benchmarks/suspects.py

The digits are trained as a table with ``configs/own/table.yaml``, and 1,000 IMDB reviews as texts
with ``configs/own/texts.yaml``, each with 5 folds. The table is in docs/how_to/wrong_labels.md.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from own_data import bundled, reviews
from sklearn.datasets import load_digits

from dlp.cli import main

ROOT = Path("runs/suspects")
CONFIGS = Path(__file__).parents[1] / "configs" / "own"
SHARE = 0.05
SEEDS = 3
SETTINGS = ["--data.task", "classification", "--data.test_size", "null", "--num_folds", "5"]
TABLE = ["--data.target", "target", "--data.target_scaling", "none"]
TEXTS = ["--data.text_column", "text", "--data.label_column", "target"]


def flip(frame: pd.DataFrame, seed: int) -> set[int]:
    """Change the labels of random rows to random other ones; return the row numbers."""
    generator = np.random.default_rng(seed)
    rows = generator.choice(len(frame), round(SHARE * len(frame)), replace=False)
    num_classes = frame["target"].nunique()
    shift = generator.integers(1, num_classes, len(rows))
    frame.loc[rows, "target"] = (frame.loc[rows, "target"] + shift) % num_classes
    return set(rows.tolist())


def precisions(name: str, frame: pd.DataFrame, seed: int, args: list[str]) -> list[float]:
    """Return the share of flipped rows among the first 16 suspects, and among the first 5 %."""
    frame = frame.reset_index(drop=True)
    flipped = flip(frame, seed)
    ROOT.mkdir(parents=True, exist_ok=True)
    path = ROOT / f"{name}_{seed}.csv"
    frame.to_csv(path, index=False)
    run = ROOT / f"{name}_{seed}"
    paths = ["--data.path", str(path), "--run_dir", str(run)]
    main(["crossval", *args, *SETTINGS, *paths, "--seed_everything", str(seed)])
    suspects: Any = main(["suspects", str(run), "--count", str(len(flipped))])
    is_flipped = suspects["index"].isin(flipped)
    return [is_flipped[:16].mean(), is_flipped.mean()]


def benchmark() -> None:
    """Print a row for each set, with the mean and range over the seeds."""
    digits = bundled(load_digits, 0).astype({"target": int})
    lines = []
    for title, config, args in (("digits", "table", TABLE), ("reviews", "texts", TEXTS)):
        values = []
        for seed in range(SEEDS):
            frame = digits if title == "digits" else reviews(1000, seed)
            words = ["--config", str(CONFIGS / f"{config}.yaml"), *args]
            values.append(precisions(title, frame, seed, words))
        cells = []
        for column in zip(*values, strict=True):
            cells.append(f"{np.mean(column):.2f} ({min(column):.2f} to {max(column):.2f})")
        lines.append(f"| {title} | {len(frame):,} | {' | '.join(cells)} |")
    print("\n".join(lines))


if __name__ == "__main__":
    benchmark()
