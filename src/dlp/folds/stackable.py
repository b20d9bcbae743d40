"""Check whether folds can be stacked, and with which others."""

import inspect
from collections.abc import Hashable
from typing import Any

from lightning import LightningModule, Trainer
from torch import Tensor, nn, optim

from dlp.bag_of_words import BagLinear
from dlp.datamodules.base import SupervisedDataModule
from dlp.folds.stacked import ACTIVATIONS, LOSSES, METRICS, FoldTensors
from dlp.modules.models import DenseModule
from dlp.modules.networks import DenseNet
from dlp.modules.optimizers import KerasRMSprop

_LAYERS = {BagLinear, nn.Linear, nn.Dropout, *ACTIVATIONS}
#: Optimizers that move each weight by its own gradient alone.
OPTIMIZERS = (KerasRMSprop, optim.RMSprop, optim.SGD, optim.Adam, optim.AdamW)
#: Arguments of a Trainer that change nothing in a stack, and values that are as good as none.
_IRRELEVANT = {"max_epochs", "logger", "num_sanity_val_steps", "default_root_dir", "plugins"}
_IRRELEVANT |= {"enable_checkpointing", "enable_model_summary", "enable_progress_bar"}
_PLAIN = {"accelerator": "cpu", "devices": 1}


def kind(model: DenseModule, fold: FoldTensors) -> Hashable:
    """Return what the models and tensors of one stack have in common."""
    optimizer = model.make_optimizer(model.parameters())
    options = {n: v for n, v in optimizer.param_groups[0].items() if n != "params"}
    rows = len(fold.inputs), len(fold.val_inputs), fold.batch_size
    head = type(model.head), model.head.loss_function
    return str((model.network, model.l1, model.l2, *head, type(optimizer), options, *rows))


def reason_against(
    model: LightningModule, data: SupervisedDataModule, trainer: dict[str, Any]
) -> str | None:
    """Return the reason why a fold cannot be stacked, as a clause; None if it can."""
    if type(model) is not DenseModule:
        return f"{type(model).__name__} is not a DenseModule"
    defaults = {n: p.default for n, p in inspect.signature(Trainer).parameters.items()}
    arguments = [
        name
        for name in trainer.keys() - _IRRELEVANT
        if trainer[name] not in (None, [], defaults.get(name), _PLAIN.get(name))
    ]
    loader, head = data.loader("train"), model.head
    optimizer = model.make_optimizer(model.parameters())
    layers = [*model.network.modules()][2:]  # without the net and its Sequential
    reasons = {
        f"trainer.{min(arguments, default=None)} is set": bool(arguments),
        "the inputs are not one dense tensor": type(loader.inputs) is not Tensor,
        "the inputs are augmented": loader.augment is not None,
        "the network was changed": (
            type(model.network) is not DenseNet
            or not {type(layer) for layer in layers} <= _LAYERS
            or not all(weight.requires_grad for weight in model.parameters())
        ),
        f"{type(head).__name__} has another loss, metric, threshold or transform": (
            type(head) not in METRICS
            or head.loss_function not in LOSSES
            or head.metrics != [*head.default_metrics]
            or head.threshold != 0.5
            or getattr(head, "transform", "none") != "none"
        ),
        "class_weight is set": bool(model.class_weight) or head.class_weights is not None,
        "a scheduler is set": model.make_scheduler is not None,
        f"the optimizer is {type(optimizer).__name__}": type(optimizer) not in OPTIMIZERS,
        "the optimizer has groups of parameters": len(optimizer.param_groups) > 1,
    }
    return next((clause for clause, holds in reasons.items() if holds), None)
