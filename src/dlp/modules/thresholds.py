"""Thresholds: given as a number, or chosen by what the validation part says."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from dlp.errors import InputError, unknown

#: A number; ``f1``: where F1 is highest; or what a mistake costs, by ``false_negative`` (a positive
#: that is missed) and ``false_positive`` (a false alarm): where the sum of costs is lowest.
Threshold = float | Literal["f1"] | dict[str, float]

_COSTS = ("false_negative", "false_positive")


def checked_threshold(given: Threshold) -> Threshold:
    """Return a threshold as it was given, its number in float32: tensors compare by that.

    Raises:
        InputError: It is not a threshold.
    """
    if given == "f1":
        return given
    if isinstance(given, Mapping):
        for name, cost in given.items():
            if name not in _COSTS:
                raise unknown("cost of threshold", str(name), _COSTS)
            if not (math.isfinite(cost) and cost >= 0):
                raise InputError(f"the cost {name} must be 0 or more, got {cost}.")
        if not any(given.values()):
            raise InputError("a threshold by costs needs one above 0: {false_negative: 10}.")
        return dict(given)
    if isinstance(given, bool | str) or not 0 <= given <= 1:
        raise InputError(
            "threshold must be a number of 0 to 1, f1, or what a mistake costs "
            f"({{false_negative: 10, false_positive: 1}}); got {given!r}."
        )
    return float(np.float32(given))


def check_can_choose(rule: Threshold | None, trainer: Any) -> None:
    """Raise `InputError` if a fit is to choose a threshold and will not validate.

    Args:
        rule: See `Threshold`; None where the threshold is known.
        trainer: A Trainer that has begun to fit. It has no validation loaders yet where its first
            epoch does not validate.
    """
    known = trainer.val_dataloaders is not None
    validates = trainer.enable_validation and (not known or any(trainer.num_val_batches))
    if rule is not None and not validates:
        raise InputError(
            f"threshold: {rule} is chosen on the validation part, and there is none: give "
            "val_size, or a number."
        )


def best_threshold(
    chances: NDArray[np.float32], targets: NDArray[np.bool_], rule: Threshold
) -> float:
    """Return the threshold that is best by a rule, half-way between two probabilities.

    Args:
        chances: Probabilities, (N,).
        targets: Whether each came true, (N,).
        rule: See `Threshold`; costs that are not named are 1.
    """
    order = np.argsort(-chances, kind="stable")
    chances, targets = chances[order].astype(np.float64), targets[order]
    last = np.append(np.flatnonzero(np.diff(chances)), len(chances) - 1)  # of equal ones
    # With the first so many called positive, none of them to begin with:
    called = np.concatenate([[0], last + 1])
    hits = np.concatenate([[0], np.cumsum(targets)[last]])
    false_alarms, missed = called - hits, targets.sum() - hits
    if isinstance(rule, Mapping):
        cost = rule.get("false_positive", 1.0) * false_alarms
        worth = -(cost + rule.get("false_negative", 1.0) * missed)
    else:
        worth = 2 * hits / np.maximum(2 * hits + false_alarms + missed, 1)
    best = int(worth.argmax())
    edges = np.concatenate([[1.0], chances[last], [0.0]])
    return float(np.float32((edges[best] + edges[best + 1]) / 2))


class ThresholdChoice(Metric):
    """Chooses a threshold on all samples of all processes.

    Args:
        rule: See `Threshold`.
    """

    higher_is_better = None
    chances: list[Tensor]
    targets: list[Tensor]

    def __init__(self, rule: Threshold) -> None:
        super().__init__()
        self.rule = rule
        self.add_state("chances", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Add a batch: probabilities and 0 or 1, of one shape."""
        self.chances.append(scores)
        self.targets.append(targets)

    def compute(self) -> Tensor:
        """Return the threshold, a scalar."""
        chances, targets = (
            dim_zero_cat(part).flatten().cpu().numpy() for part in (self.chances, self.targets)
        )
        return torch.tensor(best_threshold(chances, targets > 0, self.rule))
