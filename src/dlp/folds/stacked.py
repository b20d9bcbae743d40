"""Train all folds of a small dense network at once, as one batched network."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor, nn, optim

from dlp.bag_of_words import BagLinear
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.batches import BatchOrder
from dlp.folds.plan import Fold
from dlp.folds.stacked_net import LOSSES, STACKED_ACTIVATIONS, StackedNet, TensorFunction
from dlp.modules.heads import RegressionHead, SigmoidHead, SoftmaxHead
from dlp.modules.models import DenseModule
from dlp.modules.networks import DenseNet
from dlp.modules.optimizers import KerasRMSprop
from dlp.seeds import derived_seed
from dlp.speed import is_on
from dlp.speed.denormals import flushed_denormals
from dlp.speed.fused_rmsprop import fused_step

#: Arguments of a Trainer by name.
TrainerArguments = dict[str, Any]

#: Head -> function that returns its metric for each of F folds. It takes logits (F, N, C), prepared
#: targets (F, N, C), and the standard deviation by which each target was divided (F, 1, C).
METRICS: dict[type[nn.Module], TensorFunction] = {
    SigmoidHead: lambda z, y, unit: ((z > 0) == (y > 0.5)).float().mean((1, 2)),
    SoftmaxHead: lambda z, y, unit: (z.argmax(2) == y.argmax(2)).float().mean(1),
    RegressionHead: lambda z, y, unit: ((z - y) * unit).abs().mean((1, 2)),
}

_LAYERS = {DenseNet, nn.Sequential, BagLinear, nn.Dropout} | STACKED_ACTIVATIONS.keys()
#: Optimizers that update each weight by its own gradient only, so that folds stay independent.
OPTIMIZERS = (KerasRMSprop, optim.RMSprop, optim.SGD, optim.Adam, optim.AdamW)
#: Arguments of a Trainer that have no effect on stacked folds.
_IRRELEVANT = {
    "accelerator",
    "devices",
    "max_epochs",
    "logger",
    "num_sanity_val_steps",
    "default_root_dir",
    "plugins",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
}
_TRAINER_ARGUMENTS = inspect.signature(Trainer).parameters


def reason_against(
    model: LightningModule,
    data: SupervisedDataModule,
    trainer: TrainerArguments,
) -> str | None:
    """Return the reason why a fold cannot be stacked, as a clause, or None if it can be stacked."""
    if type(model) is not DenseModule:
        return f"{type(model).__name__} is not a DenseModule"
    for name in sorted(trainer.keys() - _IRRELEVANT):
        if trainer[name] not in (None, [], _TRAINER_ARGUMENTS[name].default):
            return f"trainer.{name} is set"
    for name in ("train_dataloader", "val_dataloader"):
        if getattr(type(data), name) is not getattr(SupervisedDataModule, name):
            return f"{type(data).__name__} overrides {name}"
    loader = data.loader("train")
    if type(loader.inputs) is not Tensor or loader.augment is not None:
        return "the inputs are augmented, or are not a dense tensor"
    layers = {type(layer) for layer in model.network.modules()}
    is_trained = all(weight.requires_grad for weight in model.network.parameters())
    if type(model.network) is not DenseNet or not is_trained or not layers <= _LAYERS:
        return "the network was changed"
    head = model.head
    is_usual = (
        type(head) in METRICS
        and head.loss_function in LOSSES
        and head.metrics == list(head.default_metrics)
        and head.threshold == 0.5
        and getattr(head, "target_transform", "none") == "none"
    )
    if not is_usual:
        return f"{type(head).__name__} has an unsupported loss, metric, threshold or transform"
    if model.class_weight is not None:
        return "class_weight is set"
    if model.make_scheduler is not None:
        return "a scheduler is set"
    optimizer = model.make_optimizer(model.parameters())
    if type(optimizer) not in OPTIMIZERS:
        return f"the optimizer is {type(optimizer).__name__}"
    if len(optimizer.param_groups) > 1:
        return "the optimizer has groups of parameters"
    return None


class StackedFold(NamedTuple):
    """Fold in a stack, with its model and its data.

    Args:
        fold: The fold.
        model: Model of the fold.
        inputs: Training rows, (N, ...).
        targets: Prepared targets of the training rows, (N, C). Classes are one-hot.
        val_inputs: Validation rows, (M, ...).
        val_targets: Prepared targets of the validation rows, (M, C).
        batches: Order of the training rows in each epoch.
    """

    fold: Fold
    model: DenseModule
    inputs: Tensor
    targets: Tensor
    val_inputs: Tensor
    val_targets: Tensor
    batches: BatchOrder

    @classmethod
    def of(cls, fold: Fold, model: Any, data: SupervisedDataModule) -> "StackedFold":
        """Return a fold for a stack, with the rows of a DataModule that is split for the fold."""
        model.begin_answer(data)
        train: Any = data.loader("train")
        val: Any = data.loader("val")
        return cls(
            fold,
            model,
            train.inputs,
            _prepare(model, train.targets),
            val.inputs,
            _prepare(model, val.targets),
            train.batch_sampler,
        )

    @property
    def num_weights(self) -> int:
        """Number of weights in the model, including biases."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def key(self) -> str:
        """Key of the stack. Folds with equal keys are trained together."""
        model = self.model
        optimizer = model.make_optimizer(model.parameters())
        head = (type(model.head), model.head.loss_function)
        sizes = (len(self.inputs), len(self.val_inputs), self.batches.batch_size)
        return str((model.network, model.l1, model.l2, head, optimizer, sizes))

    def order(self, epoch: int) -> Tensor:
        """Return the indices of the training rows in the order of an epoch, (N,)."""
        [order] = replace(self.batches, batch_size=len(self.inputs), epoch=epoch)
        return order


