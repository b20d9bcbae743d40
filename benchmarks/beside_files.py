"""Write the tables and configs that ``beside.py`` needs: ``beside_files.py FOLDER``."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

PRICES = """\
data:
  class_path: TableDataModule
  init_args: {path: PATH/prices.parquet, target: price, target_scaling: standard, batch_size: 64}
model: {class_path: DenseModule, init_args: {head: regression, hidden: [64, 64]}}
trainer: {max_epochs: 2}
"""
BINS = """\
data:
  class_path: TableDataModule
  init_args: {path: PATH/bins.parquet, target: y, bins: 16, batch_size: 4096, test_size: null}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [32]}}
trainer: {max_epochs: 1}
"""


def prices(count: int, seed: int) -> pd.DataFrame:
    """Return rows with numbers, a boolean, a date, two categories and a price."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, 5)).round(4)
    frame = pd.DataFrame(numbers, columns=[f"x{place}" for place in range(5)])
    days = pd.to_timedelta(random.integers(0, 1500, count), "D")
    frame["day"] = pd.Timestamp("2020-01-01") + days
    frame["town"] = random.choice(["Paris", "Lyon", "Nice", "Lille"], count)
    frame["kind"] = random.choice(list("abcdefgh"), count)
    frame["flag"] = random.random(count) < 0.3
    frame["price"] = 100 + 10 * frame["x0"] + 20 * (frame["town"] == "Paris")
    return frame


def numbers(count: int, num_columns: int) -> pd.DataFrame:
    """Return rows with numbers, and a class that depends on the first two."""
    random = np.random.default_rng(0)
    values = random.normal(size=(count, num_columns)).round(5)
    frame = pd.DataFrame(values, columns=[f"x{place}" for place in range(num_columns)])
    frame["y"] = np.where(frame["x0"] + frame["x1"] > 0, "yes", "no")
    return frame


def write(folder: Path) -> None:
    """Write all files into a folder."""
    numbers(500_000, 10).to_csv(folder / "wide.csv", index=False)
    numbers(1_000_000, 19).to_parquet(folder / "bins.parquet")
    prices(20_000, 0).to_parquet(folder / "prices.parquet")
    prices(1_000_000, 1).drop(columns="price").to_parquet(folder / "rows.parquet")
    for name, text in (("prices", PRICES), ("bins", BINS)):
        config = text.replace("PATH", folder.as_posix())
        (folder / f"{name}.yaml").write_text(config, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
