"""Fine-tuning in one run: a backbone's deepest stages are trained from an epoch on."""

from typing import Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch.nn.parallel import DistributedDataParallel

from dlp.console import say
from dlp.errors import InputError
from dlp.modules.pretrained.backbones import Backbone


class Unfreeze(Callback):
    """Train the deepest `stages` of the model's `Backbone` from epoch `at_epoch` on.

    Several of them unfreeze step by step: of those reached, the one with the most stages holds.
    Before the first, the backbone's own ``trainable_stages`` hold. What is trained depends on the
    epoch alone, so that a resumed run goes on as an unbroken one.

    Lightning's ``BackboneFinetuning`` takes gradients alone: what it freezes stays in training mode
    (batch normalisation by batch, dropout), and it adds to the optimizer what it unfreezes, which
    DDP does not know.

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
            InputError: The strategy is not one that keeps the processes equal, or no optimizer
                holds what is to be trained.
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
        self._check_optimizers(trainer, backbone)
        if trainer.max_epochs is not None and 0 <= trainer.max_epochs < self.at_epoch:
            say(
                f"Unfreeze(at_epoch={self.at_epoch}) does nothing in a run of {trainer.max_epochs} "
                "epochs"
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train what this epoch asks for."""
        backbone = _backbone(pl_module)
        before, epoch = backbone.frozen_stages, trainer.current_epoch + 1
        backbone.train_for_now(trainable_at(epoch, backbone, trainer))
        if new := backbone.stages[backbone.frozen_stages : before]:
            say(f"epoch {epoch}: {', '.join(new)} of {backbone.name} trained from now on")

    on_train_start = on_train_epoch_start  # a fit may be resumed in the middle of an epoch

    def _as_chosen(
        self, trainer: Trainer, pl_module: LightningModule, *_: object, **__: object
    ) -> None:
        """Leave the backbone as it was chosen to be: another fit may have no `Unfreeze`."""
        for backbone in _backbones(pl_module) if trainer.state.fn == TrainerFn.FITTING else ():
            backbone.train_for_now(backbone.trainable_stages)

    teardown = on_exception = _as_chosen  # Lightning tears nothing down where a fit is broken off

    def _check_optimizers(self, trainer: Trainer, backbone: Backbone) -> None:
        held = {
            id(weight)
            for optimizer in trainer.optimizers
            for group in optimizer.param_groups
            for weight in group["params"]
        }
        first = len(backbone.stages) - backbone.count_stages(self.stages)
        missing = [
            name
            for name, weight in backbone.model.named_parameters()
            if backbone.stage_of(name) >= first and id(weight) not in held
        ]
        if missing:
            stages = ", ".join(backbone.stages[first:])
            raise InputError(
                f"Unfreeze is to train {stages} of {backbone.name}, and no optimizer "
                f"holds {len(missing)} of their parameters ({missing[0]} ...). Let "
                "configure_optimizers take all parameters of the model: optimizers leave those "
                "without gradient as they are."
            )


def trainable_at(epoch: int, backbone: Backbone, trainer: Trainer) -> int:
    """Return how many of the deepest stages are trained in an epoch, counted from 1."""
    reached = [
        backbone.count_stages(callback.stages)
        for callback in trainer.callbacks  # type: ignore[attr-defined] # set by a connector
        if isinstance(callback, Unfreeze) and epoch >= callback.at_epoch
    ]
    return max([backbone.trainable_stages, *reached])


def _backbones(module: LightningModule) -> list[Backbone]:
    return [part for part in module.modules() if isinstance(part, Backbone)]


def _backbone(module: LightningModule) -> Backbone:
    found = _backbones(module)
    if len(found) == 1:
        return found[0]
    number = f"{len(found)} backbones" if found else "no backbone"
    raise InputError(
        f"Unfreeze finds {number} in {type(module).__name__}: it goes with PretrainedModule, or "
        "any model with one dlp.modules.Backbone in it."
    )
