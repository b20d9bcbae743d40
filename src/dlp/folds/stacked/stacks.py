"""Folds of a cross-validation gathered into stacks, each trained as one batched model."""

import math
import shutil
import warnings
from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, cast

import torch
import xxhash
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import Tensor, nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from dlp.callbacks.checkpoints import LastCheckpoint
from dlp.callbacks.progress import EpochBar
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.directions import contradictions
from dlp.folds.folder import claimed
from dlp.folds.plan import Fold, Plan
from dlp.folds.results import FoldResult
from dlp.folds.stacked.blocks import blocks_of
from dlp.folds.stacked.engine import LAYOUT, FoldData, StackedFolds
from dlp.folds.stacked.forks import EndsWithItsParent, num_processes, run_at_once
from dlp.folds.stacked.reasons import options_of, reason_against
from dlp.modules.base import SupervisedModule

_Tensors = tuple[Tensor, Tensor, Tensor, Tensor]

#: Most inputs of a stack, in bytes, and most weights, in numbers: more than a processor's cache
#: holds make a step of each fold half as slow again. Further folds go into further stacks.
_STACK_BYTES, _STACK_WEIGHTS = 10**9, 2**19
#: Most steps of a schedule that are looked at.
_STEPS = 1000
#: How many weights are to be moved, all steps together, for a process to be worth its beginning: a
#: quarter of a second.
_MOVES = 10**9
#: Most folds whose locks are held at once: a process may not have many more files open.
_CLAIMED = 400


