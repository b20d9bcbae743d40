"""The second edition's small Xception: separable convolutions with shortcuts (its chapter 9)."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.modules.base import SupervisedModule
from dlp.modules.checks import check_images, checked_shape
from dlp.modules.heads import Head, HeadName
from dlp.modules.networks import Dropout, initialise
from dlp.modules.shared_arguments import TrainingArguments

_FILTERS = (32, 64, 128, 256, 512)


class SamePool(nn.Module):
    """Max pooling over 3 x 3 with stride 2 and Keras's padding ``same``.

    Sides are halved and rounded up. A side of even length is padded after its end only, one of
    odd length on both ends; ``nn.MaxPool2d(3, 2, padding=1)`` would shift the windows of even ones.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, C, ceil(H / 2), ceil(W / 2)) of (N, C, H, W)."""
        height, width = input.shape[2:]
        return F.max_pool2d(input, 3, 2, padding=(height % 2, width % 2), ceil_mode=True)


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3 x 3 convolution of each channel by itself, and one of 1 x 1 over channels."""
    return nn.Sequential(
        OrderedDict(
            depthwise=nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            pointwise=nn.Conv2d(inputs, outputs, 1, bias=False),
        )
    )


def _norm(channels: int) -> nn.BatchNorm2d:
    """Return batch normalisation with Keras's constants (its momentum 0.99 is torch's 0.01)."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class XceptionBlock(nn.Module):
    """Two separable convolutions and pooling, beside a shortcut of 1 x 1: sides are halved.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            OrderedDict(
                norm1=_norm(inputs),
                relu1=nn.ReLU(),
                sepconv1=_separable(inputs, outputs),
                norm2=_norm(outputs),
                relu2=nn.ReLU(),
                sepconv2=_separable(outputs, outputs),
                pool=SamePool(),
            )
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, outputs, ceil(H / 2), ceil(W / 2)) of (N, inputs, H, W)."""
        output: Tensor = self.layers(input) + self.shortcut(input)
        return output


class MiniXception(nn.Module):
    """A convolution, five `XceptionBlock` of 32 to 512 filters, the mean over places, one layer.

    For images of 3 channels, whatever their size, and 1 output: 718,849 parameters and 3,008
    moving averages; the book's "721,857 trainable parameters" are both. Initialised with Glorot
    uniform kernels and zero biases, as the book's networks are.

    Args:
        input_shape: Shape of one image, (C, H, W).
        num_outputs: Units of the last layer, which has no activation.
        dropout: Rate before the last layer, in [0, 1).
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.input_shape = checked_shape(input_shape)
        if len(self.input_shape) != 3 or min(self.input_shape[1:]) < 5:
            raise InputError(
                "the network takes images (channels, height, width) of at least 5 x 5; the data "
                f"has rows of shape {self.input_shape}."
            )
        depth = _FILTERS[0]
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(self.input_shape[0], depth, 5, bias=False)
        )
        for number, filters in enumerate(_FILTERS, start=1):
            layers[f"block{number}"] = XceptionBlock(depth, filters)
            depth = filters
        self.features = nn.Sequential(layers)
        self.classifier = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=Dropout(dropout),
                output=nn.Linear(depth, num_outputs),
            )
        )
        initialise(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in its types

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, num_outputs) of float images (N, C, H, W).

        Raises:
            InputError: The batch is NHWC, of whole numbers, or of another size.
        """
        check_images(images, "the network", self.input_shape[0], self.input_shape[1:])
        features = self.features(images.contiguous(memory_format=torch.channels_last))
        output: Tensor = self.classifier(features)
        return output


class XceptionModule(SupervisedModule):
    """The second edition's small Xception, under a head.

    Args:
        input_shape: Shape of one image, (C, H, W); from the data in the CLI.
        num_outputs: Number of classes (2 for binary), labels or target columns; from the data in
            the CLI.
        head: The kind of problem.
        dropout: Rate before the last layer, in [0, 1).
        **training: See `SupervisedModule`.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        head: HeadName | Head = "softmax",
        dropout: float = 0.5,
        **training: Unpack[TrainingArguments],
    ) -> None:
        super().__init__(
            lambda width: MiniXception(input_shape, width, dropout),
            head,
            num_outputs,
            input_shape=input_shape,
            **training,
        )
        self.save_plain_arguments()
