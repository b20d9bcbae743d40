"""Which weights L1 and L2 act on: the kernels of all layers but the ones that give the output."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from dlp.console import say

#: A layer with a kernel, as the book regularises them.
Kernel = nn.Linear | nn.modules.conv._ConvNd


def kernel_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the name of every linear and convolution layer -> the layer, as registered."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, Kernel)}


def kernels(network: nn.Module, outputs: Sequence[str] | None = None) -> list[Tensor]:
    """Return the weights of every linear and convolution layer but those of the output.

    Args:
        network: The network.
        outputs: Names of the layers that give the output (see `watched`); None takes the last one
            that was registered, which is right for networks built from the input to the output.
    """
    layers = kernel_layers(network)
    spared = list(layers)[-1:] if outputs is None else outputs
    return [layer.weight for name, layer in layers.items() if name not in spared]  # type: ignore[misc] # they all have one


def penalty(kernels: Sequence[Tensor], l1: float, l2: float) -> Tensor | float:
    """Return ``l1 * sum(|w|) + l2 * sum(w ** 2)`` over all numbers of `kernels`."""
    total: Tensor | float = 0.0
    for kernel in kernels:
        if l1:
            total = total + l1 * kernel.abs().sum()
        if l2:
            total = total + l2 * kernel.square().sum()
    return total


def say_if_none(penalised: Sequence[Tensor], network: nn.Module) -> None:
    """Say that a penalty has nothing to act on, if that is so."""
    if not penalised:
        say(
            "warning: l1 and l2 act on the kernels of linear and convolution layers but the "
            f"output's, and this {type(network).__name__} has none of these: they change nothing"
        )


class Watch:
    """What the layers of a network gave during a forward pass."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self._made_by: dict[Any, str] = {}  # a node of the graph -> the layer whose output it is

    def note(self, name: str, output: Any) -> None:
        """Take down that a layer has run, and its output."""
        self.ran.append(name)
        if isinstance(output, Tensor) and output.grad_fn is not None:
            self._made_by[output.grad_fn] = name

    def behind(self, logits: Tensor) -> list[str]:
        """Return the layers from which `logits` come without passing through another of them.

        By the graph of gradients; where there is none (in evaluation), the layer that ran last.
        """
        found: dict[str, None] = {}
        waiting, seen = [logits.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if node in self._made_by:
                found[self._made_by[node]] = None
            else:
                waiting += [below for below, _ in node.next_functions]
        return list(found) or self.ran[-1:]


@contextmanager
def watched(network: nn.Module) -> Iterator[Watch]:
    """Note what the layers with kernels give in the forward pass inside the block."""
    watch = Watch()
    handles = [
        layer.register_forward_hook(lambda _, __, output, name=name: watch.note(name, output))
        for name, layer in kernel_layers(network).items()
    ]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()
