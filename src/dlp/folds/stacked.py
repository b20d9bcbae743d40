"""All folds of a small dense network trained as one batched model: fold k is row k of each tensor.

A step of so small a network is dispatching, not arithmetic: one batched product moves all folds
for the price of one, and gradients written out cost half of autograd's.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat, zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.batches import BatchOrder
from dlp.modules.heads import RegressionHead, SigmoidHead, SoftmaxHead
from dlp.modules.losses import LossFunction, bce
from dlp.modules.models import DenseModule
from dlp.modules.optimizers import KerasRMSprop
from dlp.seeds import derived_seed
from dlp.speed.denormals import flushed_denormals
from dlp.speed.fused_rmsprop import can_fuse, fused_step

_aten = torch.ops.aten
#: Activation -> its function, with `out`, and the gradient before it from that after it.
ACTIVATIONS: dict[type[nn.Module], tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    nn.ReLU: (
        partial(torch.clamp_min, min=0),
        lambda g, a: _aten.threshold_backward.default(g, a, 0),
    ),
    nn.Tanh: (torch.tanh, _aten.tanh_backward.default),
    nn.Sigmoid: (torch.sigmoid, _aten.sigmoid_backward.default),
    nn.Identity: (lambda z, out: out.copy_(z), lambda g, a: g),
}
#: Loss -> gradient by the logits of its sum over rows and columns; targets are (F, N, C).
LOSSES: dict[LossFunction, Callable[[Tensor, Tensor], Tensor]] = {
    F.mse_loss: lambda z, y: (z - y).mul_(2),
    F.l1_loss: lambda z, y: (z - y).sign_(),
    bce: lambda z, y: torch.sigmoid(z).sub_(y),
    F.cross_entropy: lambda z, y: torch.softmax(z, -1).sub_(y),
}
#: Head -> its metric of logits (F, N, C), prepared targets and the unit of each target (F, 1, C).
METRICS: dict[type[nn.Module], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    SigmoidHead: lambda z, y, unit: ((z > 0) == (y > 0.5)).float().mean((1, 2)),
    SoftmaxHead: lambda z, y, unit: (z.argmax(2) == y.argmax(2)).float().mean(1),
    RegressionHead: lambda z, y, unit: ((z - y) * unit).abs().mean((1, 2)),
}

_NUMBERS_PER_BLOCK = 2**21


@dataclass(frozen=True)
class FoldTensors:
    """Rows of a fold, (N, ...), and their targets (N, C), prepared by the head, classes one-hot."""

    inputs: Tensor
    targets: Tensor
    val_inputs: Tensor
    val_targets: Tensor
    batch_size: int
    seed: int

    @classmethod
    def of(cls, model: DenseModule, data: SupervisedDataModule) -> "FoldTensors":
        """Return the tensors of a data module that is split for the fold."""
        train: Any = data.loader("train")
        val: Any = data.loader("val")
        width = model.head.num_logits
        y, val_y = (model.head.prepare(loader.targets) for loader in (train, val))
        for targets in (y, val_y):
            model.head.check(torch.empty(len(targets), width), targets)
        if not y.is_floating_point():
            y, val_y = (F.one_hot(targets, width).float() for targets in (y, val_y))
        return cls(train.inputs, y, val.inputs, val_y, train.batch_size, train.batch_sampler.seed)

    def order(self, epoch: int) -> Tensor:
        """Return the rows of an epoch in the order of the loader's batches, (N,)."""
        order = BatchOrder(len(self.inputs), len(self.inputs), True, self.seed)
        order.set_epoch(epoch)
        return next(iter(order))


