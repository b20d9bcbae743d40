"""The plain networks: dense nets and convnets as ``nn.Module``, with no Lightning.

Layers have names (``conv1``, ``dense1``, ``output``) by which anything else may address them.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from dlp.bag_of_words import BagLinear, BagOfWords
from dlp.errors import InputError, unknown
from dlp.modules import onednn_layout
from dlp.modules.checks import check_images, checked_number, checked_shape
from dlp.seeds import derived_seed

Activation = Literal["relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "linear"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "linear": nn.Identity,
}

#: Rising functions: the maximum of a window may be taken before or after them.
_RISING = {"relu", "tanh", "sigmoid", "leaky_relu", "elu", "linear"}


def make_activation(name: str) -> nn.Module:
    """Return a new activation layer.

    Raises:
        InputError: The name is not one of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


class Dropout(nn.Module):
    """Inverted dropout that draws from a generator of its own.

    The masks are a pure function of the seed given to `reseed`, whatever else draws random
    numbers: so a resumed run, or one fold among many, drops the same units.

    Args:
        rate: The fraction of units set to zero while training, in [0, 1).
    """

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate
        self._seed: int | None = None
        self._generator: torch.Generator | None = None

    def reseed(self, seed: int) -> None:
        """Start the sequence of masks that belongs to `seed`."""
        self._seed = seed
        self._generator = None

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` with units dropped and the others scaled by 1 / (1 - rate)."""
        if not self.training or self.rate == 0:
            return input
        if self._generator is None or self._generator.device != input.device:
            if self._seed is None:
                self._seed = int(torch.randint(2**62, ()))
            self._generator = torch.Generator(input.device).manual_seed(self._seed)
        drawn = torch.rand(input.shape, generator=self._generator, device=input.device)
        # 1 or 0: products with bool take 0.2 to 0.35 ms more in a step of the augmented convnet.
        kept = drawn.ge_(self.rate).to(input.dtype)
        return input * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        """Return the rate, for printing."""
        return f"rate={self.rate}"


def reseed_dropout(network: nn.Module, seed: int) -> None:
    """Give every `Dropout` of `network` a seed derived from `seed` and its position."""
    layers = (layer for layer in network.modules() if isinstance(layer, Dropout))
    for number, layer in enumerate(layers):
        layer.reseed(derived_seed(seed, number))


def initialise(network: nn.Module) -> None:
    """Initialise as Keras does: Glorot uniform kernels, zero biases, in place.

    Source: Glorot and Bengio 2010, formula 16: U(-a, a) with a = sqrt(6 / (fan_in + fan_out)).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class DenseNet(nn.Module):
    """A stack of dense layers; the first one takes sparse texts as they are.

    Args:
        input_shape: Shape of one input row; images (C, H, W) are flattened.
        num_outputs: Units of the last layer, which has no activation.
        hidden: Units of each hidden layer; none gives a linear model.
        activation: After each hidden layer.
        dropout: Rate after each hidden layer's activation.

    Initialised with Glorot uniform kernels and zero biases, as the book's networks are.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        hidden: Sequence[int] = (16, 16),
        activation: Activation = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive("hidden", hidden)
        self.input_shape = checked_shape(input_shape)
        self.layers = nn.Sequential(
            dense_layers(math.prod(self.input_shape), hidden, num_outputs, activation, dropout)
        )
        initialise(self)

    def forward(self, input: Tensor | BagOfWords) -> Tensor:
        """Return logits (N, num_outputs) of (N, *input_shape), or of a `BagOfWords`.

        Raises:
            InputError: The rows have another shape than the network was built for.
        """
        if isinstance(input, Tensor):
            if tuple(input.shape[1:]) != self.input_shape:
                raise InputError(
                    f"the network takes rows of shape {self.input_shape}, got a batch of shape "
                    f"{tuple(input.shape)}."
                )
            if not input.is_floating_point():
                raise InputError(f"the network takes float32, got {input.dtype}: convert it.")
            input = input.flatten(1)
        output: Tensor = self.layers(input)
        return output


def dense_layers(
    inputs: int, hidden: Sequence[int], outputs: int, activation: Activation, dropout: float
) -> "OrderedDict[str, nn.Module]":
    """Return the named layers of a dense stack, from `inputs` features to `outputs` logits."""
    _check_rate(dropout)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, units in enumerate(hidden, start=1):
        layers[f"dense{number}"] = BagLinear(inputs, units)
        layers[f"{activation}{number}"] = make_activation(activation)
        if dropout:
            layers[f"dropout{number}"] = Dropout(dropout)
        inputs = units
    layers["output"] = BagLinear(inputs, outputs)
    return layers


class ConvNet(nn.Module):
    """Convolutions with pooling, flattened into a dense stack.

    Args:
        input_shape: Shape of one image, (C, H, W).
        num_outputs: Units of the last layer, which has no activation.
        channels: Filters of each convolution.
        dense: Units of each dense layer before the last.
        kernel_size: Side of each convolution's window: one number, or one for each.
        pool: Side of the max-pooling window after each convolution, 0 for none: one number, or
            one for each.
        padding: ``valid`` shrinks the image by kernel_size - 1, ``same`` keeps its size.
        activation: After each convolution and hidden dense layer.
        dropout: Rate after flattening.

    Pooling stands before the activation where the activation is a rising function: the values and
    gradients are the same, on a quarter of the elements. Initialised as the book's networks are:
    Glorot uniform kernels, zero biases.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        channels: Sequence[int] = (32, 64, 128, 128),
        dense: Sequence[int] = (512,),
        kernel_size: int | Sequence[int] = 3,
        pool: int | Sequence[int] = 2,
        padding: Literal["valid", "same"] = "valid",
        activation: Activation = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive("channels", channels)
        check_positive("dense", dense)
        input_shape = checked_shape(input_shape)
        if len(input_shape) != 3:
            raise InputError(
                f"a convnet takes images (channels, height, width); the data has rows of shape "
                f"{tuple(input_shape)}. Use DenseModule for tables and texts, and x[:, None] for "
                "images (N, height, width) without a channel axis."
            )
        if input_shape[2] in (1, 3, 4) and input_shape[0] > 4:
            raise InputError(
                f"images of shape {tuple(input_shape)} have their channels last; the network "
                "takes (channels, height, width): use np.moveaxis(x, -1, 1)."
            )
        self.input_shape = tuple(input_shape)
        kernels = _each("kernel_size", kernel_size, len(channels))
        pools = _each("pool", pool, len(channels))
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        depth, *size = self.input_shape
        for number, (filters, kernel, window) in enumerate(
            zip(channels, kernels, pools, strict=True), start=1
        ):
            layers[f"conv{number}"] = nn.Conv2d(depth, filters, kernel, padding=padding)
            after = {f"{activation}{number}": make_activation(activation)}
            if window > 1:
                pooling = {f"pool{number}": nn.MaxPool2d(window)}
                after = {**pooling, **after} if activation in _RISING else {**after, **pooling}
            layers.update(after)
            shrink = kernel - 1 if padding == "valid" else 0
            size = [(side - shrink) // max(window, 1) for side in size]
            if min(size) < 1:
                raise InputError(
                    f"nothing is left of a {self.input_shape[1]} x {self.input_shape[2]} image "
                    f"after convolution {number}. Use fewer layers, less pooling or larger "
                    "images."
                )
            depth = filters
        self.features = nn.Sequential(layers)
        head: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        if dropout:
            head["dropout"] = Dropout(dropout)
        head.update(dense_layers(depth * math.prod(size), dense, num_outputs, activation, 0.0))
        self.classifier = nn.Sequential(head)
        initialise(self)
        # By its first kernel plain layers keep all maps with their channels last, a third faster
        # on the CPU, same numbers; the others `onednn_layout` takes as they are: copies were 4 % of
        # a step of MNIST's in bfloat16.
        self.features[:1].to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in its types

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, num_outputs) of float images (N, C, H, W).

        Raises:
            InputError: The batch is NHWC, of whole numbers, or of another size.
        """
        check_images(images, "the network", self.input_shape[0], self.input_shape[1:])
        if onednn_layout.can_run(self.features, images):  # a fifth faster
            features = onednn_layout.run(self.features, images)
        else:
            features = self.features(images.contiguous(memory_format=torch.channels_last))
        output: Tensor = self.classifier(features)
        return output


def _each(name: str, value: int | Sequence[int], count: int) -> list[int]:
    values = [value] * count if isinstance(value, int) else list(value)
    if len(values) != count:
        raise InputError(
            f"{name} has {len(values)} numbers for {count} convolutions: give one number, or one "
            "for each."
        )
    least = 0 if name == "pool" else 1
    if any(number < least for number in values):
        raise InputError(f"{name} must be at least {least}, got {value}.")
    return values


def check_positive(name: str, units: Sequence[int]) -> None:
    """Raise `InputError` unless a list of layers holds positive whole numbers alone."""
    try:
        for count in units:
            checked_number(name, count)
    except (TypeError, InputError) as error:
        raise InputError(
            f"{name} must list positive whole numbers, such as [16, 16]; got {units!r}."
        ) from error


def _check_rate(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must be at least 0 and below 1, got {dropout}.")
