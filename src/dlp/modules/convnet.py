"""Convolutional networks from scratch (chapters 5.1 and 5.2)."""

from collections.abc import Sequence
from typing import Literal, Unpack

from dlp.modules.base import SupervisedModule
from dlp.modules.heads import Head, HeadName
from dlp.modules.networks import Activation, ConvNet
from dlp.modules.shared_arguments import TrainingArguments


class ConvNetModule(SupervisedModule):
    """Convolutions with pooling and a dense stack, under a head.

    Args:
        input_shape: Shape of one image, (C, H, W); from the data in the CLI.
        num_outputs: Number of classes (2 for binary), labels or target columns; from the data in
            the CLI.
        head: The kind of problem.
        channels: Filters of each convolution.
        dense: Units of each dense layer before the last.
        kernel_size: Side of each convolution's window: one number, or one for each.
        pool: Side of the max-pooling window after each convolution, 0 for none: one number, or
            one for each.
        padding: ``valid`` shrinks the image by kernel_size - 1, ``same`` keeps its size.
        activation: After each convolution and hidden dense layer.
        dropout: Rate after flattening, in [0, 1).
        **training: See `SupervisedModule`.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        head: HeadName | Head = "softmax",
        channels: Sequence[int] = (32, 64, 128, 128),
        dense: Sequence[int] = (512,),
        kernel_size: int | Sequence[int] = 3,
        pool: int | Sequence[int] = 2,
        padding: Literal["valid", "same"] = "valid",
        activation: Activation = "relu",
        dropout: float = 0.0,
        **training: Unpack[TrainingArguments],
    ) -> None:
        super().__init__(
            lambda width: ConvNet(
                input_shape, width, channels, dense, kernel_size, pool, padding, activation, dropout
            ),
            head,
            num_outputs,
            input_shape=input_shape,
            **training,
        )
        self.save_plain_arguments()
