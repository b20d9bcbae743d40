"""A callback that notes when things happen, for runs that are measured from outside."""

import json
import os
import time
from pathlib import Path
from typing import Any

import lightning


class EpochTimes(lightning.Callback):
    """Writes to the file ``$EPOCH_TIMES``, in seconds of ``time.time()``.

    ``setup`` and ``start`` of a fit (between them features of a frozen base are computed),
    the ``first`` batch of any kind, and ``epochs``: when each began, and when the last had ended.
    """

    def __init__(self) -> None:
        self.noted: dict[str, Any] = {"epochs": []}

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Note the time."""
        self.noted.setdefault("setup", time.time())

    def on_fit_start(self, *_: Any) -> None:
        """Note the time."""
        self.noted["start"] = time.time()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Note the time."""
        self.noted["epochs"].append(time.time())

    def on_train_end(self, *_: Any) -> None:
        """Note the time."""
        self.noted["epochs"].append(time.time())

    def on_train_batch_start(self, *_: Any) -> None:
        """Note the time of the first batch."""
        self.noted.setdefault("first", time.time())

    def on_test_batch_start(self, *_: Any) -> None:
        """Note the time of the first batch."""
        self.noted.setdefault("first", time.time())

    def on_predict_batch_start(self, *_: Any) -> None:
        """Note the time of the first batch."""
        self.noted.setdefault("first", time.time())

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Write what was noted."""
        if place := os.environ.get("EPOCH_TIMES"):
            Path(place).write_text(json.dumps(self.noted), encoding="utf-8")
