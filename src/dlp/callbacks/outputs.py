"""Outputs of the steps of an evaluation, gathered from batches and processes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch.distributed
from lightning import Trainer
from numpy.typing import NDArray
from torch import Tensor


def gather_outputs(
    trainer: Trainer, batches: Sequence[Mapping[str, Tensor]]
) -> dict[str, NDArray[Any]] | None:
    """Return the outputs of all batches by name; None in all processes but the first."""
    arrays = [{name: value.numpy(force=True) for name, value in batch.items()} for batch in batches]
    if trainer.world_size > 1:
        parts: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, arrays)
        arrays = [batch for part in parts for batch in part]
    if not trainer.is_global_zero:
        return None
    return {name: np.concatenate([batch[name] for batch in arrays]) for name in arrays[0]}
