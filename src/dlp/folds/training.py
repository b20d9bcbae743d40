"""How folds are trained: all at once, or one after the other, each an ordinary run; the refit."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher  # no public name says

from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from dlp.callbacks.given import check_finetuning
from dlp.callbacks.history import History
from dlp.callbacks.mistakes_report import MistakesReport
from dlp.callbacks.progress import EpochBar
from dlp.callbacks.seeding import EpochSeed
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split
from dlp.directions import directions_of, needed_direction
from dlp.errors import InputError, unknown
from dlp.evaluation.baselines import baselines_on
from dlp.folds.folder import check_done, claimed, done
from dlp.folds.plan import Fold, Plan
from dlp.folds.results import FoldResult
from dlp.folds.stacked import reason_against, train_stacked
from dlp.modules.base import SupervisedModule
from dlp.runs.record import add_test, count_parameters, write_results

Engine = Literal["auto", "serial", "stacked"]


def train_folds(
    plan: Plan,
    folds: Sequence[Fold],
    data: SupervisedDataModule,
    engine: Engine,
    on_fold: Callable[[FoldResult], None] | None,
) -> list[FoldResult]:
    """Train what is not done yet, and write it down; return all results there are, in order.

    Args:
        plan: The plan.
        folds: Those of its folds that are wanted.
        data: The data; their split is replaced by those of the folds.
        engine: See `cross_validate`.
        on_fold: Called after each fold with its result.

    Raises:
        InputError: What is done is of other data or another model; nothing says which epoch is
            best; or the engine that was asked for does not go with the model.
    """
    check_done(plan, data)
    pending = [fold for fold in folds if done(plan, fold) is None]
    if len(pending) < len(folds):
        say(f"{len(folds) - len(pending)} of {len(folds)} folds are done already")
    new: dict[int, FoldResult] = {}
    for fold, result in _trained(plan, pending, data, engine) if pending else ():
        if plan.root is not None:
            result.write(plan.folder(fold), plan.monitor)
        if plan.monitor not in result.history:  # said after one fold, not after all
            raise unknown("monitor", plan.monitor, result.history)
        new[fold.number] = result
        if on_fold is not None:
            on_fold(result)
    return [found for it in plan.folds if (found := new.get(it.number) or done(plan, it))]


def _trained(
    plan: Plan, folds: Sequence[Fold], data: SupervisedDataModule, engine: Engine
) -> Iterator[tuple[Fold, FoldResult]]:
    """Train folds by the engine that goes with the model of the first one; yield each."""
    model = plan.models.first(data, folds[0].split, folds[0].seed)
    sample = plan.trainers.sample(plan.max_epochs)
    _check_processes(sample)
    if isinstance(model, SupervisedModule):
        logged = [*model.meters["train"].names, *model.meters["val"].names]
        if plan.monitor not in logged:
            raise unknown("monitor", plan.monitor, logged)
    needed_direction(plan.monitor, directions_of(model) | plan.given_directions)
    reason = "asked for" if engine == "serial" else reason_against(model, data, sample)
    if reason is None:
        say(f"engine: stacked ({len(folds)} folds at once)")
        left = yield from train_stacked(plan, folds, data)
        for fold, reason in left:
            if engine == "stacked":
                raise InputError(f"engine: stacked does not go with {fold}: {reason}.")
            say(f"{fold}: serial, since {reason}")
            yield from train_serial(plan, [fold], data)
        return
    if engine == "stacked":
        raise InputError(f"engine: stacked does not go with this: {reason}. Use engine: serial.")
    if engine == "auto":
        say(f"engine: serial, since {reason}")
    yield from train_serial(plan, folds, data)


def _check_processes(trainer: Trainer) -> None:
    """Refuse processes that each run the whole program: each would take other folds.

    Such ones would average the gradients of different folds. Processes that begin and end with a
    fit (``ddp_spawn``) share each fold.

    Raises:
        InputError: The Trainer would begin them.
    """
    launcher = trainer.strategy.launcher
    if trainer.world_size > 1 and not isinstance(launcher, _MultiProcessingLauncher):
        raise InputError(
            "a fold is trained on one device, or by strategy ddp_spawn on several: give "
            "--trainer.devices 1, or --trainer.strategy ddp_spawn."
        )


def train_serial(
    plan: Plan, folds: Sequence[Fold], data: SupervisedDataModule
) -> Iterator[tuple[Fold, FoldResult]]:
    """Train each fold by a Trainer of its own: an ordinary run."""
    for fold in folds:
        with claimed(plan, [fold]) as mine:
            for _ in mine:
                model = plan.models(data, fold.split, fold.seed)
                title = f"{fold} ({fold.number + 1}/{len(plan.folds)})"
                home = None if plan.root is None else plan.folder(fold)
                result = FoldResult.begun(plan, fold, data, model, "serial")
                history = _fit(plan, model, data, plan.max_epochs, title, home)
                trained = count_parameters(model)  # a callback may have unfrozen some
                yield (
                    fold,
                    replace(result, history=history.metrics, last=history.last, parameters=trained),
                )


def _fit(
    plan: Plan,
    model: LightningModule,
    data: SupervisedDataModule,
    max_epochs: int,
    title: str,
    home: Path | None,
    validates: bool = True,
) -> History:
    """Fit one model, going on where a killed run of this folder was; return its history."""
    history = History(home, plan.given_directions)
    callbacks: list[Callback] = [history, EpochSeed(), EpochBar(title)]
    resumed = None
    if home is not None:
        checkpoints = home / "checkpoints"
        best = BestCheckpoint(checkpoints, plan.monitor, plan.monitor_mode)
        callbacks += [best, LastCheckpoint(checkpoints)]
        resumed = checkpoints / "last.ckpt" if (checkpoints / "last.ckpt").is_file() else None
    trainer: Any = plan.trainers(max_epochs, callbacks)
    check_finetuning(trainer.callbacks, model)
    if not validates:
        kept = [each for each in trainer.callbacks if not isinstance(each, EarlyStopping)]
        trainer.callbacks = kept
    trainer.fit(model, datamodule=data, ckpt_path=resumed, weights_only=True)
    return history


def refit_on_everything(
    plan: Plan, data: SupervisedDataModule, split: Split, epochs: int, seed: int
) -> dict[str, float]:
    """Train on everything but the test part for so many epochs; return the test's numbers.

    There are none without a test part: then everything is trained on. Nothing is validated, so
    nothing stops early: the folds said how many epochs.
    """
    model = plan.models(data, split.refit(), seed)
    rows, start = len(data.inputs("train")), time.perf_counter()
    history = _fit(plan, model, data, epochs, f"refit on {rows} rows", plan.root, False)
    seconds = {"prepare": round(data.prepare_seconds, 3)}
    seconds["fit"] = round(time.perf_counter() - start, 3)
    report = [MistakesReport(plan.root)] if plan.root else []
    if plan.root is not None:
        facts = {"parameters": count_parameters(model), "train_rows": rows, "seconds": seconds}
        write_results(plan.root, history, plan.monitor, seed, facts)
    if not data.has_test:
        return {}
    trainer = plan.trainers(epochs, [EpochBar("test"), *report])
    numbers = dict(trainer.test(model, datamodule=data, verbose=False)[0])
    if plan.root is not None:
        last = str(plan.root / "checkpoints" / "last.ckpt")
        add_test(plan.root, numbers, last, baselines_on(model, data, "test"))
    return numbers