def _prepare(model: DenseModule, targets: Tensor) -> Tensor:
    """Check the targets and convert them to floats (N, C). Classes become one-hot."""
    width = model.head.num_logits
    prepared = model.head.prepare(targets)
    model.head.check(torch.empty(len(prepared), width), prepared)
    if prepared.is_floating_point():
        return prepared
    return F.one_hot(prepared, width).float()


@flushed_denormals()
@torch.inference_mode()
def train_stack(
    stack: Sequence[StackedFold],
) -> list[tuple[dict[str, list[float]], NDArray[np.float32]]]:
    """Train the models of folds with equal keys. The models themselves are not changed.

    Returns:
        For each fold, its history (the value of each metric in each epoch, by name) and its trained
        weights, (P,), in the order of the network's parameters.
    """
    models = [stacked.model for stacked in stack]
    net = StackedNet(models)
    optimizer = models[0].make_optimizer([net.weights])
    step = _optimizer_step(optimizer, net.weights)
    x = F.pad(_join(stack, "inputs"), (0, 1), value=1.0)
    y = _join(stack, "targets")
    val_x = _join(stack, "val_inputs")
    val_y = _join(stack, "val_targets")
    batch_size = stack[0].batches.batch_size
    fold_numbers = torch.arange(len(stack))[:, None]
    curves = defaultdict(list)
    for epoch in range(stack[0].fold.max_epochs):
        order = torch.stack([stacked.order(epoch) for stacked in stack])
        seeds = [derived_seed(stacked.batches.seed, epoch) for stacked in stack]
        y_ordered = y[fold_numbers, order]
        # All batches are gathered at once, because gathering one batch takes as long as a step.
        tensors = (x[fold_numbers, order], y_ordered, *net.masks(order.shape[1], seeds))
        batches = [torch.split(tensor, batch_size, dim=1) for tensor in tensors]
        penalty = torch.zeros(len(stack))
        logits = []
        for x_batch, y_batch, *masks in zip(*batches, strict=True):
            if net.has_penalty:
                share = x_batch.shape[1] / order.shape[1]
                penalty += net.penalty() * share
            logits.append(net.backward(x_batch, y_batch, masks))
            step()
        train = _measure(models, "train", torch.cat(logits, 1), y_ordered, penalty)
        val = _measure(models, "val", net.logits(val_x), val_y, net.penalty())
        for name, value in (train | val).items():
            curves[name].append(value)
    curves_of_folds = {name: torch.stack(curve, 1).tolist() for name, curve in curves.items()}
    results = []
    for number, weights in enumerate(net.parameters_of_folds().numpy()):
        history = {name: values[number] for name, values in curves_of_folds.items()}
        results.append((history, weights))
    return results


def _join(stack: Sequence[StackedFold], name: str) -> Tensor:
    """Return the tensors of all folds as one tensor (F, N, D) with flattened rows."""
    return torch.stack([getattr(stacked, name).flatten(1) for stacked in stack])


def _measure(
    models: Sequence[DenseModule],
    stage: str,
    logits: Tensor,
    targets: Tensor,
    penalty: Tensor,
) -> dict[str, Tensor]:
    """Return the loss and the metric of each fold, (F,), by the names that are logged."""
    model = models[0]
    head = model.head
    losses = head.loss_function(logits.flatten(0, 1), targets.flatten(0, 1), reduction="none")
    loss = losses.view(len(models), -1).mean(1)
    units = [getattr(model.head, "std", torch.ones(1)) for model in models]
    metric = METRICS[type(head)](logits, targets, torch.stack(units)[:, None])
    values = {f"{stage}_loss": loss + penalty, f"{stage}_{head.default_metrics[0]}": metric}
    if model.l1 or model.l2:
        values[f"{stage}_data_loss"] = loss
    return values


def _optimizer_step(optimizer: optim.Optimizer, weights: Tensor) -> Callable[[], object]:
    """Return the optimizer's step without its hooks, because they take a quarter of the time."""
    if type(optimizer) is KerasRMSprop and is_on():
        average = torch.zeros_like(weights)
        options = optimizer.param_groups[0]
        return partial(fused_step, [weights], [weights.grad], [average], options)
    return partial(inspect.unwrap(type(optimizer).step), optimizer)
