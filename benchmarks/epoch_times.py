"""A callback that prints the duration of each epoch in a fit as JSON."""

import json
import time
from itertools import pairwise
from typing import Any

from lightning import Callback


class EpochTimes(Callback):
    """Print a last line with the time of the first batch and the seconds of each epoch."""

    def __init__(self) -> None:
        self.first_batch = 0.0
        self.times: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """Record the time."""
        self.times.append(time.time())

    def on_train_batch_start(self, *_: Any) -> None:
        """Record the time of the first batch."""
        self.first_batch = self.first_batch or time.time()

    def on_train_end(self, *_: Any) -> None:
        """Print the times."""
        times = [*self.times, time.time()]
        epochs = [end - start for start, end in pairwise(times)]
        print("\nTIMES", json.dumps({"first": self.first_batch, "epochs": epochs}), flush=True)
