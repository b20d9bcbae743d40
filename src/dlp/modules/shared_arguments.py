"""The arguments that every module takes, said once."""

from collections.abc import Sequence
from typing import Any, TypedDict

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn

from dlp.modules.class_weights import ClassWeight
from dlp.modules.thresholds import Threshold
from dlp.target_transforms import TargetTransform


class TrainingArguments(TypedDict, total=False):
    """What every module takes besides a network and a head; `SupervisedModule` says what it means.

    A module takes them as ``**training: Unpack[TrainingArguments]`` and hands them on to its base.
    """

    loss: nn.Module | str | Any | None
    metrics: Sequence[str | Any] | None
    class_weight: ClassWeight | None
    threshold: Threshold | None
    l1: float
    l2: float
    optimizer: OptimizerCallable
    scheduler: LRSchedulerCallable | None
    target_mean: list[float] | None
    target_std: list[float] | None
    target_transform: TargetTransform
