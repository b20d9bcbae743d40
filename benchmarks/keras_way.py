"""Train the book's networks in Keras 3 as in the book. against_keras.py runs this script.

    KERAS_BACKEND=jax keras/jax/bin/python benchmarks/keras_way.py imdb rows.npz

It runs in an environment with Keras and a backend, without dlp. The arrays are in memory as
float32 before the time is measured. The last line contains the seconds of the fit and of each epoch
as JSON.
"""

import json
import sys
import time
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import layers

HIDDEN = {"imdb": (16, 16), "reuters": (64, 64), "boston": (64, 64), "mnist": (64,)}
CHANNELS = {"mnist": ((32, 64, 64), (2, 2, 0)), "cats_dogs": ((32, 64, 128, 128), (2, 2, 2, 2))}
LAST = {"reuters": (46, "softmax"), "mnist": (10, "softmax"), "boston": (1, "linear")}
LR = {"cats_dogs": 1e-4, "features": 2e-5}


def network(name: str, shape: tuple[int, ...]) -> keras.Sequential:
    """Build and compile a network from the book."""
    model = keras.Sequential([keras.Input(shape)])
    for filters, pool in zip(*CHANNELS.get(name, ((), ())), strict=True):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        if pool:
            model.add(layers.MaxPooling2D(pool))
    if name in CHANNELS:
        model.add(layers.Flatten())
    for units in HIDDEN.get(name, (512,)):
        model.add(layers.Dense(units, activation="relu"))
    outputs, activation = LAST.get(name, (1, "sigmoid"))
    model.add(layers.Dense(outputs, activation=activation))
    losses = {"softmax": "sparse_categorical_crossentropy", "linear": "mse"}
    model.compile(
        optimizer=keras.optimizers.RMSprop(LR.get(name, 1e-3)),
        loss=losses.get(activation, "binary_crossentropy"),
        metrics=["mae" if activation == "linear" else "accuracy"],
    )
    return model


def inputs(arrays: Any, part: str, width: int) -> np.ndarray:
    """Return the rows of a part as float32. Texts are stored as word ids and their ends."""
    if f"{part}_ids" not in arrays:
        rows = arrays[f"{part}_x"].astype(np.float32)
        return rows / 255 if arrays[f"{part}_x"].dtype == np.uint8 else rows
    ends = arrays[f"{part}_ends"]
    rows = np.zeros((len(ends) - 1, width), np.float32)
    rows[np.repeat(np.arange(len(rows)), np.diff(ends)), arrays[f"{part}_ids"]] = 1
    return rows


class EpochTimes(keras.callbacks.Callback):
    """Record of the start of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Record the time."""
        self.times.append(time.perf_counter())


def main() -> None:
    """Train once, or once per fold, and print the times."""
    name, path, epochs, batch_size, folds = *sys.argv[1:3], *map(int, sys.argv[3:6])
    arrays = np.load(path)
    x, y = inputs(arrays, "train", 10_000), arrays["train_y"]
    has_val = "val_y" in arrays
    val = (inputs(arrays, "val", 10_000), arrays["val_y"]) if has_val else None
    clock = EpochTimes()
    start = time.perf_counter()
    for fold in range(folds):
        keras.utils.set_random_seed(fold)
        is_val = np.arange(len(x)) * 4 // len(x) == fold % 4
        parts = (x[~is_val], y[~is_val], (x[is_val], y[is_val])) if folds > 1 else (x, y, val)
        model = network(name, x.shape[1:])
        fit = {"batch_size": batch_size, "epochs": epochs, "validation_data": parts[2]}
        model.fit(*parts[:2], **fit, verbose=0 if folds > 1 else 2, callbacks=[clock])
    end = time.perf_counter()
    times = [*clock.times, end]
    seconds = [b - a for a, b in pairwise(times)]
    print("\nTIMES", json.dumps({"fit": end - start, "epochs": seconds}), flush=True)


if __name__ == "__main__":
    main()
