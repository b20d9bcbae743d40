"""K-fold and repeated K-fold validation (chapters 3.6 and 4.2), one fold at a time or all at once.

Each fold is a pure function of (seed, repeat, fold): a fresh model, statistics from its own
training part, an order of batches of its own. The test part is cut before the folds and never
looked at; `refit` tests once, at the end.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint

from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Splitter
from dlp.directions import Mode
from dlp.errors import InputError
from dlp.folds import (
    CrossValidation,
    Engine,
    FoldModels,
    FoldResult,
    FoldTrainers,
    MakeModel,
    MakeTrainer,
    Plan,
    chosen,
    plan_folds,
    refit_on_everything,
    train_folds,
)
from dlp.process import flushed_denormals, own_random_state, quiet


def cross_validate(
    data: SupervisedDataModule,
    make_model: MakeModel,
    max_epochs: int,
    *,
    num_folds: int = 4,
    repeats: int = 1,
    splitter: Splitter | None = None,
    make_trainer: MakeTrainer | None = None,
    engine: Engine = "auto",
    monitor: str = "val_loss",
    monitor_mode: Mode | None = None,
    smoothing: float = 0.0,
    seed: int = 0,
    leaky_scaling: bool = False,
    refit: bool = False,
    folder: Path | None = None,
    baselines: bool = False,
    only: Sequence[int] | None = None,
    processes: int = 1,
    on_fold: Callable[[FoldResult], None] | None = None,
) -> CrossValidation:
    """Train and validate a fresh model on every fold of every repeat.

    The data's own test part (or the one its `test_size` cuts) is no part of any fold.

    Args:
        data: A DataModule of the project; its split is replaced by those of the folds, and put
            back at the end.
        make_model: Called for each fold with the data, whose sizes are then those of the fold.
        max_epochs: Epochs of each fold.
        num_folds: K. Folds are contiguous where the data's ``split_seed`` is None, as in the book,
            else shuffled; stratified, grouped or in order of time as the data says.
        repeats: P repetitions, each shuffled anew.
        splitter: Any object with ``split(X, y, groups)``, such as scikit-learn's; it gives the
            folds then, and `num_folds` is not used.
        make_trainer: From the number of epochs and a fold's callbacks to a new Trainer; by default
            one that shows a line a fold. Callbacks, loggers and profilers that it gives each time
            are copied for each fold.
        engine: ``stacked`` trains all folds at once (small dense models), ``serial`` one after the
            other; ``auto`` stacks where it can, and says why where it cannot.
        monitor: The metric that says which epoch is best.
        monitor_mode: Whether less or more of `monitor` is better; None asks the model, where it is
            no loss.
        smoothing: Factor of the moving average over the mean curve, for the best epoch; 0 for none.
        seed: Each fold's seed is derived from it.
        leaky_scaling: Learn statistics (scales, vocabulary, fill values) from the validation rows
            too, as the book does in section 3.6; the numbers are then too good.
        refit: Train on everything but the test part for the best number of epochs, and test once
            (where there is a test part).
        folder: Where files go; None writes nothing. Folds that are done there are not run again.
        baselines: Fit a linear model and gradient boosting on each fold, too: what a model must
            beat (see `fitted_baselines`).
        only: The numbers (``repeat * num_folds + fold``) of the folds to run; None for all.
        processes: Most processes that share the folds of the ``stacked`` engine, where these are
            enough for them, on a CPU with Linux: copies of this one. The numbers are the same but
            for rounding.
        on_fold: Called after each fold with its result.

    Returns:
        The folds that are done, with mean, spread and curves.

    Raises:
        InputError: There are not enough rows, a number is out of range, or the engine that was
            asked for does not go with the model.

    Example:
        >>> result = cross_validate(data, make_model, max_epochs=100, num_folds=4, repeats=10)
        >>> print(result.table(), result.best_epoch)
    """
    if processes < 1:
        raise InputError(f"processes must be 1 or more, got {processes}.")
    if max_epochs < 1 or not 0 <= smoothing < 1:
        raise InputError(
            "max_epochs must be 1 or more and smoothing 0 to below 1; got "
            f"{max_epochs} and {smoothing}."
        )
    if leaky_scaling:
        say("leaky_scaling: the validation rows take part in the statistics; the numbers flatter")
    split, data.learn_from_all = data.split, leaky_scaling
    try:
        with quiet("`Trainer.fit` stopped"), own_random_state(), flushed_denormals():
            folds = plan_folds(data, num_folds, repeats, splitter, seed)
            plan = Plan(
                folds,
                FoldModels(make_model),
                FoldTrainers(make_trainer or plain_trainer),
                max_epochs,
                monitor,
                monitor_mode,
                folder,
                baselines,
                processes,
            )
            found = train_folds(plan, chosen(folds, only), data, engine, on_fold)
            result = CrossValidation(
                found, len(folds), monitor, smoothing, monitor_mode=monitor_mode
            )
            if folder is not None and result.is_complete:
                result.write(folder)
                for stale in folder.glob("stack_*"):  # of killed runs that had other stacks
                    shutil.rmtree(stale, ignore_errors=True)
            if refit and result.is_complete:
                if not math.isfinite(result.best_value()):
                    raise InputError(f"no refit: {result.advice()}.")
                data.learn_from_all = False
                test = refit_on_everything(plan, data, split, result.best_epoch, seed)
                result = replace(result, refit=test)
                if folder is not None:
                    result.write(folder)
            return result
    finally:
        data.learn_from_all = False
        data.resplit(split)


def plain_trainer(max_epochs: int, callbacks: list[Callback]) -> Trainer:
    """Return a Trainer that writes nothing but what its callbacks write."""
    return Trainer(
        max_epochs=max_epochs,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
