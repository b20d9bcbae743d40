"""Unfreeze stages of a backbone during a fit, for feature extraction and fine-tuning in one run."""

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
    """Train the deepest stages of the model's `Backbone` from a certain epoch on.

    Use several of these callbacks to unfreeze step by step. Which stages are trained depends only
    on the epoch, so a resumed fit continues like an uninterrupted one. With several processes,
    ``trainer.strategy: ddp_find_unused_parameters_true`` is required.

    Args:
        at_epoch: First epoch, counted from 1, in which the stages are trained.
        stages: Number of stages, counted from the deepest one, or ``all``.
        train_batch_norm: Whether batch normalisation in these stages uses the statistics of each
            batch. By default it keeps the statistics of the pretrained weights, which small batches
            would spoil. Its scale and shift are trained in both cases. If you use several of these
            callbacks, set it in each of them.

    Example::

        trainer = Trainer(max_epochs=30, callbacks=[Unfreeze(at_epoch=11, stages=1)])
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
        """Check the number of stages, and unfreeze all stages before DDP wraps the model."""
        backbone = backbone_of(pl_module)
        backbone.num_stages(self.stages)
        if stage == "fit" and isinstance(trainer.strategy, ParallelStrategy):
            backbone.set_trained(len(backbone.stages))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train the stages that this epoch requires, and print which ones are new."""
        backbone = backbone_of(pl_module)
        epoch = trainer.current_epoch + 1
        num_frozen = backbone.frozen_stages
        backbone.set_trained(trained_stages(epoch, backbone, trainer), self.train_batch_norm)
        names = backbone.stages[backbone.frozen_stages : num_frozen]
        if names:
            say(f"epoch {epoch}: {', '.join(names)} of {backbone.name} trained from now on")

    on_fit_start = on_train_epoch_start  # so that stages are frozen before features are cached
    on_train_start = on_train_epoch_start  # for a fit that resumes within an epoch

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: object) -> None:
        """Restore the backbone's `trainable_stages` for later fits without this callback."""
        backbone = backbone_of(pl_module)
        backbone.set_trained(backbone.trainable_stages)

    # Lightning skips teardown if a fit raises an exception.
    on_exception = teardown  # type: ignore[assignment]  # the last argument has another name


def trained_stages(epoch: float, backbone: Backbone, trainer: Trainer) -> int:
    """Return how many stages, counted from the deepest one, are trained in an epoch.

    Args:
        epoch: Number of the epoch, counted from 1.
        backbone: Backbone with its `trainable_stages`.
        trainer: Trainer, whose callbacks may include `Unfreeze`.
    """
    number = backbone.trainable_stages
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it
        if isinstance(callback, Unfreeze) and callback.at_epoch <= epoch:
            number = max(number, backbone.num_stages(callback.stages))
    return number


def backbone_of(module: LightningModule) -> Backbone:
    """Return the only `Backbone` in a model.

    Raises:
        InputError: If the model has no `Backbone` or several.
    """
    backbones = [part for part in module.modules() if isinstance(part, Backbone)]
    if len(backbones) != 1:
        raise InputError(
            f"Unfreeze: expected a model with one Backbone, such as PretrainedModule, got "
            f"{type(module).__name__} with {len(backbones)}. Remove Unfreeze from the callbacks."
        )
    return backbones[0]
