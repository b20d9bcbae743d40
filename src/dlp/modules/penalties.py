"""Which weights L1 and L2 act on: the kernels of all layers but the ones that give the output."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from dlp.console import say
from dlp.modules.onednn_layout import for_any_layout

#: Layers with a kernel, as the book regularises them.
KERNEL_LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def kernel_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the name of every linear and convolution layer -> the layer, as registered."""
    layers = network.named_modules()
    return {name: layer for name, layer in layers if isinstance(layer, KERNEL_LAYERS)}


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
    """Warn if a penalty has nothing to act on."""
    if not penalised:
        say(
            "warning: l1 and l2 act on the kernels of linear and convolution layers but the "
            f"output's, and this {type(network).__name__} has none of these: they change nothing"
        )


@contextmanager
def watched(network: nn.Module) -> Iterator[dict[Any, str]]:
    """Collect which layers with kernels run in the forward pass inside the block.

    Yields:
        Node of the graph of gradients -> the layer that made it, in their order; of layers that
        ran without gradients the last one, under None.
    """
    made_by: dict[Any, str] = {}

    def noting(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(_: nn.Module, __: Any, output: Any) -> None:
            made_by[getattr(output, "grad_fn", None)] = name

        return for_any_layout(note)  # else the first batch would be rounded otherwise than others

    handles = [
        layer.register_forward_hook(noting(name)) for name, layer in kernel_layers(network).items()
    ]
    try:
        yield made_by
    finally:
        for handle in handles:
            handle.remove()


def output_layers(logits: Tensor, made_by: dict[Any, str]) -> list[str]:
    """Return the layers from which `logits` come without passing through another of them.

    By the graph of gradients; where there is none (in evaluation), the layer that ran last.

    Args:
        logits: What the network gave.
        made_by: See `watched`.
    """
    found: dict[str, None] = {}
    waiting, seen = [logits.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in made_by:
            found[made_by[node]] = None
        else:
            waiting += [below for below, _ in node.next_functions]
    return list(found) or list(made_by.values())[-1:]
