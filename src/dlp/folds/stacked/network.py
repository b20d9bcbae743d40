"""Many dense nets of one shape as one network of batched products, with its gradient by hand.

Dispatching small operations takes most of the time of a small net. One batched product moves all
nets for the price of one, and a gradient written out needs no graph.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.folds.stacked.blocks import Block, blocks_of
from dlp.folds.stacked.gradients import LOSS_GRADIENTS
from dlp.modules.losses import LossFunction
from dlp.seeds import derived_seed


class _Layer(NamedTuple):
    """One layer of all F nets, and what a step with B rows writes there: all are made once."""

    kernel: Tensor  # (F, in, out), a view of the weights
    kernel_transposed: Tensor
    bias: Tensor  # (F, 1, out), a view of the weights
    kernel_gradient: Tensor  # views of the gradient
    bias_gradient: Tensor
    sums: Tensor  # (F, B, out), before the activation
    activations: Tensor  # after it
    outputs: Tensor  # after dropout; the activations themselves where there is none
    outputs_transposed: Tensor  # (F, out, B)
    gradient: Tensor  # (F, B, out), of the loss with respect to the outputs
    error: Tensor  # the same with respect to the sums


class StackedNet(nn.Module):
    """F dense nets of one shape: one parameter `weights` (F, P), a row for each net.

    A row holds the kernels one after the other, each (in, out), then the biases, then zeros up to a
    multiple of 64 bytes, which makes outer products a third faster. What L1 and L2 act on is one
    slice from its beginning.

    Call `bind` before `gradient`, and again once anything else may have moved or converted the
    weights or taken away their gradient.

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
        nets = [blocks_of(network) for network in networks]
        self.shapes = [block.shape for block in nets[0]]
        self.num_penalised = sum(inputs * outputs for inputs, outputs in self.shapes[:-1])
        self.activations = [block.function for block in nets[0][:-1]]
        self.rates = [block.rate for block in nets[0][:-1]]
        self.loss_gradient = LOSS_GRADIENTS[loss]
        self.l1 = l1
        self.l2 = l2
        self.weights = nn.Parameter(torch.stack([_packed(blocks) for blocks in nets]))
        self._layers: dict[int, list[_Layer]] = {}
        self._scales: dict[int, Tensor] = {}

    def bind(self) -> None:
        """Make ``weights.grad``, and forget all views of what was there before."""
        self.weights.grad = torch.zeros_like(self.weights)
        self._layers.clear()
        self._scales.clear()

    def _layers_for(self, rows: int) -> list[_Layer]:
        """Return the layers for batches of so many rows."""
        weights, gradients = self._views(self.weights.detach()), self.gradients()
        for (kernel, bias), (kernel_gradient, bias_gradient), rate in zip(
            weights, gradients, [*self.rates, None], strict=True
        ):
            sums = bias.new_empty(len(bias), rows, bias.shape[2])
            activations = torch.empty_like(sums)
            outputs = activations if rate is None else torch.empty_like(sums)
            # The gradient of the bias is the sum of the errors: of one row, the error itself.
            error = bias_gradient if rows == 1 else torch.empty_like(sums)
            self._layers.setdefault(rows, []).append(
                _Layer(
                    kernel,
                    kernel.mT,
                    bias,
                    kernel_gradient,
                    bias_gradient,
                    sums,
                    activations,
                    outputs,
                    outputs.mT,
                    torch.empty_like(sums),
                    error,
                )
            )
        # A number would be made a tensor anew at each step, which takes longer than the product.
        scale = self.loss_gradient.scale(rows, self.shapes[-1][1])
        self._scales[rows] = self.weights.new_tensor(scale)
        return self._layers[rows]

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
    def write_back(self, rows: Tensor, networks: Sequence[nn.Module]) -> None:
        """Copy the `rows` (F, P) into the networks."""
        views = self._views(rows)
        for number, network in enumerate(networks):
            for block, (kernel, bias) in zip(blocks_of(network), views, strict=True):
                block.linear.weight.copy_(kernel[number].t())
                block.linear.bias.copy_(bias[number, 0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (F, B, C) of (F, B, D), nothing dropped."""
        *hidden, (kernel, bias) = self._views(self.weights)
        for (weight, offset), activation in zip(hidden, self.activations, strict=True):
            sums = torch.baddbmm(offset, inputs, weight)
            inputs = torch.empty_like(sums)
            activation.forward(sums, inputs)
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
            inputs: (F, B, D).
            targets: As wide as the logits: classes are one-hot.
            logits: Memory for the logits, (F, B, C).
            masks: For each hidden layer that has a `Dropout`, 1 / (1 - rate) where a unit is kept
                and 0 elsewhere; None where there is no `Dropout`. None of all drops nothing.
        """
        rows = inputs.shape[1]
        drops = masks or [None] * len(self.activations)
        layers = self._layers.get(rows) or self._layers_for(rows)
        outputs = inputs
        for number, layer in enumerate(layers[:-1]):
            torch.baddbmm(layer.bias, outputs, layer.kernel, out=layer.sums)
            self.activations[number].forward(layer.sums, layer.activations)
            outputs = layer.outputs
            if (mask := drops[number]) is not None:
                torch.mul(layer.activations, mask, out=outputs)
            elif outputs is not layer.activations:
                outputs.copy_(layer.activations)
        last = layers[-1]
        torch.baddbmm(last.bias, outputs, last.kernel, out=logits)
        self.loss_gradient.write(logits, targets, last.error)
        last.error.mul_(self._scales[rows])
        for number in range(len(layers) - 1, 0, -1):
            layer, before = layers[number], layers[number - 1]
            self._write_gradients(layer, before.outputs_transposed)
            _product(layer.error, layer.kernel_transposed, before.gradient)
            if (mask := drops[number - 1]) is not None:
                before.gradient.mul_(mask)
            self.activations[number - 1].backward(
                before.gradient, before.sums, before.activations, before.error
            )
        self._write_gradients(layers[0], inputs.mT)
        self._add_penalty()

    def _write_gradients(self, layer: _Layer, inputs_transposed: Tensor) -> None:
        _product(inputs_transposed, layer.error, layer.kernel_gradient)
        if layer.error is not layer.bias_gradient:
            torch.sum(layer.error, 1, keepdim=True, out=layer.bias_gradient)

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


def _product(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Write the batched matrix product; a sum of one term is faster without it."""
    if left.shape[2] == 1:
        torch.mul(left, right, out=out)
    else:
        torch.bmm(left, right, out=out)


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
