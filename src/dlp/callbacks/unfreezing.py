"""Fine-tuning in one run: stages of a backbone that are trained from an epoch on."""

from dataclasses import dataclass
from typing import Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import ParallelStrategy

from dlp.console import say
from dlp.errors import InputError
from dlp.modules.pretrained import Backbone


@dataclass(eq=False)
class Unfreeze(Callback):
    """Training of the deepest stages of the model's `Backbone` from an epoch on.

    Several of them unfreeze step by step. The trained stages depend only on the epoch, so that a
    resumed fit continues as an unbroken one. Several processes need
    ``trainer.strategy: ddp_find_unused_parameters_true``.

    Args:
        at_epoch: First epoch, counted from 1, in which the stages are trained.
        stages: Number of the deepest stages, or ``all``.
        train_batch_norm: Whether batch normalisation in them takes the statistics of each batch.
            By default it keeps those of the pretrained weights, which small batches would spoil;
            its scale and shift are trained either way. Give it to each of several.
    """

    at_epoch: int
    stages: int | Literal["all"]
    train_batch_norm: bool = False

    def setup(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        stage: str,
    ) -> None:
        """Check the number of stages; unfreeze everything before DDP wraps the model."""
        backbone = backbone_of(pl_module)
        backbone.num_stages(self.stages)
        if stage == "fit" and isinstance(trainer.strategy, ParallelStrategy):
            backbone.set_trained(len(backbone.stages))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the trained stages of this epoch."""
        backbone = backbone_of(pl_module)
        epoch = trainer.current_epoch + 1
        num_frozen = backbone.frozen_stages
        backbone.set_trained(trained_stages(epoch, backbone, trainer), self.train_batch_norm)
        names = backbone.stages[backbone.frozen_stages : num_frozen]
        if names:
            say(f"epoch {epoch}: {', '.join(names)} of {backbone.name} trained from now on")

    on_fit_start = on_train_epoch_start  # before features are stored
    on_train_start = on_train_epoch_start  # a fit may resume within an epoch

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: object) -> None:
        """Restore the backbone's own `trainable_stages`: another fit may have no `Unfreeze`."""
        backbone = backbone_of(pl_module)
        backbone.set_trained(backbone.trainable_stages)

    # Lightning skips teardown when a fit raises.
    on_exception = teardown  # type: ignore[assignment]  # another name of the last argument


def trained_stages(epoch: float, backbone: Backbone, trainer: Trainer) -> int:
    """Return the number of the deepest stages that are trained in an epoch, counted from 1."""
    number = backbone.trainable_stages
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it
        if isinstance(callback, Unfreeze) and callback.at_epoch <= epoch:
            number = max(number, backbone.num_stages(callback.stages))
    return number


def backbone_of(module: LightningModule) -> Backbone:
    """Return the one `Backbone` of a model."""
    backbones = [part for part in module.modules() if isinstance(part, Backbone)]
    if len(backbones) != 1:
        raise InputError(
            f"Unfreeze needs a model with one Backbone, such as PretrainedModule; "
            f"{type(module).__name__} has {len(backbones)}."
        )
    return backbones[0]
