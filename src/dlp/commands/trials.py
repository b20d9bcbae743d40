"""What a trial of ``dlp tune`` is: a run of its own of a variant of the recipe, without noise."""

import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import optuna
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from optuna.trial import Trial

from dlp.callbacks.history import History
from dlp.commands.crossval import CrossvalOptions, crossval
from dlp.commands.fit import fit
from dlp.errors import InputError
from dlp.folds import CrossValidation, FoldResult
from dlp.process import interruptible
from dlp.recipe import Recipe
from dlp.search.space import Parameters, Space
from dlp.tune import Diverged, Objective

#: What a trial of any recipe leaves out: bars and tables, and above all the test.
_QUIET = {
    "trainer.enable_progress_bar": False,
    "trainer.enable_model_summary": False,
    "test_after_fit": None,
}


def variant(recipe: Recipe, space: Space, parameters: Parameters) -> Recipe:
    """Return a recipe with the values of a trial.

    Raises:
        InputError: A key of the space or a value is not accepted.
    """
    return recipe.with_keys(space.keys(parameters))


class Watch(Callback):
    """Reports the best value so far after each epoch, and stops a trial that is hopeless.

    Best so far, since a trial is judged by its best epoch: overfitting later does not count
    against it.

    Args:
        trial: The trial.
        monitor: The logged metric to go by.
    """

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial = trial
        self.monitor = monitor
        self.diverged = self.pruned = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report this epoch.

        Raises:
            InputError: The metric is not logged.
        """
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            if trainer.current_epoch + 1 < (trainer.check_val_every_n_epoch or 1):
                return
            raise InputError(
                f"{self.monitor} was not logged; --monitor takes one of {', '.join(metrics)}."
            )
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # set by a connector
        history = next(one for one in callbacks if isinstance(one, History))
        watched = [float(metrics[name]) for name in ("train_loss", self.monitor) if name in metrics]
        self.diverged = not all(map(math.isfinite, watched))
        best = history.best_epoch(self.monitor)
        value = history.at(best)[self.monitor] if best else math.nan
        self.trial.report(math.nan if self.diverged else value, trainer.current_epoch + 1)
        is_last = trainer.current_epoch + 1 == trainer.max_epochs
        self.pruned = not self.diverged and not is_last and self.trial.should_prune()
        if self.diverged or self.pruned:
            trainer.should_stop = True


def trial_objective(recipe: Recipe, space: Space, num_folds: int | None, repeats: int) -> Objective:
    """Return what is judged of a trial: a run of a variant of the recipe in the trial's folder.

    Args:
        recipe: The recipe.
        space: What is searched.
        num_folds: K; None judges by the validation part.
        repeats: P, of K folds.
    """
    one_device = {"trainer.devices": 1} if recipe.config.trainer.devices == "auto" else {}

    def judged(values: dict[str, Any], trial: Trial, folder: Path) -> float:
        # The keys of the recipe take the values as words, as a command line does.
        own = {**_QUIET, **one_device, "run_dir": str(folder)}
        with _quiet_trial():
            varied = variant(recipe, space, trial.params).with_keys(own)
            if num_folds is None:
                return _held_out(varied, trial)
            return _cross_validated(varied, num_folds, repeats, trial)

    return judged


def _held_out(recipe: Recipe, trial: Trial) -> float:
    """Return the monitored metric at its best epoch, on the validation part."""
    monitor = recipe.run.monitor
    watch = Watch(trial, monitor)
    done = fit(recipe, callbacks=[watch], keeps_last=False)
    if watch.diverged:
        raise Diverged
    best = done.history.best_epoch(monitor)
    trial.set_user_attr("best_epoch", best)
    if watch.pruned:
        raise optuna.TrialPruned
    if best is None:
        raise InputError(f"{monitor} was not logged in any epoch.")
    return done.history.at(best)[monitor]


def _cross_validated(recipe: Recipe, num_folds: int, repeats: int, trial: Trial) -> float:
    """Return the mean curve at its best epoch, over K folds or P times K.

    Where folds are trained one after the other, the trial may be stopped after each, by the mean
    curve so far.
    """
    folds: list[FoldResult] = []
    total, monitor = num_folds * repeats, recipe.run.monitor

    def on_fold(fold: FoldResult) -> None:
        folds.append(fold)
        so_far = CrossValidation(folds, total, monitor, recipe.run.smoothing)
        is_finite = math.isfinite(fold.metrics[monitor])
        trial.report(so_far.best_value() if is_finite else math.nan, len(folds))
        if not is_finite:
            raise Diverged
        saves = fold.engine == "serial" and len(folds) < total  # a stack is trained by now
        if saves and trial.should_prune():
            raise optuna.TrialPruned

    result = crossval(recipe, CrossvalOptions(num_folds=num_folds, repeats=repeats), on_fold)
    trial.set_user_attr("best_epoch", result.best_epoch)
    return result.best_value()


@contextmanager
def _quiet_trial() -> Iterator[None]:
    """Keep what each trial would say again from the screen; what ends a trial ends it alone.

    Warnings and errors stay.
    """
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), interruptible():
            yield
    except SystemExit as exit_:  # a parser has said why
        raise InputError("its options do not go together.") from exit_
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