class StackedNet:
    """F dense nets of one shape as rows of one tensor `weights` (F, P), and of its gradient.

    A row holds each layer as (in + 1, out), the bias below the kernel: with inputs that end with 1,
    one product is a layer and one its gradient. Rows are padded to cache lines of 64 bytes, which
    saves a third of the products of single terms.
    """

    def __init__(self, models: Sequence[DenseModule]) -> None:
        model, stacks = models[0], [dense_blocks(each.network) for each in models]
        loss = model.head.loss_function
        self.loss_gradient, self.is_mean_of_columns = LOSSES[loss], loss is not F.cross_entropy
        self.l1, self.l2 = model.l1, model.l2
        self.activations = [ACTIVATIONS[activation] for _, activation, _ in stacks[0][:-1]]
        self.rates = [rate for _, _, rate in stacks[0][:-1]]
        self.shapes = [(layer.in_features + 1, layer.out_features) for layer, _, _ in stacks[0]]
        rows = [
            torch.cat([torch.cat([w.weight.t(), w.bias[None]]).flatten() for w, _, _ in stack])
            for stack in stacks
        ]
        self.weights = F.pad(torch.stack(rows).detach(), (0, -len(rows[0]) % 16))
        self.weights.grad = torch.zeros_like(self.weights)
        self.layers, self.gradients = self._views(self.weights), self._views(self.weights.grad)
        self.kernels = [layer[:, :-1] for layer in self.layers]
        self._kernels_t = [kernel.mT for kernel in self.kernels]
        self._num_rows = 0

    def _views(self, rows: Tensor) -> list[Tensor]:
        sizes = [height * width for height, width in self.shapes]
        parts = torch.split(rows, [*sizes, rows.shape[1] - sum(sizes)], dim=1)
        return [part.view(-1, *shape) for part, shape in zip(parts, self.shapes, strict=False)]

    def _allocate(self, num_rows: int) -> None:
        """Allocate the hidden layers' values, and their views: this saves a quarter of a step."""
        new, widths = self.weights.new_ones, [width for _, width in self.shapes[:-1]]
        self._values = [new(len(self.weights), num_rows, width) for width in widths]
        self._outputs = [new(len(self.weights), num_rows, width + 1) for width in widths]
        self._outputs_t = [output.mT for output in self._outputs]
        self._active = [output[:, :, :-1] for output in self._outputs]  # the last column stays 1
        self._num_rows = num_rows

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits (F, N, C) of inputs (F, N, D) without dropout."""
        functions = [function for function, _ in self.activations]
        for layer, kernel, function in zip_longest(self.layers, self.kernels, functions):
            inputs = torch.baddbmm(layer[:, -1:], inputs, kernel)
            inputs = inputs if function is None else function(inputs, out=inputs)
        return inputs

    def backward(self, x: Tensor, y: Tensor, masks: Sequence[Tensor | None]) -> Tensor:
        """Write the gradient of each net's loss, penalty included; return the logits (F, B, C).

        Inputs (F, B, D + 1) end with 1; each hidden layer has factors of its outputs, or None.
        """
        if x.shape[1] != self._num_rows:
            self._allocate(x.shape[1])
        below, active = x, []
        for number, (function, _) in enumerate(self.activations):
            values = torch.bmm(below, self.layers[number], out=self._values[number])
            mask, below = masks[number], self._outputs[number]
            if mask is None:
                active.append(function(values, out=self._active[number]))
            else:
                active.append(function(values, out=values))
                torch.mul(values, mask, out=self._active[number])
        logits = torch.bmm(below, self.layers[-1])
        error = self.loss_gradient(logits, y)
        count = self._num_rows * (logits.shape[2] if self.is_mean_of_columns else 1)
        error = error.div_(count) if count > 1 else error
        for number in range(len(self.activations), 0, -1):
            _product(self._outputs_t[number - 1], error, out=self.gradients[number])
            error = _product(error, self._kernels_t[number])
            if (mask := masks[number - 1]) is not None:
                error.mul_(mask)
            error = self.activations[number - 1][1](error, active[number - 1])
        _product(x.mT, error, out=self.gradients[0])
        for kernel, gradient in zip(self.kernels[:-1], self.gradients, strict=False):
            if self.l1:
                gradient[:, :-1].add_(kernel.sign(), alpha=self.l1)
            if self.l2:
                gradient[:, :-1].add_(kernel, alpha=2 * self.l2)
        return logits

    def penalty(self) -> Tensor:
        """Return the L1 and L2 penalty of each net, (F,)."""
        total = self.weights.new_zeros(len(self.weights))
        for kernel in self.kernels[:-1] if self.l1 or self.l2 else ():
            total += self.l1 * kernel.abs().sum((1, 2)) + self.l2 * kernel.square().sum((1, 2))
        return total

    def masks(self, num_rows: int, generators: Sequence[Generator]) -> list[Tensor | None]:
        """Draw the factors of dropout of some rows for each hidden layer, each (F, N, width).

        A row's numbers follow each other, so they do not depend on how many rows are drawn at once.
        """
        widths = [width if rate else 0 for rate, (_, width) in zip(self.rates, self.shapes)]  # noqa: B905 # the last layer has none
        if not sum(widths):
            return [None] * len(widths)
        noise = torch.stack([torch.rand(num_rows, sum(widths), generator=g) for g in generators])
        parts = zip(torch.split(noise, widths, dim=2), self.rates, strict=True)
        return [(part >= rate).float().div_(1 - rate) if rate else None for part, rate in parts]


@flushed_denormals()
@torch.inference_mode()
def train_stack(
    models: Sequence[DenseModule], folds: Sequence[FoldTensors], max_epochs: int
) -> list[tuple[dict[str, list[float]], list[float]]]:
    """Train copies of models of one `kind`; return history and weights, in their order, of each."""
    net, size, num_rows = StackedNet(models), folds[0].batch_size, len(folds[0].inputs)
    optimizer = models[0].make_optimizer([net.weights])
    step = _step(optimizer, net.weights)
    x, y, val_x, val_y = (
        torch.stack([getattr(fold, name).flatten(1) for fold in folds])
        for name in ("inputs", "targets", "val_inputs", "val_targets")
    )
    x = F.pad(x, (0, 1), value=1.0)
    width = x.shape[2] + sum(width for _, width in net.shapes)
    block = size * max(1, _NUMBERS_PER_BLOCK // (len(folds) * size * width))
    each = torch.arange(len(folds))[:, None]
    histories: list[dict[str, list[float]]] = [{} for _ in folds]
    for epoch in range(max_epochs):
        order = torch.stack([fold.order(epoch) for fold in folds])
        generators = [Generator().manual_seed(derived_seed(f.seed, epoch)) for f in folds]
        logits, penalty = [], net.weights.new_zeros(len(folds))
        for rows in torch.split(order, block, dim=1):  # gathering rows costs as much as a step
            masks = net.masks(rows.shape[1], generators)
            tensors = (x[each, rows], y[each, rows], *masks)
            parts = (repeat(None) if t is None else torch.split(t, size, dim=1) for t in tensors)
            for batch in zip(*parts, strict=False):
                if net.l1 or net.l2:
                    penalty += net.penalty() * (batch[0].shape[1] / num_rows)
                logits.append(net.backward(batch[0], batch[1], batch[2:]))
                step()
        values = _measure(models, "train", torch.cat(logits, 1), y[each, order], penalty)
        values |= _measure(models, "val", net.logits(val_x), val_y, net.penalty())
        for name, numbers in values.items():
            for history, number in zip(histories, numbers.tolist(), strict=True):
                history.setdefault(name, []).append(number)
    weights = [w.flatten(1) for layer in net.layers for w in (layer[:, :-1].mT, layer[:, -1])]
    return [*zip(histories, torch.cat(weights, 1).tolist(), strict=True)]


def _step(optimizer: Optimizer, weights: Tensor) -> Callable[[], object]:
    """Return the optimizer's step without its hooks, which take a quarter of the time."""
    if type(optimizer) is KerasRMSprop and optimizer.is_fused and can_fuse(weights):
        average, options = torch.zeros_like(weights), optimizer.param_groups[0]
        return partial(fused_step, [weights], [weights.grad], [average], options)
    return partial(inspect.unwrap(type(optimizer).step), optimizer)


