"""What keeps folds from being stacked, each as a clause to print after ``serial engine: ``."""

from collections.abc import Iterator

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    ModelSummary,
    RichModelSummary,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dlp.bag_of_words import BagLinear
from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from dlp.callbacks.history import History
from dlp.callbacks.progress import ProgressBar
from dlp.callbacks.seeding import EpochSeed
from dlp.datamodules.bags import BagRows
from dlp.datamodules.batches import Rows
from dlp.modules.base import SupervisedModule
from dlp.modules.dense import DenseModule
from dlp.modules.gradients import LOSS_GRADIENTS
from dlp.modules.heads import HEADS
from dlp.modules.networks import ACTIVATIONS, DenseNet, Dropout
from dlp.modules.optimizers import KerasRMSprop

#: Optimizers that move each weight by its own gradient alone.
_ELEMENTWISE = (
    *(KerasRMSprop, optim.RMSprop, optim.SGD, optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam),
    *(optim.RAdam, optim.Adagrad, optim.Adadelta, optim.Rprop, optim.ASGD),
)

#: Callbacks that look at logged numbers and checkpoints, not at the model or its batches.
_CALLBACKS = (
    *(History, EpochSeed, BestCheckpoint, LastCheckpoint, ProgressBar, EarlyStopping),
    *(ModelCheckpoint, ModelSummary, RichModelSummary, TQDMProgressBar, RichProgressBar),
)

#: Settings of the Trainer that change what an epoch is, and their defaults.
_DEFAULTS = {
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "overfit_batches": 0.0,
    "max_steps": -1,
    "min_steps": None,
    "min_epochs": None,
    "check_val_every_n_epoch": 1,
    "val_check_interval": 1.0,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
}


def reason_against(model: LightningModule, inputs: Rows, trainer: Trainer) -> str | None:
    """Return why folds of this model must be trained one after the other; None if they need not.

    Args:
        model: The model of a fold.
        inputs: Its training inputs.
        trainer: What would train it.

    Returns:
        A clause that reads well after ``serial engine: ``.
    """
    return next(_reasons(model, inputs, trainer), None)


def _reasons(model: LightningModule, inputs: Rows, trainer: Trainer) -> Iterator[str]:
    kind = type(model)
    if not isinstance(model, SupervisedModule) or kind not in (DenseModule, SupervisedModule):
        yield f"{kind.__name__} is not a DenseModule"
        return
    yield from _of_network(model)
    yield from _of_inputs(inputs)
    yield from _of_head(model)
    yield from _of_optimizer(model)
    yield from _of_trainer(trainer)


def _of_network(model: SupervisedModule) -> Iterator[str]:
    network = model.network
    if type(network) is not DenseNet:
        yield f"{type(network).__name__} is not a DenseNet"
        return
    known = {repr(make()) for make in ACTIVATIONS.values()}
    for name, layer in network.layers.named_children():
        if type(layer) not in (BagLinear, Dropout) and repr(layer) not in known:
            yield f"the layer {name} of the network is a {type(layer).__name__} of its own"
    if not all(weight.requires_grad for weight in network.parameters()):
        yield "some of the weights are frozen"
    if any(_has_hooks(layer) for layer in model.modules()):
        yield "the network has hooks, which look at one batch of one fold"
    replaced = [name for name in vars(model) if callable(getattr(SupervisedModule, name, None))]
    if replaced:
        yield f"{replaced[0]} of the model was replaced"


def _has_hooks(layer: nn.Module) -> bool:
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def _of_inputs(inputs: Rows) -> Iterator[str]:
    if isinstance(inputs, BagRows):
        yield "most of a step is the sparse product of the texts, which stacking does not speed up"
    elif not isinstance(inputs, Tensor):
        yield "the inputs are not one tensor in memory"
    elif not inputs.is_floating_point() or inputs.layout != torch.strided:
        yield f"the inputs are {inputs.dtype}, {inputs.layout}, not dense floats"


def _of_head(model: SupervisedModule) -> Iterator[str]:
    head = model.head
    if type(head) not in HEADS.values():
        yield f"{type(head).__name__} is a head of your own"
    elif head.loss not in LOSS_GRADIENTS:
        name = getattr(head.loss, "__name__", type(head.loss).__name__)
        yield f"{name} is a loss of your own, whose gradient is not known"


def _of_optimizer(model: SupervisedModule) -> Iterator[str]:
    optimizer = model.make_optimizer(model.parameter_groups())
    name = type(optimizer).__name__
    if type(optimizer) not in _ELEMENTWISE:
        yield f"{name} is not known to move each weight by its own gradient alone"
        return
    flat = model.make_optimizer([nn.Parameter(torch.zeros(1))])  # what the stack will give it
    groups = [[_options(group) for group in each.param_groups] for each in (optimizer, flat)]
    if len(groups[0]) > 1 or groups[0] != groups[1]:
        yield f"{name} treats some parameters in another way than others"
    if model.make_scheduler is not None:
        scheduler = model.make_scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            yield f"{type(scheduler).__name__} watches a metric, which differs from fold to fold"


def _options(group: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in group.items() if name != "params"}


def _of_trainer(trainer: Trainer) -> Iterator[str]:
    if type(trainer.strategy) is not SingleDeviceStrategy:
        yield f"{type(trainer.strategy).__name__} is for several devices or processes"
    if getattr(trainer, "fast_dev_run", False):
        yield "fast_dev_run looks at single batches"
    if trainer.precision not in ("32-true", "64-true"):
        yield f"precision is {trainer.precision}, not 32-true or 64-true"
    for name, default in _DEFAULTS.items():
        if (value := getattr(trainer, name)) != default:
            yield f"the trainer's {name} is {value}, not {default}"
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    for callback in callbacks:
        if type(callback) not in _CALLBACKS:
            yield f"{type(callback).__name__} looks at the model or its batches"
