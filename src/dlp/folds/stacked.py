"""Training of all folds of a small dense network at once, as one batched network."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.batches import BatchOrder
from dlp.folds.stacked_net import StackedNet, TensorFunction
from dlp.modules.heads import RegressionHead, SigmoidHead, SoftmaxHead
from dlp.modules.models import DenseModule
from dlp.modules.optimizers import KerasRMSprop
from dlp.seeds import derived_seed
from dlp.speed.denormals import flushed_denormals
from dlp.speed.fused_rmsprop import can_fuse, fused_step

#: Head -> its metric of logits (F, N, C), prepared targets and the unit of each target (F, 1, C).
METRICS: dict[type[nn.Module], TensorFunction] = {
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
        return cls(
            train.inputs,
            _prepare(model, train.targets),
            val.inputs,
            _prepare(model, val.targets),
            train.batch_sampler.batch_size,
            train.batch_sampler.seed,
        )

    def order(self, epoch: int) -> Tensor:
        """Return the rows of an epoch in the order of the loader's batches, (N,)."""
        order = BatchOrder(len(self.inputs), len(self.inputs), True, self.seed)
        order.set_epoch(epoch)
        return next(iter(order))


def _prepare(model: DenseModule, targets: Tensor) -> Tensor:
    """Return checked targets as floats (N, C)."""
    width = model.head.num_logits
    prepared = model.head.prepare(targets)
    model.head.check(torch.empty(len(prepared), width), prepared)
    if prepared.is_floating_point():
        return prepared
    return F.one_hot(prepared, width).float()


@flushed_denormals()
@torch.inference_mode()
def train_stack(
    models: Sequence[DenseModule],
    folds: Sequence[FoldTensors],
    max_epochs: int,
) -> list[tuple[dict[str, list[float]], NDArray[Any]]]:
    """Train copies of models of one `stack_key`; return history and weights of each fold."""
    net = StackedNet(models)
    optimizer = models[0].make_optimizer([net.weights])
    step = _optimizer_step(optimizer, net.weights)
    x = F.pad(_stack(fold.inputs for fold in folds), (0, 1), value=1.0)
    y = _stack(fold.targets for fold in folds)
    val_x = _stack(fold.val_inputs for fold in folds)
    val_y = _stack(fold.val_targets for fold in folds)
    fold_numbers = torch.arange(len(folds))[:, None]
    curves = defaultdict(list)
    for epoch in range(max_epochs):
        order = torch.stack([fold.order(epoch) for fold in folds])
        seeds = [derived_seed(fold.seed, epoch) for fold in folds]
        penalty = torch.zeros(len(folds))
        logits = []
        batches = _batches(net, x, y, order, folds[0].batch_size, seeds)
        for x_batch, y_batch, masks in batches:
            if net.has_penalty:
                share = x_batch.shape[1] / order.shape[1]
                penalty += net.penalty() * share
            logits.append(net.backward(x_batch, y_batch, masks))
            step()
        train = _measure(models, "train", torch.cat(logits, 1), y[fold_numbers, order], penalty)
        val = _measure(models, "val", net.logits(val_x), val_y, net.penalty())
        for name, value in (train | val).items():
            curves[name].append(value)
    weights = net.parameter_rows().numpy()
    results = []
    for number in range(len(folds)):
        history = {name: torch.stack(curve)[:, number].tolist() for name, curve in curves.items()}
        results.append((history, weights[number]))
    return results


def _stack(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([tensor.flatten(1) for tensor in tensors])


def _batches(
    net: StackedNet,
    x: Tensor,
    y: Tensor,
    order: Tensor,
    size: int,
    seeds: Sequence[int],
) -> Iterator[tuple[Tensor, Tensor, Sequence[Tensor]]]:
    """Yield inputs, targets and masks of dropout of each batch.

    Rows are gathered for many batches at once, since gathering costs as much as a step.
    """
    generators = [Generator().manual_seed(seed) for seed in seeds]
    fold_numbers = torch.arange(len(seeds))[:, None]
    count = max(1, _NUMBERS_PER_BLOCK // x[:, :size].numel())
    for rows in torch.split(order, count * size, dim=1):
        x_batches = torch.split(x[fold_numbers, rows], size, dim=1)
        y_batches = torch.split(y[fold_numbers, rows], size, dim=1)
        masks = net.masks(rows.shape[1], generators)
        mask_batches = [torch.split(mask, size, dim=1) for mask in masks]
        for number, x_batch in enumerate(x_batches):
            yield x_batch, y_batches[number], [batches[number] for batches in mask_batches]


def _measure(
    models: Sequence[DenseModule],
    stage: str,
    logits: Tensor,
    targets: Tensor,
    penalty: Tensor,
) -> dict[str, Tensor]:
    """Return the value of each fold, (F,), by logged name."""
    model = models[0]
    head = model.head
    rows = logits.flatten(0, 1)
    losses = head.loss_function(rows, targets.flatten(0, 1), reduction="none")
    loss = losses.view(len(models), -1).mean(1)
    units = [getattr(model.head, "std", torch.ones(1)) for model in models]
    metric = METRICS[type(head)](logits, targets, torch.stack(units)[:, None])
    values = {f"{stage}_loss": loss + penalty, f"{stage}_{head.default_metrics[0]}": metric}
    if model.l1 or model.l2:
        values[f"{stage}_data_loss"] = loss
    return values


def _optimizer_step(optimizer: Optimizer, weights: Tensor) -> Callable[[], object]:
    """Return the optimizer's step without its hooks, which take a quarter of the time."""
    if type(optimizer) is KerasRMSprop and optimizer.is_fused and can_fuse(weights):
        average = torch.zeros_like(weights)
        options = optimizer.param_groups[0]
        return partial(fused_step, [weights], [weights.grad], [average], options)
    return partial(inspect.unwrap(type(optimizer).step), optimizer)
