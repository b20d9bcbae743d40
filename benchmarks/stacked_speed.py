"""Time of cross-validation on Boston's shape: folds one after the other against all at once.

404 rows of 13 numbers, K = 4 (303 trained, 101 validated), hidden layers 64 and 64, batches of one
row, the book's RMSprop. Both engines run in one process and one thread through Lightning's Trainer,
denormals flushed, in rounds that take turns.

python benchmarks/stacked_speed.py [--epochs 5] [--rounds 5] [--folds 4 40 400] [--profile]
"""

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import torch
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule
from dlp.process import flushed_denormals
from dlp.stacked import FoldData, fit_stacked

NUM_FOLDS, ROWS, FEATURES = 4, 404, 13
STEPS = ROWS // NUM_FOLDS * (NUM_FOLDS - 1)
draw = torch.Generator().manual_seed(0)
X = torch.randn(ROWS, FEATURES, generator=draw)
Y = 22 + 9 * torch.tanh(X @ torch.randn(FEATURES, generator=draw) / 3)


def prepared(fold: int, optimizer: str) -> tuple[DenseModule, ArrayDataModule]:
    """Return a fresh model and the data of a fold; folds from 4 on belong to later repeats."""
    torch.manual_seed(fold)
    data = ArrayDataModule(
        X,
        Y,
        num_folds=NUM_FOLDS,
        fold=fold % NUM_FOLDS,
        repeat=fold // NUM_FOLDS,
        batch_size=1,
        scaling="standard",
        task="regression",
    )
    arguments = (
        {} if optimizer == "KerasRMSprop" else {"optimizer": getattr(torch.optim, optimizer)}
    )
    return DenseModule((FEATURES,), 1, head="regression", hidden=(64, 64), **arguments), data


def fold_data(data: ArrayDataModule) -> FoldData:
    """Return the tensors that the loaders of a fold slice."""
    train, val = data.train_dataloader(), data.val_dataloader()
    return FoldData(train.inputs, train.targets, val.inputs, val.targets, 1, data._order_seed())


def trainer(epochs: int, *callbacks: History) -> Trainer:
    """Return a Trainer that writes and prints nothing."""
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
    )


def serial(optimizer: str, epochs: int) -> float:
    """Return the seconds that four folds take, one after the other."""
    pairs = [prepared(fold, optimizer) for fold in range(NUM_FOLDS)]
    for _, data in pairs:
        data.train_dataloader(), data.val_dataloader()
    start = time.perf_counter()
    for model, data in pairs:
        trainer(epochs, History()).fit(model, data)
    return time.perf_counter() - start


def stacked(optimizer: str, folds: int, epochs: int) -> float:
    """Return the seconds that so many folds take, all at once."""
    pairs = [prepared(fold, optimizer) for fold in range(folds)]
    tensors = [fold_data(data) for _, data in pairs]
    start = time.perf_counter()
    fit_stacked([model for model, _ in pairs], tensors, trainer(epochs))
    return time.perf_counter() - start


def profiled(run: Callable[[], float]) -> None:
    """Print where the time of `run` goes."""
    run()
    with torch.profiler.profile() as profile:
        run()
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


def main() -> None:
    """Print microseconds a step and the ratio to the serial engine, medians over rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folds", type=int, nargs="+", default=[4, 40, 400])
    parser.add_argument("--optimizer", default="KerasRMSprop")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    optimizer, epochs = options.optimizer, options.epochs
    with flushed_denormals():
        if options.profile:
            for folds in options.folds:
                profiled(partial(stacked, optimizer, folds, epochs))
            return
        serial(optimizer, 1)
        times: dict[int, list[float]] = {folds: [] for folds in (0, *options.folds)}
        for _ in range(options.rounds):
            for folds in times:
                run = partial(stacked, optimizer, folds) if folds else partial(serial, optimizer)
                times[folds].append(run(epochs))
    per_step = {name: statistics.median(all_) / epochs / STEPS for name, all_ in times.items()}
    one = per_step[0] / NUM_FOLDS
    print(f"serial: {one * 1e6:.0f} microseconds a step of one fold")
    for folds in options.folds:
        took = per_step[folds]
        print(f"stacked, {folds} folds: {took * 1e6:.0f} a step of all, {one * folds / took:.1f} x")


if __name__ == "__main__":
    main()
