"""A callback that notes when training steps begin, and what one of them multiplies."""

import json
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dlp.bag_of_words import BagOfWords
from dlp.dense_product import PRODUCT

#: The step whose products are listed; by then layers have the shape that they keep.
LISTED = 3


def dense_flops(inputs: Any, weight: Any, *_: Any, **__: Any) -> int:
    """Return the operations of `dlp.dense_product`, which torch does not count."""
    return int(2 * inputs.numel() * weight.shape[0])


#: Operation -> what counts it.
COUNTS = {**flop_registry, PRODUCT: dense_flops}


class Products(TorchDispatchMode):
    """Lists each matrix product as (operations, bytes of its operands and results, number type)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, int, str]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and note it where it is a product."""
        result = func(*args, **(kwargs or {}))
        count = COUNTS.get(func._overloadpacket)
        if count is not None:
            flops = count(*args, **(kwargs or {}), out_val=result)
            results = result if isinstance(result, tuple) else (result,)
            tensors = [one for one in (*args, *results) if isinstance(one, torch.Tensor)]
            moved = sum(one.numel() * one.element_size() for one in tensors)
            self.found.append((int(flops), moved, str(tensors[0].dtype).removeprefix("torch.")))
        return result


class StepTimes(lightning.Callback):
    """Writes to the file ``$STEP_TIMES`` when each step began, and what one of them computed.

    ``features`` are the seconds in which those of a frozen base are computed.
    """

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.mode, self.sparse, self.features = Products(), 0, 0.0
        self.is_features = "STEP_TIMES_OF_FEATURES" in os.environ

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Begin the time of features."""
        self.features = time.perf_counter()
        if self.is_features:
            self.mode.__enter__()

    def on_fit_start(self, *_: Any) -> None:
        """End it."""
        if self.is_features:
            self.mode.__exit__(None, None, None)
        self.features = time.perf_counter() - self.features

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time, and list one step."""
        if len(self.begun) == LISTED and not self.is_features:
            self.mode.__enter__()
            if isinstance(batch[0], BagOfWords):  # forward, and the gradient of the first layer
                width = next(pl_module.parameters()).shape[0]
                self.sparse = 2 * 2 * len(batch[0].ids) * width
        self.begun.append(time.perf_counter())

    def on_train_batch_end(self, *_: Any) -> None:
        """End the list."""
        if len(self.begun) == LISTED + 1 and not self.is_features:
            self.mode.__exit__(None, None, None)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write what was noted; the listed step and its neighbours are no times."""
        begun = self.begun[LISTED + 2 :]
        steps = [b - a for a, b in pairwise(begun)]
        trained = sum(one.numel() for one in pl_module.parameters() if one.requires_grad)
        rows = sum(len(trainer.datamodule.examples(part).rows) for part in ("train", "val"))
        noted = {"steps": steps, "products": self.mode.found, "sparse": self.sparse}
        noted |= {"trained": 0 if self.is_features else trained, "features": self.features}
        noted |= {"rows": rows, "threads": torch.get_num_threads()}
        Path(os.environ["STEP_TIMES"]).write_text(json.dumps(noted), encoding="utf-8")