@dataclass(frozen=True)
class _Ready:
    """A fold that is ready to be stacked."""

    fold: Fold
    model: SupervisedModule
    tensors: FoldData
    result: FoldResult
    kind: Hashable  # what the folds of one stack have in common

    @property
    def most(self) -> int:
        """How many folds like this one make a full stack."""
        size = self.tensors.train_inputs.nbytes + self.tensors.val_inputs.nbytes
        weights = self.result.parameters["total"]
        return max(1, min(_STACK_BYTES // max(1, size), max(4, _STACK_WEIGHTS // weights)))


def train_stacked(
    plan: Plan, folds: Sequence[Fold], data: SupervisedDataModule
) -> Generator[tuple[Fold, FoldResult], None, list[tuple[Fold, str]]]:
    """Train folds together, those with equal models and as many rows in one stack; yield each.

    A stack is trained as soon as it is full, so that no more inputs are in memory than that.

    Returns:
        The folds whose model cannot be stacked, with the reason: they are not trained.
    """
    left: list[tuple[Fold, str]] = []
    for start in range(0, len(folds), _CLAIMED):
        with claimed(plan, folds[start : start + _CLAIMED]) as mine:
            waiting: dict[Hashable, list[_Ready]] = {}
            for fold in mine:
                ready = _ready(plan, fold, data)
                if isinstance(ready, str):
                    left.append((fold, ready))
                    continue
                stack = waiting.setdefault(ready.kind, [])
                stack.append(ready)
                if len(stack) == ready.most:
                    yield from _fit(plan, waiting.pop(ready.kind))
            for stack in waiting.values():
                yield from _fit(plan, stack)
    return left


def _ready(plan: Plan, fold: Fold, data: SupervisedDataModule) -> "_Ready | str":
    """Return a fold with its model and tensors, or why it cannot be stacked."""
    made = plan.models(data, fold.split, fold.seed)
    if reason := reason_against(made, data):
        return reason
    model = cast(SupervisedModule, made)
    train, val = data.loader("train"), data.loader("val")
    parts = cast(_Tensors, (train.inputs, train.targets, val.inputs, val.targets))
    tensors = FoldData(*parts, train.batch_size, train.batch_sampler.seed)
    shape = tuple(tensors.train_inputs.shape), tensors.batch_size
    kind = shape, stack_kind(model, plan.max_epochs)
    result = FoldResult.begun(plan, fold, data, model, "stacked")
    return _Ready(fold, model, tensors, result, kind)


def stack_kind(model: SupervisedModule, max_epochs: int) -> Hashable:
    """Return what models of one stack have in common: all but weights, seeds and target scaling."""
    head, weight = model.head, nn.Parameter(torch.zeros(1, 1))
    optimizer = model.make_optimizer([weight])
    options: list[object] = [options_of(optimizer)]
    if model.make_scheduler is not None:
        scheduler = model.make_scheduler(optimizer)
        options += [type(scheduler), options_of(optimizer)]
        steps = max_epochs
        if isinstance(scheduler, OneCycleLR | CyclicLR):
            steps = getattr(scheduler, "total_steps", _STEPS) - 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fit says again what a schedule warns of
            for _ in range(min(steps, _STEPS)):
                optimizer.step()
                scheduler.step()
                options.append(options_of(optimizer))
    blocks = tuple(block.kind for block in blocks_of(model.network))
    metrics = tuple(model.meters["val"].metrics)
    objective = type(head), head.num_logits, head.loss, model.l1, model.l2, metrics
    return blocks, objective, type(optimizer), tuple(options)


def _fit(plan: Plan, stack: list[_Ready]) -> Iterator[tuple[Fold, FoldResult]]:
    """Train a stack, shared by processes where that pays; yield each fold."""
    parts = _shares(plan, stack)
    title = f"{len(stack)} folds"
    works = [partial(_histories, plan, part, title, part is parts[0]) for part in parts]
    found = run_at_once(works) if len(works) > 1 else [works[0]()]
    for item, history in zip(stack, chain.from_iterable(found), strict=True):
        yield item.fold, replace(item.result, history=history)
    for home in filter(None, (_home(plan, part) for part in parts)):
        shutil.rmtree(home, ignore_errors=True)


def _shares(plan: Plan, stack: list[_Ready]) -> list[list[_Ready]]:
    """Return the parts of a stack that processes train at once, each with enough to do."""
    rows, size = len(stack[0].tensors.train_inputs), stack[0].tensors.batch_size
    steps = plan.max_epochs * math.ceil(rows / size)
    moves = len(stack) * stack[0].result.parameters["total"] * steps
    most = plan.processes if _is_on_cpu(plan) else 1
    count = max(1, min(most, num_processes(), len(stack), moves // _MOVES))
    ends = [len(stack) * number // count for number in range(count + 1)]
    return [stack[start:end] for start, end in pairwise(ends)]


def _is_on_cpu(plan: Plan) -> bool:
    return plan.trainers.sample(plan.max_epochs).strategy.root_device.type == "cpu"


def _home(plan: Plan, stack: Sequence[_Ready]) -> Path | None:
    """Return the folder of what a stack needs to go on, when it was killed."""
    if plan.root is None:
        return None
    members = [(item.fold.number, item.fold.seed) for item in stack]
    return plan.root / f"stack_{xxhash.xxh3_64_hexdigest(repr((LAYOUT, members)).encode())}"


def _histories(
    plan: Plan, stack: Sequence[_Ready], title: str, is_first: bool
) -> list[dict[str, list[float]]]:
    """Train a stack, going on where a killed one of the same folds was."""
    callbacks: list[Callback] = [EpochBar(title)] if is_first else [EndsWithItsParent()]
    home, resumed = _home(plan, stack), None
    if home is not None:
        callbacks.append(LastCheckpoint(home))
        resumed = home / "last.ckpt" if (home / "last.ckpt").is_file() else None
    trainer = plan.trainers(plan.max_epochs, callbacks)
    return fit_stacked(
        [item.model for item in stack], [item.tensors for item in stack], trainer, resumed
    )


def fit_stacked(
    models: Sequence[SupervisedModule],
    folds: Sequence[FoldData],
    trainer: Trainer,
    ckpt_path: Path | None = None,
) -> list[dict[str, list[float]]]:
    """Train every model on its fold, all in one, and write the weights back into the models.

    An `EarlyStopping` of the trainer acts on each fold by itself: the fold's history ends and its
    weights are kept at that epoch, and the fit ends when the last fold has stopped.

    Args:
        models: Of one `stack_kind`; none may have a `reason_against` it.
        folds: One for each model, all with as many training rows and one batch size.
        trainer: An ordinary one. What its callbacks see logged are means over folds.
        ckpt_path: A checkpoint of an earlier call, to go on from.

    Returns:
        For each fold, metric -> one number an epoch, as `History` records it.

    Raises:
        InputError: A target does not fit the head, or the checkpoint belongs to other folds.
    """
    for sentence in contradictions(trainer, models[0].metric_directions):
        say(f"warning: {sentence}")
    fitted: Any = trainer  # a connector sets its callbacks
    given: list[Callback] = fitted.callbacks
    stoppers = [each for each in given if isinstance(each, EarlyStopping)]
    stack = StackedFolds(models, folds, stoppers)
    # Lightning restores weights before it converts the model, and would cut them to float32.
    stack.to(torch.float64 if trainer.precision == "64-true" else torch.float32)
    fitted.callbacks = [each for each in given if each not in stoppers]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The number of training batches")  # one an epoch
            trainer.fit(
                stack,
                train_dataloaders=range(1),
                val_dataloaders=range(1),
                ckpt_path=ckpt_path,
                weights_only=True,
            )
    finally:
        fitted.callbacks = given
    stack.write_back()
    return stack.histories
