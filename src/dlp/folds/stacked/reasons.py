"""What keeps folds from being stacked, each as a clause to print after ``serial engine: ``.

The stacked engine goes past the model's steps, the batches' loader and the Trainer's loops. So it
takes only what is known to do nothing else there; what is not known is trained serially.
"""

from collections.abc import Iterator
from itertools import chain
from typing import cast

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    ModelSummary,
    RichModelSummary,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler

from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from dlp.callbacks.progress import ProgressBar
from dlp.callbacks.seeding import EpochSeed
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.loader import BatchLoader, BatchOrder, Rows
from dlp.datamodules.text.encodings import BagRows
from dlp.folds.stacked.blocks import NotStackable, blocks_of, replaced_method
from dlp.folds.stacked.gradients import LOSS_GRADIENTS
from dlp.folds.stacked.network import StackedNet, widened
from dlp.modules.base import SupervisedModule
from dlp.modules.dense import DenseModule
from dlp.modules.heads import HEADS
from dlp.modules.onednn_layout import hooks_of
from dlp.modules.optimizers import Keras3RMSprop, KerasRMSprop
from dlp.quick_steps import NoProfiler

#: Optimizers that move each weight by its own gradient alone.
_ELEMENTWISE = (
    *(KerasRMSprop, Keras3RMSprop, optim.RMSprop, optim.SGD, optim.Adam, optim.AdamW),
    *(
        optim.Adamax,
        optim.NAdam,
        optim.RAdam,
        optim.Adagrad,
        optim.Adadelta,
        optim.Rprop,
        optim.ASGD,
    ),
)

#: Schedules that are a function of the number of steps alone.
_SCHEDULES = (
    *(lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR, lr_scheduler.StepLR),
    *(lr_scheduler.MultiStepLR, lr_scheduler.ConstantLR, lr_scheduler.LinearLR),
    *(lr_scheduler.ExponentialLR, lr_scheduler.PolynomialLR, lr_scheduler.CosineAnnealingLR),
    *(lr_scheduler.CosineAnnealingWarmRestarts, lr_scheduler.SequentialLR),
    *(lr_scheduler.ChainedScheduler, lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR),
)

#: Callbacks that look at no more than the means over folds can tell; `EarlyStopping` is asked for
#: each fold.
_CALLBACKS = (
    *(EpochSeed, ProgressBar, EarlyStopping, ModelSummary, RichModelSummary),
    *(TQDMProgressBar, RichProgressBar),
)

#: Settings of the Trainer that change what an epoch is, and their defaults.
_DEFAULTS = {
    "overfit_batches": 0.0,  # which sets the limits too
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "max_steps": -1,
    "min_steps": None,
    "min_epochs": None,
    "check_val_every_n_epoch": 1,
    "val_check_interval": 1.0,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "barebones": False,
}

#: What models and heads hold beside Lightning's and torch's own. Another attribute that is set may
#: change a step in a way that is not known here.
_OF_MODELS = {"l1", "l2", "make_optimizer", "make_scheduler", "seed", "meters"} | {
    *("_checked", "_batch", "_outputs", "_plateaus", "_predicted", "_left_out", "class_names"),
    *("_hparams", "_hparams_initial", "_hparams_name"),
}
_OF_HEADS = {"loss", "num_outputs", "threshold", "transform", "_metrics"}

#: Rows that a stacked step and the model's own are compared on.
_ROWS = 64
#: How far they may be apart, as a share of the largest number: rounding is a thousandth of that.
_TOLERANCE = 1e-3

#: Where a DataModule or a module changes a batch on its way.
_TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def reason_against(
    model: LightningModule, data: SupervisedDataModule, trainer: Trainer | None = None
) -> str | None:
    """Return why folds of this model must be trained one after the other; None if they need not.

    Args:
        model: The model of a fold.
        data: The data, split for that fold.
        trainer: What would train it; None where that is known to go with a stack.

    Returns:
        A clause that reads well after ``serial engine: ``.
    """
    reasons = () if trainer is None else _of_trainer(trainer)
    return next(chain(reasons, _of_fold(model, data)), None)


