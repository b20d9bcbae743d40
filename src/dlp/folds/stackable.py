"""Check whether folds can be stacked."""

import inspect
from typing import Any

from lightning import LightningModule, Trainer
from torch import Tensor, nn, optim

from dlp.bag_of_words import BagLinear
from dlp.datamodules.base import SupervisedDataModule
from dlp.folds.stacked import METRICS
from dlp.folds.stacked_net import LOSSES, STACKED_ACTIVATIONS
from dlp.modules.heads import Head
from dlp.modules.models import DenseModule
from dlp.modules.networks import DenseNet
from dlp.modules.optimizers import KerasRMSprop

_LAYERS = {DenseNet, nn.Sequential, BagLinear, nn.Linear, nn.Dropout} | STACKED_ACTIVATIONS.keys()
#: Optimizers that move each weight by its own gradient alone.
OPTIMIZERS = (KerasRMSprop, optim.RMSprop, optim.SGD, optim.Adam, optim.AdamW)
#: Arguments of a Trainer that change nothing in a stack.
_IRRELEVANT = {
    "max_epochs",
    "logger",
    "num_sanity_val_steps",
    "default_root_dir",
    "plugins",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
}
#: Arguments of a Trainer whose value is as good as the default.
_PLAIN = {"accelerator": "cpu", "devices": 1}
_TRAINER_ARGUMENTS = inspect.signature(Trainer).parameters


def reason_against(
    model: LightningModule,
    data: SupervisedDataModule,
    trainer: dict[str, Any],
) -> str | None:
    """Return the reason why a fold cannot be stacked, as a clause; None if it can."""
    if type(model) is not DenseModule:
        return f"{type(model).__name__} is not a DenseModule"
    for name in sorted(trainer.keys() - _IRRELEVANT):
        default = _TRAINER_ARGUMENTS[name].default
        if trainer[name] not in (None, [], default, _PLAIN.get(name)):
            return f"trainer.{name} is set"
    loader = data.loader("train")
    if type(loader.inputs) is not Tensor or loader.augment is not None:
        return "the inputs are augmented or not one dense tensor"
    layers = {type(layer) for layer in model.network.modules()}
    is_trained = all(weight.requires_grad for weight in model.network.parameters())
    if type(model.network) is not DenseNet or not is_trained or not layers <= _LAYERS:
        return "the network was changed"
    if not _is_usual(model.head):
        return f"{type(model.head).__name__} has another loss, metric, threshold or transform"
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


def _is_usual(head: Head) -> bool:
    return (
        type(head) in METRICS
        and head.loss_function in LOSSES
        and head.metrics == list(head.default_metrics)
        and head.threshold == 0.5
        and getattr(head, "target_transform", "none") == "none"
    )
