"""Fine-tuning in one run: a backbone's deepest stages are trained from an epoch on."""

from typing import Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import ParallelStrategy
from torch.nn.parallel import DistributedDataParallel

from dlp.console import say
from dlp.errors import InputError
from dlp.modules.backbones import Backbone


class Unfreeze(Callback):
    """Train the deepest `stages` of the model's `Backbone` from epoch `at_epoch` on.

    Several of them unfreeze step by step: of those reached, the one with the most stages holds.
    Before the first, the backbone's own ``trainable_stages`` hold. What is trained depends on the
    epoch alone, so that a resumed run goes on as an unbroken one.

    Under several processes, ``trainer.strategy: ddp_find_unused_parameters_true`` is needed: DDP
    then knows every parameter from the start, and takes those without gradient for unused.

    Args:
        at_epoch: The first epoch, counted from 1, in which they are trained.
        stages: How many of the deepest stages; ``all`` is all of them.
    """

    def __init__(self, at_epoch: int, stages: int | Literal["all"]) -> None:
        if at_epoch < 1:
            raise InputError(f"epochs count from 1; Unfreeze got at_epoch={at_epoch}.")
        self.at_epoch = at_epoch
        self.stages = stages

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that there is what to unfreeze, and let DDP know every parameter."""
        if stage != "fit":
            return
        backbone = _backbone(pl_module)
        backbone.count_stages(self.stages)
        if isinstance(trainer.strategy, ParallelStrategy):
            backbone.train_for_now(len(backbone.stages))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze again what DDP was shown, before anything is computed or counted.

        Raises:
            InputError: The strategy is not one that keeps the processes equal.
        """
        model = trainer.model
        finds_unused = isinstance(model, DistributedDataParallel) and model.find_unused_parameters
        if isinstance(trainer.strategy, ParallelStrategy) and not finds_unused:
            raise InputError(
                "Unfreeze under several processes needs trainer.strategy: "
                "ddp_find_unused_parameters_true; with another strategy the processes would drift "
                "apart, or stop at parameters without gradient."
            )
        backbone = _backbone(pl_module)
        backbone.train_for_now(backbone.trainable_stages)
        if trainer.max_epochs is not None and 0 <= trainer.max_epochs < self.at_epoch:
            say(
                f"Unfreeze(at_epoch={self.at_epoch}) does nothing in a run of {trainer.max_epochs} "
                "epochs"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the epoch that is resumed, which may be in its middle."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train what this epoch asks for."""
        backbone = _backbone(pl_module)
        before, epoch = backbone.frozen_stages, trainer.current_epoch + 1
        backbone.train_for_now(trainable_at(epoch, backbone, trainer))
        if new := backbone.stages[backbone.frozen_stages : before]:
            say(f"epoch {epoch}: {', '.join(new)} of {backbone.name} trained from now on")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the backbone as it was chosen to be: another fit may have no `Unfreeze`."""
        if stage == "fit":
            backbone = _backbone(pl_module)
            backbone.train_for_now(backbone.trainable_stages)


def trainable_at(epoch: int, backbone: Backbone, trainer: Trainer) -> int:
    """Return how many of the deepest stages are trained in an epoch, counted from 1."""
    reached = [
        backbone.count_stages(callback.stages)
        for callback in trainer.callbacks  # type: ignore[attr-defined] # set by a connector
        if isinstance(callback, Unfreeze) and epoch >= callback.at_epoch
    ]
    return max([backbone.trainable_stages, *reached])


def _backbone(module: LightningModule) -> Backbone:
    for part in module.modules():
        if isinstance(part, Backbone):
            return part
    raise InputError(
        f"Unfreeze finds no backbone in {type(module).__name__}: it goes with PretrainedModule, or "
        "any model with a dlp.modules.Backbone in it."
    )
