"""Measure how many rows of a table are predicted per CPU second, in a temporary folder.

The script fits a net with two layers of 128 units to 20,000 rows with ten columns, and exports it.
Then it predicts a data frame and dictionaries with the run and with the export, and Parquet files
with ``dlp predict``.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlp import Predictor

CONFIG = """\
data:
  class_path: TableDataModule
  init_args:
    path: train.parquet
    target: price
    scaling: quantile
    target_scaling: standard
    batch_size: 64
model: {class_path: DenseModule, init_args: {head: regression, hidden: [128, 128]}}
trainer: {max_epochs: 3}
"""
# Prints the peak memory of only this command; ru_maxrss of a child includes that of its parent.
PEAK = """
import atexit
def peak():
    lines = open("/proc/self/status").read().splitlines()
    print(*[line for line in lines if line.startswith("VmHWM")])
atexit.register(peak)
from dlp.__main__ import run
run()
"""


def make_table(count: int, seed: int) -> pd.DataFrame:
    """Return rows with six numbers, a boolean, a date, two categories and a price."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{place}": random.normal(size=count).round(4) for place in range(5)})
    frame["number"] = random.integers(0, 1000, count)
    days = pd.to_timedelta(random.integers(0, 1500, count), "D")
    frame["day"] = pd.Timestamp("2020-01-01") + days
    frame["town"] = random.choice(["Paris", "Lyon", "Nice", "Lille"], count)
    frame["kind"] = random.choice(list("abcdefgh"), count)
    frame["flag"] = random.random(count) < 0.3
    noise = random.normal(size=count)
    frame["price"] = 100 + frame.x0 * 10 + frame.number / 10 + (frame.town == "Paris") * 20 + noise
    return frame


def rate(predictor: Predictor, rows: Any) -> float:
    """Return the number of rows predicted per CPU second, as the median of three runs."""
    rates = []
    for _ in range(3):
        start = time.process_time()
        predictor.predict(rows)
        rates.append(len(rows) / (time.process_time() - start))
    return float(np.median(rates))


def command(*arguments: str) -> tuple[float, float]:
    """Run a command; return its CPU seconds and its peak memory in MB."""
    before = os.times()
    output = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments], check=True, capture_output=True, text=True
    ).stdout
    after = os.times()
    seconds = after.children_user - before.children_user
    seconds += after.children_system - before.children_system
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", output)
    return seconds, int(peak) / 1024


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    count = parser.parse_args().rows
    os.chdir(tempfile.mkdtemp())
    make_table(20_000, 0).to_parquet("train.parquet")
    Path("prices.yaml").write_text(CONFIG)
    command("fit", "--config", "prices.yaml")
    command("export", "prices")
    frame = make_table(200_000, 1).drop(columns="price")
    cells = frame.head(20_000).to_dict("records")
    print("| rows | rows per CPU second |\n| --- | --- |")
    for name, path in (("run", "prices"), ("export", "runs/prices/version_0/exported")):
        predictor = Predictor.load(path)
        print(f"| data frame, {name} | {rate(predictor, frame):,.0f} |")
        print(f"| dictionaries, {name} | {rate(predictor, cells):,.0f} |")
    print("\n| dlp predict | CPU seconds | peak MB |\n| --- | --- | --- |")
    for rows in (count // 10, count):
        make_table(rows, 1).drop(columns="price").to_parquet("rows.parquet")
        for ending in ("csv", "parquet"):
            output = f"out_{rows}.{ending}"
            data = ("--data.predict_path", "rows.parquet", "--output", output)
            seconds, peak = command("predict", "--config", "prices.yaml", *data)
            print(f"| {rows:,} rows to {ending} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
