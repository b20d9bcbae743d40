"""Dense networks on texts, tables and flattened images (chapters 2.1, 3 and 4)."""

from collections.abc import Sequence
from typing import Unpack

from dlp.modules.base import SupervisedModule
from dlp.modules.heads import Head, HeadName
from dlp.modules.networks import Activation, DenseNet
from dlp.modules.shared_arguments import TrainingArguments


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
        **training: See `SupervisedModule`.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        head: HeadName | Head = "softmax",
        hidden: Sequence[int] = (16, 16),
        activation: Activation = "relu",
        dropout: float = 0.0,
        **training: Unpack[TrainingArguments],
    ) -> None:
        super().__init__(
            lambda width: DenseNet(input_shape, width, hidden, activation, dropout),
            head,
            num_outputs,
            input_shape=input_shape,
            **training,
        )
        self.save_plain_arguments()
