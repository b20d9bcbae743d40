"""Dense networks on texts, tables and flattened images (chapters 2.1, 3 and 4)."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn

from dlp.modules.base import SupervisedModule
from dlp.modules.class_weights import ClassWeight
from dlp.modules.heads import Head, HeadName, make_head
from dlp.modules.networks import Activation, DenseNet
from dlp.modules.optimizers import KerasRMSprop
from dlp.modules.thresholds import Threshold
from dlp.target_transforms import TargetTransform


class DenseModule(SupervisedModule):
    """A stack of dense layers under a head; takes `BagOfWords` batches as well as dense ones.

    Args:
        input_shape: Shape of one input row, (D,) or (C, H, W); from the data in the CLI.
        num_outputs: Number of classes (2 for binary), labels or target columns; from the data in
            the CLI.
        head: The kind of problem.
        hidden: Units of each hidden layer; none gives a linear model.
        activation: After each hidden layer.
        dropout: Rate after each hidden layer, in [0, 1).
        loss: Another loss than the head's: a name, an import path, a callable, or a class_path with
            init_args.
        metrics: Other metrics than the head's: names, import paths, torchmetrics classes or
            functions, or class_paths with init_args.
        class_weight: Rare classes count more in the loss: ``balanced``, or a weight for each class
            by its name (1 where none is given). Reported losses are of the weighted loss.
        threshold: For ``head: sigmoid`` and ``multilabel``: the probability above which a row is
            of class 1; ``f1``, or what mistakes cost (``{false_negative: 10, false_positive: 1}``),
            chooses it on the validation part in every epoch. 0.5 by default.
        l1: Adds ``l1 * sum(|w|)`` over the kernels of all layers but the last.
        l2: Adds ``l2 * sum(w ** 2)`` over the same kernels.
        optimizer: From parameters to an optimizer; the book's RMSprop by default.
        scheduler: From an optimizer to a learning-rate scheduler.
        target_mean: Mean of each target, for ``head: regression``; from the data in the CLI.
        target_std: Standard deviation of each target; from the data in the CLI.
        target_transform: Train on the logarithm of targets; from the data in the CLI.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        head: HeadName | Head = "softmax",
        hidden: Sequence[int] = (16, 16),
        activation: Activation = "relu",
        dropout: float = 0.0,
        loss: nn.Module | str | Any | None = None,
        metrics: Sequence[str | Any] | None = None,
        class_weight: ClassWeight | None = None,
        threshold: Threshold | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        optimizer: OptimizerCallable = KerasRMSprop,
        scheduler: LRSchedulerCallable | None = None,
        target_mean: list[float] | None = None,
        target_std: list[float] | None = None,
        target_transform: TargetTransform = "none",
    ) -> None:
        scale = target_mean, target_std, target_transform
        made = make_head(head, num_outputs, loss, metrics, *scale)
        super().__init__(
            DenseNet(input_shape, made.num_logits, hidden, activation, dropout),
            made,
            class_weight=class_weight,
            threshold=threshold,
            l1=l1,
            l2=l2,
            optimizer=optimizer,
            scheduler=scheduler,
            input_shape=input_shape,
        )
        self.save_plain_arguments()
