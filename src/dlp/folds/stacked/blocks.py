"""What of a network can be stacked: dense blocks, read from the modules that it was given.

Nothing is taken for granted: each module is compared with what `StackedNet` computes, so that an
edited network is either stacked as it is or not at all.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from dlp.bag_of_words import BagLinear
from dlp.folds.stacked.gradients import ACTIVATION_GRADIENTS, ActivationGradient
from dlp.modules.networks import DenseNet, Dropout


class NotStackable(Exception):  # noqa: N818 # an answer to a question, no error of the user's
    """Why a network cannot be stacked, as a clause."""


class Block(NamedTuple):
    """A dense layer with what follows it."""

    linear: nn.Linear
    activation: nn.Module | None = None
    dropout: Dropout | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Inputs and outputs of the dense layer."""
        return self.linear.in_features, self.linear.out_features

    @property
    def function(self) -> ActivationGradient:
        """The activation and its gradient; those of the identity where there is none."""
        kind = nn.Identity if self.activation is None else type(self.activation)
        return ACTIVATION_GRADIENTS[kind]

    @property
    def rate(self) -> float | None:
        """The rate of the dropout, if there is one."""
        return None if self.dropout is None else self.dropout.rate

    @property
    def kind(self) -> tuple[object, ...]:
        """What blocks at the same place of the networks of one stack have in common."""
        return self.shape, self.function, self.rate


def blocks_of(network: nn.Module) -> list[Block]:
    """Return the blocks of a `DenseNet` or an ``nn.Sequential``, in the order they compute.

    Raises:
        NotStackable: Something of it is not what `StackedNet` computes.
    """
    blocks: list[Block] = []
    for name, layer in _layers(network):
        last = blocks[-1] if blocks else None
        if isinstance(layer, nn.Linear) and type(layer) in (BagLinear, nn.Linear):
            blocks.append(Block(layer))
        elif last and not last.dropout and isinstance(layer, Dropout) and type(layer) is Dropout:
            blocks[-1] = last._replace(dropout=layer)
        elif last and last[1:] == (None, None) and _is_known_activation(layer):
            blocks[-1] = last._replace(activation=layer)
        else:
            raise NotStackable(f"the layer {name} of the network ({layer}) cannot be stacked there")
    if not blocks or blocks[-1][1:] != (None, None):
        raise NotStackable("the network does not end with a dense layer")
    _check_weights(blocks)
    return blocks


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield name and module of each layer; one that is used twice comes twice."""
    kind, layers = type(network), network
    if isinstance(network, DenseNet) and kind is DenseNet:
        layers = network.layers
        if [*network.children()] != [layers] or type(layers) is not nn.Sequential:
            raise NotStackable("the DenseNet has other parts than it is made of")
    elif kind is not nn.Sequential:
        raise NotStackable(f"{kind.__name__} is not a DenseNet or a Sequential of dense layers")
    for module in network.modules():
        if replaced := replaced_method(module):
            raise NotStackable(
                f"{replaced} of a {type(module).__name__} of the network was replaced"
            )
    is_first = True
    for name, layer in layers.named_modules(remove_duplicate=False):
        if not name or "." in name:
            continue
        if not (is_first and type(layer) is nn.Flatten and _has_defaults(layer)):
            yield name, layer  # rows are flattened in any case
        is_first = False


def replaced_method(of: object) -> str | None:
    """Return the name of a method that this one object has its own of, if there is one."""
    kind = type(of)
    own = (name for name, value in vars(of).items() if callable(value))
    return next((name for name in own if callable(getattr(kind, name, None))), None)


def _is_known_activation(layer: nn.Module) -> bool:
    """Whether it is one of ours, with the arguments that its gradient was written for."""
    return type(layer) in ACTIVATION_GRADIENTS and _has_defaults(layer)


def _has_defaults(layer: nn.Module) -> bool:
    """Whether a layer is as its class makes it without arguments."""
    mine, usual = (
        {name: value for name, value in vars(one).items() if not name.startswith("_")}
        for one in (layer, type(layer)().train(layer.training))
    )
    return mine == usual


def _check_weights(blocks: list[Block]) -> None:
    """Raise `NotStackable` unless the blocks are a chain of layers with weights of their own."""
    if any(before.shape[1] != after.shape[0] for before, after in pairwise(blocks)):
        raise NotStackable("the sizes of the network's layers do not fit together")
    if any(block.linear.bias is None for block in blocks):
        raise NotStackable("a layer of the network has no bias")
    weights = [weight for block in blocks for weight in block.linear.parameters()]
    dropouts = [id(block.dropout) for block in blocks if block.dropout is not None]
    places = {weight.untyped_storage().data_ptr() for weight in weights}
    if len(places) < 2 * len(blocks) or len(set(dropouts)) < len(dropouts):
        raise NotStackable("some layers of the network share their weights or their dropout")
