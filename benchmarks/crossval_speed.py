"""Cross-validation one fold after the other against all folds at once, and how it grows.

    python benchmarks/crossval_speed.py [--rounds 5] [--folds 4 40 100 200 400]

The Boston net of section 3.6 (404 rows, 4 folds, hidden layers of 64 and 64, batches of one row),
on one thread. Each way runs for 1 epoch and for more, in turns: the difference is what these take,
the rest what it takes to prepare models and data. Writes docs/benchmarks.md.
"""

import argparse
import logging
import os
import statistics
import time
import warnings

import torch
from tables import put, spread

from dlp.crossval import cross_validate
from dlp.datamodules import HousingDataModule, SupervisedDataModule
from dlp.modules import DenseModule

NUM_FOLDS, STEPS = 4, 303
#: Epochs more of the longer run: what is quick needs more of them.
MORE = {"serial": 5, "stacked": 20}


def make_model(data: SupervisedDataModule) -> DenseModule:
    """Return the book's network."""
    return DenseModule(data.input_shape, data.num_outputs, head="regression", hidden=(64, 64))


def seconds(engine: str, folds: int, epochs: int) -> float:
    """Return what a whole cross-validation takes."""
    data = HousingDataModule(val_size=None, split_seed=0, batch_size=1)
    start = time.perf_counter()
    cross_validate(
        data,
        make_model,
        epochs,
        num_folds=NUM_FOLDS,
        repeats=folds // NUM_FOLDS,
        engine="serial" if engine == "serial" else "stacked",
    )
    return time.perf_counter() - start


def main() -> None:
    """Measure in turns, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folds", type=int, nargs="+", default=[4, 40, 100, 200, 400])
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    ways = [("serial", NUM_FOLDS), *(("stacked", folds) for folds in options.folds)]
    seconds("stacked", NUM_FOLDS, 1)  # what is loaded once
    epoch: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    begin: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way in ways:
            more = MORE[way[0]]
            short, long = seconds(*way, 1), seconds(*way, 1 + more)
            epoch[way].append((long - short) / more)
            begin[way].append(short - epoch[way][-1])
    lines = [
        "| engine, folds | prepare, s | an epoch of all folds, s: median (min to max) | "
        "microseconds a step of one fold | times faster: median (min to max) |",
        "|---|---|---|---|---|",
    ]
    for way in ways:
        times, folds = epoch[way], way[1]
        serial = epoch["serial", NUM_FOLDS]
        ratios = [one * folds / NUM_FOLDS / other for one, other in zip(serial, times, strict=True)]
        step = statistics.median(times) / folds / STEPS * 1e6
        lines.append(
            f"| {way[0]}, {folds} | {statistics.median(begin[way]):.2f} | {spread(times, 3)} | "
            f"{step:.1f} | {spread(ratios, 1)} |"
        )
    lines += ["", f"{options.rounds} rounds, torch {torch.__version__}."]
    table = "\n".join(lines)
    put("crossval", table)
    print(table)


if __name__ == "__main__":
    main()
