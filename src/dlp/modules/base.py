"""One LightningModule for every problem: a network, a head, a penalty and an optimizer."""

import os
from collections.abc import Sequence
from typing import Any, cast

import torch
from lightning.pytorch.callbacks import ModelPruning
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from dlp.bag_of_words import BagOfWords
from dlp.console import say
from dlp.directions import Mode, contradictions
from dlp.errors import InputError
from dlp.frozen_features import Features
from dlp.modules.class_weights import ClassWeight
from dlp.modules.heads import Head, HeadName, make_head
from dlp.modules.losses import Loss
from dlp.modules.meters import Stage, StageMeter
from dlp.modules.metrics import Metrics
from dlp.modules.networks import reseed_dropout
from dlp.modules.optimizers import KerasRMSprop
from dlp.modules.restoring import RestorableModule
from dlp.modules.state_dicts import difference, read_state_dict
from dlp.modules.thresholds import Threshold
from dlp.seeds import derived_seed


def kernels(network: nn.Module) -> list[Tensor]:
    """Return the weights of every linear and convolution layer but the last, in order."""
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)
    ]
    return [layer.weight for layer in layers[:-1]]


class SupervisedModule(RestorableModule):
    """Any network trained on ``(inputs, targets)`` batches under a head.

    ``forward`` gives logits. Logged, averaged over the samples of an epoch: ``train_loss``,
    ``val_loss``, ``test_loss`` and each metric; with a penalty, ``*_loss`` includes it (as in the
    book's curves) and ``*_data_loss`` leaves it out.

    Args:
        network: Any ``nn.Module`` from a batch of inputs to logits (N, `head.num_logits`).
        head: The kind of problem, or a `Head` object.
        num_outputs: Number of classes (2 for binary), labels or target columns.
        loss: Another loss than the head's: a name, an import path or a callable.
        metrics: Other metrics than the head's: names, import paths, torchmetrics classes or
            functions.
        class_weight: Rare classes count more in the loss: ``balanced`` (by the training part of
            the DataModule, as in scikit-learn), or a weight for each class by its name (1 where
            none is given). Reported losses are of the weighted loss.
        threshold: For ``head: sigmoid`` and ``multilabel``: the probability above which a row is
            of class 1; ``f1``, or what mistakes cost (``{false_negative: 10, false_positive: 1}``),
            chooses it on the validation part in every epoch. 0.5 by default.
        l1: Adds ``l1 * sum(|w|)`` over the kernels of every linear and convolution layer but the
            last.
        l2: Adds ``l2 * sum(w ** 2)`` over the same kernels (``weight_decay=2 * l2`` of a coupled
            optimizer).
        optimizer: From parameters to an optimizer; the book's RMSprop by default.
        scheduler: From an optimizer to a learning-rate scheduler.
        target_mean: Mean of each target in the training part, for ``head: regression``.
        target_std: Standard deviation of each target.
        input_shape: Shape of one input row, for the model summary.
    """

    #: The learning rate that Lightning's finder has found; None leaves the optimizer its own.
    lr: float | None = None

    def __init__(
        self,
        network: nn.Module,
        head: HeadName | Head,
        num_outputs: int = 1,
        loss: Loss | None = None,
        metrics: Metrics | None = None,
        class_weight: ClassWeight | None = None,
        threshold: Threshold | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        optimizer: OptimizerCallable = KerasRMSprop,
        scheduler: LRSchedulerCallable | None = None,
        target_mean: list[float] | None = None,
        target_std: list[float] | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if l1 < 0 or l2 < 0:
            raise InputError(f"l1 and l2 must be 0 or more, got l1={l1} and l2={l2}.")
        self.network = network
        self.head = make_head(head, num_outputs, loss, metrics, target_mean, target_std)
        if threshold is not None:
            self.head.use_threshold(threshold)
        if class_weight is not None:
            self.head.check_weights(class_weight)
        self.class_weight = class_weight
        #: What the classes are called, once the model was fitted on data that tells.
        self.class_names: list[str] | None = None
        self.l1 = l1
        self.l2 = l2
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.seed = torch.initial_seed()
        penalised = bool(l1 or l2)
        stages: tuple[Stage, ...] = ("train", "val", "test")
        self.meters = {stage: StageMeter(stage, self.head, penalised) for stage in stages}
        self._predicted = 0
        self._checked: set[str] = set()
        self._logged: dict[str, Tensor] = {}
        self._restored: dict[str, float] = {}
        if input_shape is not None:
            self.example_input_array = torch.zeros(1, *input_shape)
        if type(self) is SupervisedModule:
            self.save_plain_arguments()

    @property
    def metric_directions(self) -> dict[str, Mode]:
        """Logged name -> ``min`` where less is better, ``max`` where more is (`dlp.directions`)."""
        found: dict[str, Mode] = {}
        for meter in self.meters.values():
            found.update(meter.directions)
        return found

    def forward(self, inputs: Tensor | BagOfWords | Features) -> Tensor:
        """Return logits (N, num_logits)."""
        return cast(Tensor, self.network(inputs))

    def penalised_kernels(self) -> list[Tensor]:
        """Return the weights that L1 and L2 act on."""
        return kernels(self.network)

    def penalty(self) -> Tensor | float:
        """Return the L1 and L2 penalty of the current weights."""
        total: Tensor | float = 0.0
        for kernel in self.penalised_kernels() if self.l1 or self.l2 else ():
            if self.l1:
                total = total + self.l1 * kernel.abs().sum()
            if self.l2:
                total = total + self.l2 * kernel.square().sum()
        return total

    # The steps ---------------------------------------------------------------------------------

    def training_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch, penalty included."""
        loss, _, _ = self._step(batch, "train")
        if self._trainer is not None and self._is_last_step(batch_idx):
            self._log("train")
        return loss

    def validation_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> None:
        """Gather a batch of validation."""
        self._step(batch, "val")

    def test_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Gather a batch of the test; return its predictions, and ``targets`` as metrics have them.

        ``probabilities`` (N, C), or ``values`` (N, T), are what `predict_step` gives.
        """
        _, logits, targets = self._step(batch, "test")
        predictions = self.head.predict(logits)
        return {self.head.prediction: predictions, "targets": self.head.metric_targets(targets)}

    def predict_step(
        self, batch: tuple[Any, Tensor | None] | Tensor | BagOfWords | Features, batch_idx: int
    ) -> dict[str, Tensor]:
        """Return ``index`` (N,) and ``probabilities`` (N, C), or ``values`` (N, T).

        `index` counts the rows that this process has predicted in this run, from 0.
        """
        inputs = batch[0] if _is_pair(batch) else batch
        predictions = self.head.predict(self(inputs))
        index = torch.arange(self._predicted, self._predicted + len(predictions))
        self._predicted += len(predictions)
        return {"index": index, self.head.prediction: predictions}

    def _step(self, batch: tuple[Any, Tensor], stage: Stage) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss, logits and prepared targets of a batch, which the stage's meter has."""
        inputs, targets = batch
        logits = self(inputs)
        if stage not in self._checked and len(logits):
            self.head.check(logits, targets)
        targets = self.head.prepare(targets)
        data_loss = self.head.loss(logits, targets)
        if data_loss.ndim:
            data_loss = data_loss.mean()
        loss = data_loss + self.penalty()
        self.meters[stage].add(loss, data_loss, logits, targets)
        return loss, logits, targets

    def _is_last_step(self, batch_idx: int) -> bool:
        trainer = self.trainer
        steps = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        return trainer.is_last_batch or (steps and trainer.global_step + 1 == trainer.max_steps)

    def _log(self, stage: Stage) -> None:
        # One value an epoch, already over all samples: batch_size keeps Lightning from guessing.
        values = self.meters[stage].compute()
        self._logged.update(values)
        self.log_dict(
            values, on_step=False, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True
        )

    # Hooks -------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Before a fit, learn what the classes of its DataModule are called and how rare they are.

        Raises:
            InputError: `class_weight` does not go with them.
        """
        if stage != "fit":
            return
        data: object = getattr(self.trainer, "datamodule", None)
        names: list[str] | None = getattr(data, "class_names", None)
        if names is not None and len(names) == self.head.num_outputs:
            self.class_names = list(names)
        if self.class_weight is not None:
            summary = getattr(data, "target_summary", None) or {}
            self.head.weigh(self.class_weight, self.class_names, summary.get("frequencies"))

    def on_train_epoch_start(self) -> None:
        """Begin the epoch as an unbroken run does: dropout seeded by it, plateaus caught up."""
        self._catch_up_plateaus()
        reseed_dropout(self.network, derived_seed(self.seed, self.current_epoch, self.global_rank))
        self.meters["train"].reset()

    def on_fit_start(self) -> None:
        """Check the targets of the first epoch: the data may be new."""
        self._checked.clear()

    def on_train_start(self) -> None:
        """Say which callbacks and schedulers take worse numbers for better ones.

        Raises:
            InputError: The threshold is to be chosen on a validation part, and there is none.
        """
        if self.head.threshold_rule is not None and not _any(self.trainer.num_val_batches):
            raise InputError(
                f"threshold: {self.head.threshold_rule} is chosen on the validation part, and "
                "there is none: give val_size, or a number."
            )
        for sentence in contradictions(self.trainer, self.metric_directions):
            say(f"warning: {sentence}")

    def on_train_epoch_end(self) -> None:
        """From the second epoch on, targets need no check."""
        self._checked.add("train")

    def on_validation_epoch_start(self) -> None:
        """Start the validation meter anew, whatever broke off the last one.

        Within a fit it chooses the threshold, where that is wished.
        """
        self.meters["val"].reset()
        trainer = self.trainer
        self.meters["val"].chooses = trainer.state.fn == "fit" and not trainer.sanity_checking

    def on_test_epoch_start(self) -> None:
        """Start the test meter anew, whatever broke off the last one."""
        self.meters["test"].reset()

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss and metrics."""
        self._log("val")
        self._checked.add("val")

    def on_test_epoch_end(self) -> None:
        """Log the test loss and metrics."""
        self._log("test")

    def on_predict_start(self) -> None:
        """Count predicted rows from 0."""
        self._predicted = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what an exact resume needs, and what the head and its classes are.

        Dropout's seed, and the metrics a plateau watches; threshold, class weights and names.
        """
        super().on_save_checkpoint(checkpoint)
        checkpoint["head"] = self.head.state()
        checkpoint["class_names"] = self.class_names
        checkpoint["dropout_seed"] = self.seed
        metrics = {**self.trainer.callback_metrics, **self._logged}
        checkpoint["metrics"] = {name: value.item() for name, value in metrics.items()}

    def _catch_up_plateaus(self) -> None:
        # Plateau schedules step after the checkpoint of an epoch is written, and Lightning does
        # not make up for it on resuming.
        for config in self.trainer.lr_scheduler_configs:
            schedule, watched = config.scheduler, self._restored.get(str(config.monitor))
            if watched is None or not isinstance(schedule, ReduceLROnPlateau):
                continue
            if schedule.last_epoch < self.current_epoch:
                schedule.step(watched)
        self._restored = {}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model, before torch lists every tensor.

        Raises:
            InputError: Names or shapes of the weights differ.
        """
        self.seed = checkpoint.get("dropout_seed", self.seed)
        self._restored = checkpoint.get("metrics", {})
        self.class_names = checkpoint.get("class_names")
        if "head" in checkpoint:  # those of older runs have none
            self.head.load_state(checkpoint["head"])
        if self.strict_loading:
            self._check_weights(checkpoint["state_dict"])

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take over the weights of a checkpoint of the same model: no optimizer, no epoch.

        Raises:
            InputError: There is no such checkpoint, it is damaged, or belongs to another model.
        """
        weights = read_state_dict(path)
        self._check_weights(weights)
        self.load_state_dict(weights)

    def _check_weights(self, given: dict[str, Tensor]) -> None:
        if detail := difference(self.state_dict(), given):
            raise InputError(
                f"the checkpoint belongs to another model: {detail}. Give the config it was "
                "trained with (config.yaml in its run's folder)."
            )

    def parameter_groups(self) -> list[Any]:
        """Return what the optimizer moves: parameters, or groups of them as torch takes them."""
        return list(self.parameters())

    def configure_optimizers(self) -> Any:
        """Return the optimizer, and the scheduler with how often it steps and what it watches.

        One-cycle and cyclic schedules step each batch, others each epoch. One that watches a
        metric watches its `monitor`, else ``val_loss``.
        """
        optimizer = self.make_optimizer(self.parameter_groups())
        if self.lr is not None:
            for group in optimizer.param_groups:
                group["lr"] = self.lr
        if isinstance(optimizer, torch.optim.LBFGS) or self._is_pruned():
            for parameter in self.parameters():
                parameter.data = parameter.data.contiguous()
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.make_scheduler(optimizer)
        by_step = isinstance(scheduler, OneCycleLR | CyclicLR)
        config: dict[str, LRScheduler | ReduceLROnPlateau | str] = {
            "scheduler": scheduler,
            "interval": "step" if by_step else "epoch",
            "monitor": getattr(scheduler, "monitor", "val_loss"),
        }
        return {"optimizer": optimizer, "lr_scheduler": config}

    def _is_pruned(self) -> bool:
        """Whether parameters are viewed as one vector, as LBFGS does too."""
        callbacks = [] if self._trainer is None else self.trainer.callbacks  # type: ignore[attr-defined] # set by a connector
        return any(isinstance(callback, ModelPruning) for callback in callbacks)


def _any(batches: Any) -> bool:
    """Whether there are batches: a number, or one for each of several loaders."""
    return any(batches) if isinstance(batches, list) else bool(batches)


def _is_pair(batch: Any) -> bool:
    return isinstance(batch, tuple | list) and not isinstance(batch, BagOfWords | Features)
