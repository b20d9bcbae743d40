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

    weights: Tensor  # (F, in + 1, out), the bias last
    gradient: Tensor
    transposed: Tensor  # (F, out, in), without the bias
    sums: Tensor  # (F, B, out), before the activation
    activated: Tensor  # (F, B, out), after it
    kept: Tensor  # (F, B, out), what is not dropped: `activated` itself where nothing is
    outputs: Tensor  # (F, B, out + 1): `kept`, and 1 for the bias of the next layer
    error: Tensor  # (F, B, in), memory for the gradient with respect to the inputs
    product: _Product  # of an error (F, B, out) with `transposed`


class StackedNet(nn.Module):
    """F dense nets of one shape: one parameter `weights` (F, P), a row for each net.

    A row holds the layers one after the other, each (in + 1, out) with the bias below the kernel,
    then zeros up to a multiple of 64 bytes, which makes outer products a third faster. Inputs that
    end with 1 make one product of a layer, and one of its gradient: a tenth less for a step.

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
        self.activations = [block.function for block in first[:-1]]
        self.rates = [block.rate for block in first[:-1]]
        self.loss_gradient = LOSS_GRADIENTS[loss]
        self.l1 = l1
        self.l2 = l2
        self.weights = nn.Parameter(torch.stack([_packed(blocks) for blocks in self.blocks]))
        self._layers: list[_Layer] = []

    def bind(self, rows: int) -> None:
        """Make ready for batches of so many rows: ``weights.grad``, and views of each layer."""
        gradient = self.weights.grad
        if gradient is None or gradient.dtype != self.weights.dtype:
            with torch.inference_mode(False):  # Lightning may move it when the fit has ended
                self.weights.grad = torch.zeros_like(self.weights)
        pairs = zip(self._views(self.weights.detach()), self.gradients(), strict=True)
        rates = [*self.rates, None]
        self._layers = [
            _bound(weights, gradient, rows, rate is not None)
            for (weights, gradient), rate in zip(pairs, rates, strict=True)
        ]
        self._over_rows = _product(rows)
        # A number would be made a tensor anew at each step, which takes longer than the product.
        scale = self.loss_gradient.scale(rows, self.shapes[-1][1])
        self._scale = self.weights.new_tensor(scale)

    def _views(self, rows: Tensor) -> list[Tensor]:
        """Return kernel and bias below it of each layer, (F, in + 1, out), as views of (F, P)."""
        shapes = [(inputs + 1, outputs) for inputs, outputs in self.shapes]
        sizes = [height * width for height, width in shapes]
        parts = torch.split(rows, [*sizes, rows.shape[1] - sum(sizes)], dim=1)
        return [part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=False)]

    def gradients(self) -> list[Tensor]:
        """Return the gradients of each layer, (F, in + 1, out): kernel, and bias below it."""
        assert self.weights.grad is not None
        return self._views(self.weights.grad)

    @torch.no_grad()
    def write_back(self, rows: Tensor) -> None:
        """Copy the `rows` (F, P) into the networks."""
        views = self._views(rows)
        for number, blocks in enumerate(self.blocks):
            for block, layer in zip(blocks, views, strict=True):
                block.linear.weight.copy_(layer[number, :-1].t())
                block.linear.bias.copy_(layer[number, -1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (F, B, C) of (F, B, D), nothing dropped."""
        *hidden, last = self._views(self.weights)
        for layer, activation in zip(hidden, self.activations, strict=True):
            sums = torch.baddbmm(layer[:, -1:], inputs, layer[:, :-1])
            inputs = activation.forward(sums, torch.empty_like(sums))
        return torch.baddbmm(last[:, -1:], inputs, last[:, :-1])

    def penalty(self) -> Tensor:
        """Return the L1 and L2 penalty of each net, (F,)."""
        total = self.weights.detach().new_zeros(len(self.weights))
        for kernel in self._penalised(self.weights.detach()) if self.l1 or self.l2 else ():
            if self.l1:
                total += self.l1 * kernel.abs().sum((1, 2))
            if self.l2:
                total += self.l2 * kernel.square().sum((1, 2))
        return total

    def _penalised(self, rows: Tensor) -> list[Tensor]:
        """Return what of the `rows` (F, P) L1 and L2 act on: the kernels but for the last layer."""
        return [layer[:, :-1] for layer in self._views(rows)[:-1]]

    def gradient(
        self,
        inputs: Tensor,
        targets: Tensor,
        logits: Tensor,
        masks: Sequence[Tensor | None] | None = None,
    ) -> None:
        """Write the gradient of each net's loss, penalty included, to ``weights.grad``.

        Args:
            inputs: (F, B, D + 1), the last column 1, of as many rows B as `bind` was told.
            targets: As wide as the logits: classes are one-hot.
            logits: Memory for the logits, (F, B, C).
            masks: For each hidden layer that has a `Dropout`, 1 / (1 - rate) where a unit is kept
                and 0 elsewhere; None where there is no `Dropout`. None of all drops nothing.
        """
        layers, activations = self._layers, self.activations
        taken = inputs
        for number, activation in enumerate(activations):
            layer = layers[number]
            torch.bmm(taken, layer.weights, out=layer.sums)
            activation.forward(layer.sums, layer.activated)
            if layer.kept is not layer.activated:
                mask = None if masks is None else masks[number]
                torch.mul(layer.activated, 1 if mask is None else mask, out=layer.kept)
            taken = layer.outputs
        torch.bmm(taken, layers[-1].weights, out=logits)
        error = self.loss_gradient.of_sum(logits, targets).mul_(self._scale)
        for number in range(len(activations), 0, -1):
            layer, below = layers[number], layers[number - 1]
            self._over_rows(below.outputs.mT, error, out=layer.gradient)
            layer.product(error, layer.transposed, out=layer.error)
            if masks is not None and (mask := masks[number - 1]) is not None:
                layer.error.mul_(mask)
            error = activations[number - 1].backward(layer.error, below.sums, below.activated)
        self._over_rows(inputs.mT, error, out=layers[0].gradient)
        if self.l1 or self.l2:
            self._add_penalty()

    def _add_penalty(self) -> None:
        assert self.weights.grad is not None
        kernels = self._penalised(self.weights.detach())
        for kernel, gradient in zip(kernels, self._penalised(self.weights.grad), strict=True):
            if self.l1:
                gradient.add_(kernel.sign(), alpha=self.l1)
            if self.l2:
                gradient.add_(kernel, alpha=2 * self.l2)


def _bound(weights: Tensor, gradient: Tensor, rows: int, drops: bool) -> _Layer:
    """Return a layer with memory for batches of so many rows."""
    folds, height, width = weights.shape
    sums, outputs = weights.new_empty(folds, rows, width), weights.new_ones(folds, rows, width + 1)
    kept = outputs[:, :, :-1]
    return _Layer(
        weights,
        gradient,
        weights[:, :-1].mT,
        sums,
        torch.empty_like(sums) if drops else kept,
        kept,
        outputs,
        weights.new_empty(folds, rows, height - 1),
        _product(width),
    )


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
    layers = [(block.linear.weight.detach().t(), block.linear.bias.detach()) for block in blocks]
    row = torch.cat([part.flatten() for layer in layers for part in layer])
    return F.pad(row, (0, -len(row) % 16))