def _of_fold(model: LightningModule, data: SupervisedDataModule) -> Iterator[str]:
    kind = type(model)
    if not isinstance(model, SupervisedModule):
        yield f"{kind.__name__} is a module of your own"
        return
    if kind not in (DenseModule, SupervisedModule):
        yield f"{kind.__name__} is not a DenseModule"
        return
    if model.class_weight is not None:
        yield "class_weight differs from fold to fold, as the frequencies do"
    if model.head.threshold_rule is not None:
        yield "each validation of each fold chooses a threshold"
    yield from _of_module(model)
    yield from _of_network(model)
    yield from _of_head(model)
    yield from _of_optimizer(model)
    yield from _of_batches(data)
    train = data.train_dataloader()
    if _differs(model, cast(Tensor, train.inputs), cast(Tensor, train.targets)):
        yield "one stacked step does not give what the model's own step gives"


def _of_module(model: SupervisedModule) -> Iterator[str]:
    for own, known in ((model, _OF_MODELS), (model.head, _OF_HEADS)):
        name = type(own).__name__
        if replaced := replaced_method(own):
            yield f"{replaced} of the {name} was replaced"
        usual = vars(LightningModule()).keys() | known
        for attribute, value in vars(own).items():
            if attribute not in usual and (isinstance(value, Tensor) or value):
                yield f"{attribute} of the {name} may change its steps"
    if not model.automatic_optimization:
        yield "the model takes its steps by hand"
    if any(map(hooks_of, model.modules())):
        yield "the network has hooks, which look at one batch of one fold"
    if not all(layer.training for layer in model.modules()):
        yield "some layers of the network are in eval mode"


def _of_network(model: SupervisedModule) -> Iterator[str]:
    try:
        blocks = blocks_of(model.network)
    except NotStackable as reason:
        yield str(reason)
        return
    kernels = [block.linear.weight for block in blocks]
    weights = {id(weight) for block in blocks for weight in block.linear.parameters()}
    if weights != {id(weight) for weight in model.parameters()}:
        yield "there are weights outside the dense layers of the network"
    if not all(weight.requires_grad for weight in model.parameters()):
        yield "some of the weights are frozen"
    if any(weight.dtype != torch.float32 for weight in model.parameters()):
        yield "some of the weights are not float32"
    if [*map(id, model.penalised_kernels())] != [*map(id, kernels[:-1])]:
        yield "the penalty is on other kernels than those of all layers but the last"


def _of_head(model: SupervisedModule) -> Iterator[str]:
    head = model.head
    if type(head) not in HEADS.values():
        yield f"{type(head).__name__} is a head of your own"
    elif not any(head.loss is loss for loss in LOSS_GRADIENTS):
        name = getattr(head.loss, "__name__", type(head.loss).__name__)
        yield f"{name} is a loss of your own, whose gradient is not known"


def _of_optimizer(model: SupervisedModule) -> Iterator[str]:
    optimizer = model.make_optimizer(model.parameter_groups())
    name = type(optimizer).__name__
    if type(optimizer) not in _ELEMENTWISE:
        yield f"{name} is not known to move each weight by its own gradient alone"
        return
    moved = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
    if len(optimizer.param_groups) > 1 or moved != [*map(id, model.parameters())]:
        yield f"{name} treats some parameters in another way than others"
        return
    flat = model.make_optimizer([nn.Parameter(torch.zeros(1, 1))])  # as the stack will give it
    if options_of(optimizer) != options_of(flat):
        yield f"{name} treats some parameters in another way than others"
    # torch keeps the hooks there and has no call that tells of them.
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        yield f"{name} has hooks, which look at the weights of one fold"
    if replaced := replaced_method(optimizer):
        yield f"{replaced} of the {name} was replaced"
    if model.make_scheduler is not None:
        kind = type(model.make_scheduler(optimizer))
        if issubclass(kind, lr_scheduler.ReduceLROnPlateau):
            yield f"{kind.__name__} watches a metric, which differs from fold to fold"
        elif kind not in _SCHEDULES:
            yield f"{kind.__name__} is not known to be a function of the number of steps alone"


def options_of(optimizer: torch.optim.Optimizer) -> tuple[tuple[str, object], ...]:
    """Return the options of an optimizer with one group of parameters."""
    (group,) = optimizer.param_groups
    return tuple((name, value) for name, value in group.items() if name != "params")


