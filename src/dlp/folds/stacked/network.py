"""Many dense nets of one shape as one network of batched products, with its gradient by hand.

Dispatching small operations takes most of the time of a small net. One batched product moves all
nets for the price of one, and a gradient written out needs no graph.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.folds.stacked.blocks import Block, blocks_of
from dlp.folds.stacked.gradients import LOSS_GRADIENTS
from dlp.modules.losses import LossFunction
from dlp.seeds import derived_seed

#: Of batches of matrices.
_Product = Callable[..., Tensor]


class _Layer(NamedTuple):
    """One layer of all F nets: views of the weights and their gradient, and memory for a step."""

    kernel: Tensor  # (F, in, out)
    kernel_transposed: Tensor  # (F, out, in)
    bias: Tensor  # (F, 1, out)
    kernel_gradient: Tensor
    bias_gradient: Tensor
    sums: Tensor  # (F, B, out), before the activation
    gradient: Tensor  # (F, B, in), of the loss with respect to the inputs
    product: _Product  # of an error (F, B, out) with the kernel transposed


class StackedNet(nn.Module):
    """F dense nets of one shape: one parameter `weights` (F, P), a row for each net.

    A row holds the kernels one after the other, each (in, out), then the biases, then zeros up to a
    multiple of 64 bytes, which makes outer products a third faster. What L1 and L2 act on is one
    slice from its beginning.

    Call `bind` before `gradient`, and again for batches of another size, or once anything else may
    have moved or converted the weights or taken away their gradient.

    Args:
        networks: The nets, of equal blocks, whose initial weights are copied.
        loss: A key of `LOSS_GRADIENTS`.
        l1: See `SupervisedModule`.
        l2: See `SupervisedModule`.

    Raises:
        NotStackable: A net has something that is not computed here.
    """

    def __init__(
        self, networks: Sequence[nn.Module], loss: LossFunction, l1: float = 0.0, l2: float = 0.0
    ) -> None:
        super().__init__()
        self.blocks = [blocks_of(network) for network in networks]
        first = self.blocks[0]
        self.shapes = [block.shape for block in first]
        self.num_penalised = sum(inputs * outputs for inputs, outputs in self.shapes[:-1])
        self.activations = [block.function for block in first[:-1]]
        self.rates = [block.rate for block in first[:-1]]
        self.loss_gradient = LOSS_GRADIENTS[loss]
        self.l1 = l1
        self.l2 = l2
        self.weights = nn.Parameter(torch.stack([_packed(blocks) for blocks in self.blocks]))
        self._layers: list[_Layer] = []

    def bind(self, rows: int) -> None:
        """Make ready for batches of so many rows: ``weights.grad``, and views of each layer."""
        self.weights.grad = torch.zeros_like(self.weights)
        self._layers = [
            _Layer(
                kernel,
                kernel.mT,
                bias,
                *gradients,
                kernel.new_empty(len(kernel), rows, kernel.shape[2]),
                kernel.new_empty(len(kernel), rows, kernel.shape[1]),
                _product(kernel.shape[2]),
            )
            for (kernel, bias), gradients in zip(
                self._views(self.weights.detach()), self.gradients(), strict=True
            )
        ]
        self._over_rows = _product(rows)
        # A number would be made a tensor anew at each step, which takes longer than the product.
        scale = self.loss_gradient.scale(rows, self.shapes[-1][1])
        self._scale = self.weights.new_tensor(scale)

    def _views(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return kernel (F, in, out) and bias (F, 1, out) of each layer as views of (F, P)."""
        sizes = [inputs * outputs for inputs, outputs in self.shapes]
        sizes += [outputs for _, outputs in self.shapes]
        parts = torch.split(rows, [*sizes, rows.shape[1] - sum(sizes)], dim=1)
        kernels, biases = parts[: len(self.shapes)], parts[len(self.shapes) : -1]
        return [
            (kernel.view(-1, *shape), bias.unsqueeze(1))
            for kernel, bias, shape in zip(kernels, biases, self.shapes, strict=True)
        ]

    def gradients(self) -> list[tuple[Tensor, Tensor]]:
        """Return the gradients of kernel (F, in, out) and bias (F, 1, out) of each layer."""
        assert self.weights.grad is not None
        return self._views(self.weights.grad)

    @torch.no_grad()
    def write_back(self, rows: Tensor) -> None:
        """Copy the `rows` (F, P) into the networks."""
        views = self._views(rows)
        for number, blocks in enumerate(self.blocks):
            for block, (kernel, bias) in zip(blocks, views, strict=True):
                block.linear.weight.copy_(kernel[number].t())
                block.linear.bias.copy_(bias[number, 0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (F, B, C) of (F, B, D), nothing dropped."""
        *hidden, (kernel, bias) = self._views(self.weights)
        for (weight, offset), activation in zip(hidden, self.activations, strict=True):
            inputs = activation.forward(torch.baddbmm(offset, inputs, weight))
        return torch.baddbmm(bias, inputs, kernel)

    def penalty(self) -> Tensor:
        """Return the L1 and L2 penalty of each net, (F,)."""
        kernels = self.weights.detach()[:, : self.num_penalised]
        total = kernels.new_zeros(len(kernels))
        if self.l1:
            total += self.l1 * kernels.abs().sum(1)
        if self.l2:
            total += self.l2 * kernels.square().sum(1)
        return total

    def gradient(
        self,
        inputs: Tensor,
        targets: Tensor,
        logits: Tensor,
        masks: Sequence[Tensor | None] | None = None,
    ) -> None:
        """Write the gradient of each net's loss, penalty included, to ``weights.grad``.

        Args:
            inputs: (F, B, D), of as many rows B as `bind` was told.
            targets: As wide as the logits: classes are one-hot.
            logits: Memory for the logits, (F, B, C).
            masks: For each hidden layer that has a `Dropout`, 1 / (1 - rate) where a unit is kept
                and 0 elsewhere; None where there is no `Dropout`. None of all drops nothing.
        """
        drops = masks or [None] * len(self.activations)
        layers, last = self._layers, self._layers[-1]
        outputs, activated = [inputs], []
        for layer, activation, mask in zip(layers, self.activations, drops, strict=False):
            torch.baddbmm(layer.bias, outputs[-1], layer.kernel, out=layer.sums)
            activated.append(activation.forward(layer.sums))
            outputs.append(activated[-1] if mask is None else activated[-1] * mask)
        torch.baddbmm(last.bias, outputs[-1], last.kernel, out=logits)
        error = self.loss_gradient.of_sum(logits, targets).mul_(self._scale)
        for number in reversed(range(len(layers))):
            layer = layers[number]
            self._over_rows(outputs[number].mT, error, out=layer.kernel_gradient)
            if inputs.shape[1] == 1:
                layer.bias_gradient.copy_(error)
            else:
                torch.sum(error, 1, keepdim=True, out=layer.bias_gradient)
            if number:
                gradient = layer.product(error, layer.kernel_transposed, out=layer.gradient)
                if (mask := drops[number - 1]) is not None:
                    gradient.mul_(mask)
                backward, sums = self.activations[number - 1].backward, layers[number - 1].sums
                error = backward(gradient, sums, activated[number - 1])
        self._add_penalty()

    def _add_penalty(self) -> None:
        if not (self.l1 or self.l2):
            return
        assert self.weights.grad is not None
        kernels = self.weights.detach()[:, : self.num_penalised]
        gradient = self.weights.grad[:, : self.num_penalised]
        if self.l1:
            gradient.add_(kernels.sign(), alpha=self.l1)
        if self.l2:
            gradient.add_(kernels, alpha=2 * self.l2)


def widened(targets: Tensor, columns: int) -> Tensor:
    """Return prepared targets as wide as the logits: class numbers (N,) one-hot (N, columns)."""
    return targets if targets.ndim > 1 else F.one_hot(targets, columns)


def _product(terms: int) -> _Product:
    """Return what multiplies batches of matrices; sums of one term are faster as plain products."""
    return torch.mul if terms == 1 else torch.bmm


class DropoutMasks:
    """The masks of one epoch, the same as each net's own `Dropout` layers draw.

    Args:
        net: Whose layers are dropped from.
        seeds: For each net, what `networks.reseed_dropout` is given at the epoch's start.
    """

    def __init__(self, net: StackedNet, seeds: Sequence[int]) -> None:
        self._rates = net.rates
        self._units = [outputs for _, outputs in net.shapes[:-1]]
        self._like = net.weights
        device = net.weights.device
        dropouts = sum(rate is not None for rate in net.rates)
        self._generators = [
            [torch.Generator(device).manual_seed(derived_seed(seed, number)) for seed in seeds]
            for number in range(dropouts)
        ]

    def draw(self, steps: int, rows: int) -> list[Tensor | None]:
        """Return the masks of the next `steps` batches: for each hidden layer that has a `Dropout`.

        Each is (steps, F, rows, units).
        """
        masks: list[Tensor | None] = []
        generators = iter(self._generators)
        for rate, units in zip(self._rates, self._units, strict=True):
            if rate is None:
                masks.append(None)
                continue
            draws = [_uniform(steps, (rows, units), each) for each in next(generators)]
            kept = torch.stack([draw >= rate for draw in draws], 1)
            masks.append(kept.to(self._like.dtype).div_(1 - rate))
        return masks


def _uniform(steps: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return what `steps` calls of ``torch.rand(shape)`` give, (steps, *shape)."""
    device = generator.device
    if device.type == "cpu":  # the stream does not depend on how it is cut into calls
        return torch.rand((steps, *shape), generator=generator)
    draws = [torch.rand(shape, generator=generator, device=device) for _ in range(steps)]
    return torch.stack(draws)


def _packed(blocks: Sequence[Block]) -> Tensor:
    """Return the weights of a net as one row (P,), in the order of `StackedNet`."""
    kernels = [block.linear.weight.detach().t().flatten() for block in blocks]
    row = torch.cat([*kernels, *(block.linear.bias.detach() for block in blocks)])
    return F.pad(row, (0, -len(row) % 16))