def dense_blocks(network: nn.Module) -> list[tuple[nn.Linear, type[nn.Module], float]]:
    """Return each dense layer with its activation and its rate of dropout."""
    layers: list[tuple[nn.Linear, type[nn.Module], float]] = []
    for layer in network.get_submodule("layers").children():
        if isinstance(layer, nn.Linear):
            layers.append((layer, nn.Identity, 0.0))
        elif isinstance(layer, nn.Dropout):
            layers[-1] = (*layers[-1][:2], layer.p)
        else:
            layers[-1] = (layers[-1][0], type(layer), layers[-1][2])
    return layers


def _product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the batched matrix product; one of single terms is faster as a plain product."""
    return (torch.mul if a.shape[2] == 1 else torch.bmm)(a, b, out=out)


def _measure(
    models: Sequence[DenseModule], stage: str, logits: Tensor, targets: Tensor, penalty: Tensor
) -> dict[str, Tensor]:
    """Return the value of each fold, (F,), by logged name."""
    head = models[0].head
    unit = torch.stack([getattr(model.head, "std", torch.ones(1)) for model in models])[:, None]
    rows = logits.flatten(0, 1), targets.flatten(0, 1)
    losses = head.loss_function(*rows, reduction="none").view(len(models), -1).mean(1)
    metric = {f"{stage}_{head.default_metrics[0]}": METRICS[type(head)](logits, targets, unit)}
    if models[0].l1 or models[0].l2:
        metric[f"{stage}_data_loss"] = losses
    return {f"{stage}_loss": losses + penalty, **metric}