def _of_batches(data: SupervisedDataModule) -> Iterator[str]:
    name = type(data).__name__
    for hook in _TRANSFERS:
        if getattr(type(data), hook) is not getattr(LightningDataModule, hook):
            yield f"{hook} of {name} may change the batches"
    if replaced := replaced_method(data):
        yield f"{replaced} of the {name} was replaced"
    for part, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        order = getattr(loader, "batch_sampler", None)
        if type(loader) is not BatchLoader or type(order) is not BatchOrder:
            yield f"{type(loader).__name__} is a loader of your own"
            return
        if loader.augment is not None:
            yield "augmentation changes every batch"
        if order.shuffle != (part == "train") or order.num_replicas != 1:
            yield f"the order of the {part} batches is another than usual"
        yield from _of_inputs(loader.inputs)


def _of_inputs(inputs: Rows) -> Iterator[str]:
    if isinstance(inputs, BagRows):
        yield "most of a step is the sparse product of the texts, which stacking does not speed up"
    elif not isinstance(inputs, Tensor):
        yield "the inputs are not one tensor in memory"
    elif not inputs.is_floating_point() or inputs.layout != torch.strided:
        yield f"the inputs are {inputs.dtype}, {inputs.layout}, not dense floats"


def _of_trainer(trainer: Trainer) -> Iterator[str]:
    if getattr(trainer, "fast_dev_run", False):  # set by a function of Lightning's
        yield "this is a trial run"
    if type(trainer) is not Trainer:
        yield f"{type(trainer).__name__} is a Trainer of your own"
    if type(trainer.strategy) is not SingleDeviceStrategy:
        yield f"{type(trainer.strategy).__name__} is for several devices or processes"
    if trainer.precision not in ("32-true", "64-true"):
        yield f"precision is {trainer.precision}, not 32-true or 64-true"
    for name, default in _DEFAULTS.items():
        value = getattr(trainer, name)
        # A limit of 1 is one batch, of 1.0 all of them.
        if value != default or isinstance(value, float) != isinstance(default, float):
            yield f"the trainer's {name} is {value}, not {default}"
    profiler = type(getattr(trainer, "profiler", None))  # set by a function of Lightning's
    if profiler not in (PassThroughProfiler, NoProfiler):
        yield f"{profiler.__name__} measures the steps of one fold"
    for logger in trainer.loggers:
        yield f"{type(logger).__name__} logs each fold by itself (logger=False for none)"
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    for callback in callbacks:
        kind = type(callback).__name__
        if isinstance(callback, ModelCheckpoint | BestCheckpoint | LastCheckpoint):
            yield f"{kind} keeps each fold's weights (enable_checkpointing=False for none)"
        elif type(callback) not in _CALLBACKS or replaced_method(callback):
            yield f"{kind} looks at the model or its batches"


def _differs(model: SupervisedModule, inputs: Tensor, targets: Tensor) -> bool:
    """Whether a stacked step gives other logits or gradients than the model's own step.

    Nothing is dropped in either, and the model is left as it was.
    """
    inputs, targets, head = inputs[:_ROWS], targets[:_ROWS], model.head
    net = StackedNet([model.network], head.loss, model.l1, model.l2)
    weights = [*model.parameters()]
    before = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    model.eval()
    try:
        logits = model(inputs)
        head.check(logits, targets)
        targets = head.prepare(targets)
        penalty = torch.as_tensor(model.penalty())
        (head.loss(logits, targets) + penalty).backward()  # type: ignore[no-untyped-call] # torch has no types for it
        theirs = [block.linear.weight.grad for block in net.blocks[0]]
        theirs += [block.linear.bias.grad for block in net.blocks[0]]
    finally:
        model.train()
        for weight, gradient in zip(weights, before, strict=True):
            weight.grad = gradient
    with torch.no_grad():
        net.bind(len(inputs))
        found = torch.empty_like(logits).unsqueeze(0)
        targets = widened(targets, logits.shape[1]).to(logits).unsqueeze(0)
        rows = torch.nn.functional.pad(inputs.flatten(1).to(logits), (0, 1), value=1.0)
        net.gradient(rows.unsqueeze(0), targets, found)
        layers = [layer[0] for layer in net.gradients()]
    ours = [layer[:-1].t() for layer in layers] + [layer[-1] for layer in layers]
    pairs = [(logits, found[0]), (penalty, net.penalty()[0]), *zip(theirs, ours, strict=True)]
    return not all(mine is not None and _is_close(mine, other) for mine, other in pairs)


def _is_close(mine: Tensor, other: Tensor) -> bool:
    scale = float(mine.detach().abs().nan_to_num().max()) or 1.0
    return torch.allclose(mine, other, rtol=0, atol=_TOLERANCE * scale, equal_nan=True)
