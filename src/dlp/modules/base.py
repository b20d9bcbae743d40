"""One LightningModule for every problem: a network, a head, a penalty and an optimizer."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, cast, get_args

import torch
from lightning import Trainer
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from dlp.bag_of_words import BagOfWords
from dlp.console import say
from dlp.decisions import names_of
from dlp.directions import Mode, contradictions
from dlp.errors import InputError
from dlp.frozen_features import Features
from dlp.modules import checks
from dlp.modules.class_weights import ClassWeight
from dlp.modules.heads import Head, HeadName, make_head
from dlp.modules.losses import Loss
from dlp.modules.meters import Stage, StageMeter
from dlp.modules.metrics import Metrics
from dlp.modules.networks import reseed_dropout
from dlp.modules.optimizers import KerasRMSprop
from dlp.modules.penalties import kernels, output_layers, penalty, say_if_none, watched
from dlp.modules.restoring import RestorableModule
from dlp.modules.schedules import PlateauNumbers, is_pruned, made, stepping
from dlp.modules.thresholds import Threshold, check_can_choose
from dlp.seeds import derived_seed
from dlp.target_transforms import TargetTransform

#: One value an epoch, already over all samples: batch_size keeps Lightning from guessing it.
_LOGGED: dict[str, Any] = {"on_step": False, "on_epoch": True, "prog_bar": True, "batch_size": 1}


class SupervisedModule(RestorableModule):
    """Any network trained on ``(inputs, targets)`` batches under a head.

    ``forward`` gives logits. Logged, averaged over the samples of an epoch: ``train_loss``,
    ``val_loss``, ``test_loss`` and each metric; with a penalty, ``*_loss`` includes it (as in the
    book's curves) and ``*_data_loss`` leaves it out.

    Args:
        network: Any ``nn.Module`` from a batch of inputs to logits (N, `head.num_logits`); or a
            function that makes one of that number.
        head: The kind of problem, or a `Head` object.
        num_outputs: Number of classes (2 for binary), labels or target columns.
        loss: Another loss than the head's: a name, an import path, a callable, or a class_path with
            init_args.
        metrics: Other metrics than the head's: names, import paths, torchmetrics classes or
            functions, or class_paths with init_args.
        class_weight: Rare classes count more in the loss: ``balanced`` (by the training part of
            the DataModule, as in scikit-learn), or a weight for each class by its name (1 where
            none is given). Reported losses are of the weighted loss.
        threshold: For ``head: sigmoid`` and ``multilabel``: the probability above which a row is
            of class 1; ``f1``, or what mistakes cost (``{false_negative: 10, false_positive: 1}``),
            chooses it on the validation part in every epoch. 0.5 by default.
        l1: Adds ``l1 * sum(|w|)`` over the kernels of every linear and convolution layer but the
            last (of a pretrained network: of its dense stack).
        l2: Adds ``l2 * sum(w ** 2)`` over the same kernels (``weight_decay=2 * l2`` of a coupled
            optimizer).
        optimizer: From parameters to an optimizer; the book's RMSprop by default.
        scheduler: From an optimizer to a learning-rate scheduler.
        target_mean: Mean of each target, for ``head: regression``; from the data in the CLI.
        target_std: Standard deviation of each target; from the data in the CLI.
        target_transform: Train on the logarithm of targets; from the data in the CLI.
        input_shape: Shape of one input row, for the model summary.
    """

    def __init_subclass__(cls) -> None:
        """Let jsonargparse find keyword arguments that are handed on here, by this signature."""
        super().__init_subclass__()
        if "training" in (annotations := cls.__init__.__annotations__):
            annotations["training"] = Any  # at run time: of a TypedDict it knows no defaults

    #: Whether a new one fetches the published weights that its argument `weights` names.
    fetches_weights: ClassVar[bool] = False
    #: The learning rate that Lightning's finder has found; None leaves the optimizer its own.
    lr: float | None = None

    def __init__(
        self,
        network: nn.Module | Callable[[int], nn.Module],
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
        target_transform: TargetTransform = "none",
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if l1 < 0 or l2 < 0:
            raise InputError(f"l1 and l2 must be 0 or more, got l1={l1} and l2={l2}.")
        made = make_head(
            head, num_outputs, loss, metrics, target_mean, target_std, target_transform
        )
        if threshold is not None:
            made.use_threshold(threshold)
        if class_weight is not None:
            made.check_class_weight(class_weight)
        # A network is made when all else is known to be right: its weights may be a download.
        width = made.num_logits
        self.network = network if isinstance(network, nn.Module) else network(width)
        self.head = made
        self.class_weight = class_weight
        #: What the classes are called, once the model was fitted on data that tells.
        self.class_names: list[str] | None = None
        self.l1 = l1
        self.l2 = l2
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.seed = torch.initial_seed()
        self.meters: dict[Stage, StageMeter] = {
            stage: StageMeter(stage, made, penalised=bool(l1 or l2)) for stage in get_args(Stage)
        }
        self._predicted = 0
        self._checked: set[str] = set()
        self._batch: int | None = None  # the last one that the training meter has
        self._outputs: list[str] | None = None  # the layers that give the logits, once known
        self._plateaus = PlateauNumbers()
        if input_shape is not None:
            self.example_input_array = torch.zeros(1, *checks.checked_shape(input_shape))
        if type(self) is SupervisedModule:
            self.save_plain_arguments()

    @property
    def metric_directions(self) -> dict[str, Mode]:
        """Logged name -> ``min`` where less is better, ``max`` where more is (`dlp.directions`)."""
        meters = self.meters.values()
        return {name: mode for meter in meters for name, mode in meter.directions.items()}

    def forward(self, inputs: Tensor | BagOfWords | Features) -> Tensor:
        """Return logits (N, num_logits)."""
        return cast(Tensor, self.network(inputs))

    def penalised_kernels(self) -> list[Tensor]:
        """Return the weights that L1 and L2 act on.

        The layers that give the output are spared: those that the first training batch shows;
        before it, the one that was registered last.
        """
        return kernels(self.network, self._outputs)

    def penalty(self) -> Tensor | float:
        """Return the L1 and L2 penalty of the current weights."""
        return penalty(self.penalised_kernels(), self.l1, self.l2) if self.l1 or self.l2 else 0.0

    # The steps ---------------------------------------------------------------------------------

    def training_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch, penalty included."""
        trainer = self._attached_trainer()
        # LBFGS asks several times for the loss of a batch: the first is that of its weights.
        is_first = trainer is None or batch_idx != self._batch
        loss, _, _ = self._step(batch, "train", is_first)
        if trainer is not None:
            self._log_training(trainer, batch_idx)
        return loss

    def validation_step(
        self, batch: tuple[Any, Tensor], batch_idx: int
    ) -> dict[str, Tensor] | None:
        """Gather a batch of validation; return what `test_step` does, outside of a fit."""
        _, logits, targets = self._step(batch, "val")
        trainer = self._attached_trainer()
        alone = trainer is not None and trainer.state.fn == "validate"
        return self._outcome(logits, targets) if alone else None

    def test_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Gather a batch of the test; return its predictions, and ``targets`` as metrics have them.

        ``probabilities`` (N, C), or ``values`` (N, T), are what `predict_step` gives.
        """
        _, logits, targets = self._step(batch, "test")
        return self._outcome(logits, targets)

    def _outcome(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        predictions = self.head.predict(logits)
        return {self.head.prediction: predictions, "targets": self.head.metric_targets(targets)}

    def predict_step(
        self, batch: tuple[Any, Tensor | None] | Tensor | BagOfWords | Features, batch_idx: int
    ) -> dict[str, Tensor]:
        """Return ``index`` (N,) and ``probabilities`` (N, C), or ``values`` (N, T).

        `index` counts the rows that this process has predicted in this run, from 0.
        """
        is_pair = isinstance(batch, tuple | list) and not isinstance(batch, BagOfWords | Features)
        inputs = batch[0] if is_pair else batch
        predictions = self.head.predict(self._logits(inputs))
        index = torch.arange(self._predicted, self._predicted + len(predictions))
        self._predicted += len(predictions)
        return {"index": index, self.head.prediction: predictions}

    def _step(
        self, batch: tuple[Any, Tensor], stage: Stage, counts: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss, logits and prepared targets of a batch; let it count in its stage."""
        inputs, targets = checks.checked_batch(batch)
        logits = self._logits(inputs, stage == "train")
        if stage not in self._checked and len(logits):
            self.head.check(logits, targets)
        data_loss, logits, targets = self.head.batch_loss(logits, targets)
        loss = data_loss + self.penalty()
        if counts:
            self.meters[stage].add(loss, data_loss, logits, targets)
        return loss, logits, targets

    def _logits(self, inputs: Any, training: bool = False) -> Tensor:
        """Return what the network gives, and learn from training which layers that comes from."""
        learns = training and self._outputs is None and bool(self.l1 or self.l2)
        with watched(self.network) if learns else nullcontext() as made_by:
            logits = self(inputs)
        logits = checks.checked_logits(logits)
        if made_by is not None:
            self._outputs = output_layers(logits, made_by)
        return logits

    def _attached_trainer(self) -> Trainer | None:
        """Return the Trainer; None where a step is called without one, or by Fabric."""
        try:
            trainer: object = self.trainer
        except RuntimeError:
            return None
        return trainer if isinstance(trainer, Trainer) else None

    def _log_training(self, trainer: Trainer, batch_idx: int) -> None:
        """Log the epoch's numbers at its first batch: Lightning computes them when it ends."""
        meter = self.meters["train"]
        if self._batch is None:
            for value in meter.epoch_values:
                value.update()
                self.log(value.name, value, metric_attribute="meters", **_LOGGED)
        self._batch = batch_idx
        steps = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if trainer.is_last_batch or (steps and trainer.global_step + 1 == trainer.max_steps):
            self._plateaus.note(meter.values())  # by all processes at once, before any callback
            more = {k: v for k, v in meter.values().items() if k not in meter.names}
            self.log_dict(more, sync_dist=True, **_LOGGED)

    def _log_evaluation(self, stage: Stage) -> None:
        values = self.meters[stage].compute()
        if not self.trainer.sanity_checking:
            self._plateaus.note(values)
        self.log_dict(values, sync_dist=True, **_LOGGED)

    # Hooks -------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Before a fit, read the names of the classes from its DataModule, and how rare they are.

        Raises:
            InputError: `class_weight` does not fit them.
        """
        if stage != "fit":
            return
        data: object = getattr(self.trainer, "datamodule", None)
        self.class_names = names_of("class_names", self.head.num_outputs, data, self)
        # The summary gives it to the network as it is: Lightning converts batches alone.
        example = self.trainer.precision_plugin.convert_input(self.example_input_array)
        self.example_input_array = example
        if self.class_weight is not None:
            summary = getattr(data, "target_summary", None) or {}
            self.head.weigh(self.class_weight, self.class_names, summary.get("frequencies"))

    def on_train_epoch_start(self) -> None:
        """Begin the epoch as an unbroken run does: dropout seeded by it, plateaus caught up."""
        self._plateaus.catch_up(self.trainer)
        reseed_dropout(self.network, derived_seed(self.seed, self.current_epoch, self.global_rank))
        self.meters["train"].reset()
        self._batch = None

    def on_fit_start(self) -> None:
        """Check that model and data fit each other, and the targets of the first epoch.

        Raises:
            InputError: The data standardises its targets, and the model knows nothing of it.
        """
        self._checked.clear()
        self._plateaus.begin()
        self._outputs = None
        checks.check_scaling(self.head, getattr(self.trainer, "datamodule", None))
        checks.say_what_is_lost(str(self.trainer.precision), self.head.prediction)
        if self.l1 or self.l2:
            say_if_none(self.penalised_kernels(), self.network)

    def on_train_start(self) -> None:
        """Warn of callbacks and schedulers that take worse numbers for better ones.

        Raises:
            InputError: The threshold is to be chosen on a validation part, and there is none.
        """
        check_can_choose(self.head.threshold_rule, self.trainer)
        for sentence in contradictions(self.trainer, self.metric_directions):
            say(f"warning: {sentence}")

    def on_train_epoch_end(self) -> None:
        """From the second epoch on, do not check the targets."""
        self._checked.add("train")

    def on_validation_epoch_start(self) -> None:
        """Empty the validation meter, which may hold a validation that broke off.

        Within a fit it chooses the threshold, where the head has a rule for it.
        """
        trainer = self.trainer
        self.meters["val"].reset(choose=trainer.state.fn == "fit" and not trainer.sanity_checking)

    def on_test_epoch_start(self) -> None:
        """Empty the test meter, which may hold a test that broke off."""
        self.meters["test"].reset()

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss and metrics."""
        self._log_evaluation("val")
        self._checked.add("val")

    def on_test_epoch_end(self) -> None:
        """Log the test loss and metrics."""
        self._log_evaluation("test")

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
        metrics = self.trainer.callback_metrics.items()
        others = {name: value for name, value in metrics if not self._logs(name)}
        checkpoint["metrics"] = self._plateaus.state(others)
        checkpoint["output_layers"] = self._outputs

    # Plateaus ----------------------------------------------------------------------------------

    def _logs(self, name: str) -> bool:
        return any(name in meter.names for meter in self.meters.values())

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Let a schedule step; one that watches a metric steps once for each number."""
        if metric is not None:
            configs = self.trainer.lr_scheduler_configs
            monitor = next(str(one.monitor) for one in configs if one.scheduler is scheduler)
            if self._logs(monitor) and not self._plateaus.take(monitor):
                return
        super().lr_scheduler_step(scheduler, metric)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model, before torch lists every tensor.

        Raises:
            InputError: Names or shapes of the weights differ.
        """
        self.seed = checkpoint.get("dropout_seed", self.seed)
        self._plateaus.restore(checkpoint.get("metrics", {}))
        self._outputs = checkpoint.get("output_layers")
        self.class_names = checkpoint.get("class_names")
        if "head" in checkpoint:  # those of older runs have none
            self.head.load_state(checkpoint["head"])
        if self.strict_loading:
            self.check_weights(checkpoint["state_dict"])

    def parameter_groups(self) -> list[Any]:
        """Return what the optimizer moves: parameters, or groups of them as torch takes them."""
        return list(self.parameters())

    def configure_optimizers(self) -> Any:
        """Return the optimizer, and the scheduler as `stepping` has it."""
        groups = self.parameter_groups()
        has_rate = [isinstance(group, dict) and "lr" in group for group in groups]
        optimizer = made("optimizer", partial(self.make_optimizer, groups))  # it fills them
        for group, given in zip(optimizer.param_groups, has_rate, strict=False):
            if self.lr is not None and not given:
                group["lr"] = self.lr
        trainer = self._attached_trainer()
        if isinstance(optimizer, torch.optim.LBFGS) or (trainer and is_pruned(trainer)):
            for parameter in self.parameters():
                parameter.data = parameter.data.contiguous()
        if self.make_scheduler is None:
            return optimizer
        scheduler = made("scheduler", partial(self.make_scheduler, optimizer))
        every = (trainer and trainer.check_val_every_n_epoch) or 1
        return {"optimizer": optimizer, "lr_scheduler": stepping(scheduler, self._logs, every)}
