"""The stacked engine of cross-validation: all folds of a small dense net train as one model.

Each fold keeps its own initial weights, batches, dropout masks and target scaling, so that it is
the run that the serial engine would have made, within rounding.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, cast

import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from dlp.datamodules.loader import BatchOrder
from dlp.errors import InputError
from dlp.folds.stacked.fused_steps import fuse, plain_rmsprop
from dlp.folds.stacked.metrics import StackMeter
from dlp.folds.stacked.network import DropoutMasks, StackedNet, widened
from dlp.modules.base import SupervisedModule
from dlp.seeds import derived_seed

#: Numbers (inputs, masks, logits) gathered at a time: more would leave the caches.
_BLOCK = 2**21
#: How weights lie in a row of `StackedNet`, and so in a checkpoint.
LAYOUT = "biases below kernels"


@dataclass(frozen=True)
class FoldData:
    """The tensors of one fold as its batches are sliced from them.

    Args:
        train_inputs: (N, ...), float32.
        train_targets: (N,) or (N, T).
        val_inputs: (M, ...), float32.
        val_targets: (M,) or (M, T).
        batch_size: Rows a training batch.
        seed: Of the order of the batches.
    """

    train_inputs: Tensor
    train_targets: Tensor
    val_inputs: Tensor
    val_targets: Tensor
    batch_size: int
    seed: int


class StackedFolds(LightningModule):
    """All folds as one LightningModule: one ``training_step`` is one epoch of every fold.

    Args:
        models: Equal but for their weights, seeds and target scaling.
        folds: One for each model, all with as many training rows and one batch size.
        stoppers: Each fold gets its own copy of these.
    """

    def __init__(
        self,
        models: Sequence[SupervisedModule],
        folds: Sequence[FoldData],
        stoppers: Sequence[EarlyStopping] = (),
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.models = list(models)
        self.folds = list(folds)
        self.num_rows, self.batch_size = len(folds[0].train_inputs), folds[0].batch_size
        first = models[0]
        networks = [model.network for model in models]
        self.net = StackedNet(networks, first.head.loss, first.l1, first.l2)
        self.histories: list[dict[str, list[float]]] = [{} for _ in folds]
        self.stoppers = [copy.deepcopy(list(stoppers)) for _ in folds]
        self.running = [True] * len(folds)
        self._epoch: dict[int, dict[str, float]] = {}  # of each fold that runs
        if stoppers:
            self.register_buffer("stopped_weights", self.net.weights.detach().clone())

    def write_back(self) -> None:
        """Copy each fold's final weights into its model, which then has their type."""
        weights = self.net.weights.detach()
        if any(self.stoppers):
            running = torch.tensor(self.running, device=weights.device).unsqueeze(1)
            weights = weights.where(running, cast(Tensor, self.stopped_weights))
        for model in self.models:
            model.to(weights.device, weights.dtype)
        self.net.write_back(weights)

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the first model, moving the weights of all; its scheduler too."""
        model = self.models[0]
        optimizer = model.make_optimizer([self.net.weights])
        fuse(optimizer)
        if model.make_scheduler is None:
            return optimizer
        scheduler = model.make_scheduler(optimizer)
        by_step = isinstance(scheduler, OneCycleLR | CyclicLR)
        interval = "step" if by_step else "epoch"
        return [optimizer], [{"scheduler": scheduler, "interval": interval}]

    # The data ----------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Move the data to the device, and check and prepare the targets."""
        device, dtype = self.device, self.net.weights.dtype
        for model in self.models:
            model.head.to(device, dtype)
        self._train_inputs = self._moved([fold.train_inputs for fold in self.folds])
        self._val_inputs = self._moved([fold.val_inputs for fold in self.folds])
        self._train_targets = self._prepared([fold.train_targets for fold in self.folds])
        self._val_targets = self._prepared([fold.val_targets for fold in self.folds])
        columns = self.models[0].head.num_logits
        self._wide_targets = [widened(each, columns).to(dtype) for each in self._train_targets]
        self._train_meter = StackMeter(self.models, "train")
        self._val_meter = StackMeter(self.models, "val")

    def _moved(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return (N, D) of the weights' type; folds that share a tensor go on sharing it."""
        weights = self.net.weights
        moved = {id(each): each.flatten(1).to(weights.device, weights.dtype) for each in inputs}
        return [moved[id(each)] for each in inputs]

    def _prepared(self, targets: Sequence[Tensor]) -> list[Tensor]:
        weights, prepared = self.net.weights, []
        for model, values in zip(self.models, targets, strict=True):
            values = values.to(weights.device)
            logits = weights.new_zeros(()).expand(len(values), model.head.num_logits)
            model.head.check(logits, values)
            values = model.head.prepare(values)
            prepared.append(values.to(weights.dtype) if values.is_floating_point() else values)
        return prepared

    # Training ----------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Train no further where a checkpoint says that every fold has stopped."""
        self.trainer.should_stop = not any(self.running)

    @torch.inference_mode()  # tensors that count no versions: a tenth less for a step
    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Take all steps of an epoch."""
        epoch = self.current_epoch
        drops = any(rate is not None for rate in self.net.rates)
        seeds = [derived_seed(model.seed, epoch, 0) for model in self.models if drops]
        masks = DropoutMasks(self.net, seeds)
        orders = [_order(self.num_rows, fold.seed, epoch).to(self.device) for fold in self.folds]
        logits: list[Tensor] = []
        penalties: list[Tensor] = []
        net, step = self.net, None
        penalised = bool(net.l1 or net.l2)
        by_step = any(each.interval == "step" for each in self.trainer.lr_scheduler_configs)
        for rows, size in self._blocks():
            net.bind(size)
            taken = [order[rows] for order in orders]
            inputs = F.pad(_steps(self._train_inputs, taken, size), (0, 1), value=1.0)
            targets = _steps(self._wide_targets, taken, size)
            found = torch.empty_like(targets)
            drawn = _by_step(masks.draw(len(inputs), size), len(inputs))
            each = zip(inputs.unbind(), targets.unbind(), found.unbind(), drawn, strict=True)
            for x, y, z, masked in each:
                if penalised:
                    penalties.append(net.penalty() * size)
                net.gradient(x, y, z, masked)
                if step is None:
                    step = self._first_step()
                else:
                    step()
                if by_step:
                    self._schedule("step")
            logits.append(found.transpose(0, 1).flatten(1, 2))
        self._schedule("epoch")
        pairs = zip(self._train_targets, orders, strict=True)
        ordered = [targets[order] for targets, order in pairs]
        penalty = sum(penalties, self.net.weights.new_zeros(len(self.folds))) / self.num_rows
        self._trained = torch.cat(logits, 1), ordered, penalty

    def _blocks(self) -> Iterator[tuple[slice, int]]:
        """Yield the rows of some whole batches at a time, and their batch size."""
        size, total = self.batch_size, self.num_rows
        widths = self.net.shapes[0][0] + self.net.shapes[-1][1]
        widths += sum(outputs for _, outputs in self.net.shapes) if any(self.net.rates) else 0
        rows = max(1, _BLOCK // (len(self.folds) * widths * size)) * size
        whole = total - total % size
        for start in range(0, whole, rows):
            yield slice(start, min(start + rows, whole)), size
        if whole < total:
            yield slice(whole, total), total - whole

    def _first_step(self) -> Callable[[], Any]:
        """Take the first step of an epoch; return what takes the others.

        Lightning counts the first one, so that ``global_step`` moves on; the others go to the
        optimizer itself, or past it where it does nothing but RMSprop.
        """
        counted = cast(Any, self.optimizers())
        counted.step()
        optimizer = counted.optimizer
        step: Callable[[], Any] = plain_rmsprop(optimizer) or optimizer.step
        return step

    def _schedule(self, interval: str) -> None:
        for config in self.trainer.lr_scheduler_configs:
            if config.interval == interval:
                cast(Any, config.scheduler).step()

    # Validation and records --------------------------------------------------------------------

    @torch.inference_mode()
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Validate every fold; note its losses and metrics, and log the means over folds."""
        if self.trainer.sanity_checking:
            return
        logits = []
        widest = max(self.net.shapes[0][0], *(outputs for _, outputs in self.net.shapes))
        rows = max(1, _BLOCK // (len(self.folds) * widest))
        for start in range(0, max(map(len, self._val_inputs)), rows):
            parts = [inputs[start : start + rows] for inputs in self._val_inputs]
            logits.append(self.net(pad_sequence(parts, batch_first=True)))
        validated = torch.cat(logits, 1), self._val_targets, self.net.penalty()
        running = [fold for fold, runs in enumerate(self.running) if runs]
        values = self._train_meter.measure(running, *self._trained)
        values |= self._val_meter.measure(running, *validated)
        table = torch.stack([*values.values()], 1)
        self._publish(dict(zip(values, table.mean(0), strict=True)))
        self._epoch = {
            fold: dict(zip(values, numbers, strict=True))
            for fold, numbers in zip(running, table.tolist(), strict=True)
        }

    def _publish(self, means: dict[str, Tensor]) -> None:
        """Show the means over folds to callbacks and progress bars.

        Lightning's `log_dict` takes 1.2 ms, a tenth of an epoch of 4 Boston nets and 6 % of their
        100 epochs as a command: its results are made for numbers of many batches and processes.
        What its properties return are the dicts that it keeps itself; where they are not, these
        numbers are logged.
        """
        seen = self.trainer.callback_metrics
        seen.update(means)
        self.trainer.progress_bar_metrics.update({name: float(v) for name, v in means.items()})
        if self.trainer.callback_metrics is not seen:
            self.log_dict(means, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)

    def on_train_epoch_end(self) -> None:
        """Add the epoch to the histories, and stop the folds whose time has come."""
        for number, values in self._epoch.items():
            for name, value in values.items():
                self.histories[number].setdefault(name, []).append(value)
            if self._stops(number, values):
                self.running[number] = False
                stopped = cast(Tensor, self.stopped_weights)
                stopped[number] = self.net.weights.detach()[number]
        if not any(self.running):
            self.trainer.should_stop = True

    def _stops(self, number: int, values: dict[str, float]) -> bool:
        """Ask every `EarlyStopping` of a fold, as the fold's own Trainer would."""
        numbers = {name: torch.tensor(value) for name, value in values.items()}
        own = cast(Trainer, _TrainerOfFold(self.trainer, numbers))
        for stopper in self.stoppers[number]:
            stopper.setup(own, self, "fit")
            stopper.on_validation_end(own, self)
            stopper.on_train_epoch_end(own, self)
        return own.should_stop

    # Checkpoints -------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what each fold has recorded and whether it has stopped."""
        checkpoint["folds"] = {
            "layout": LAYOUT,
            "histories": self.histories,
            "running": self.running,
            "stoppers": [[each.state_dict() for each in fold] for fold in self.stoppers],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the histories and stoppers of a checkpoint.

        Raises:
            InputError: The checkpoint is of other folds or another network.
        """
        weights, folds = checkpoint["state_dict"].get("net.weights"), checkpoint.get("folds", {})
        is_ours = weights is not None and folds.get("layout") == LAYOUT
        if not is_ours or weights.shape != self.net.weights.shape:
            raise InputError(
                "the checkpoint belongs to other folds or another network. Start a new "
                "cross-validation."
            )
        self.histories = folds["histories"]
        self.running = folds["running"]
        for stoppers, states in zip(self.stoppers, folds["stoppers"], strict=True):
            for stopper, state in zip(stoppers, states, strict=True):
                stopper.load_state_dict(state)


class _TrainerOfFold:
    """The stack's Trainer as the callbacks of one fold see it: its numbers, a stop of its own."""

    def __init__(self, trainer: Trainer, callback_metrics: dict[str, Tensor]) -> None:
        self.trainer = trainer
        self.callback_metrics = callback_metrics
        self.should_stop = False

    def __getattr__(self, name: str) -> Any:
        """Return what is that of the stack."""
        return getattr(self.trainer, name)


def _order(num_rows: int, seed: int, epoch: int) -> Tensor:
    """Return the rows of an epoch in the order of its batches, (N,)."""
    order = BatchOrder(num_rows, num_rows, shuffle=True, seed=seed)
    order.set_epoch(epoch)
    return next(iter(order))


def _steps(rows: Sequence[Tensor], taken: Sequence[Tensor], size: int) -> Tensor:
    """Return the batches of all folds, (steps, F, size, ...): each step is one slice."""
    batches = torch.stack([fold[index] for fold, index in zip(rows, taken, strict=True)])
    shape = (len(batches), -1, size, *batches.shape[2:])
    return batches.reshape(shape).transpose(0, 1).contiguous()


def _by_step(
    masks: Sequence[Tensor | None], steps: int
) -> Iterator[Sequence[Tensor | None] | None]:
    """Return the masks of the layers (steps, ...) for each step; None where nothing is dropped."""
    if all(mask is None for mask in masks):
        return repeat(None, steps)
    return zip(*(repeat(None, steps) if mask is None else mask for mask in masks), strict=True)
