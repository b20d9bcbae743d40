"""One trial of a search: an ordinary run without noise, watched epoch by epoch."""

import io
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser
from optuna.trial import Trial

from dlp.callbacks.checkpoints import LastCheckpoint
from dlp.callbacks.history import History
from dlp.commands.invocation import Invocation, resolve
from dlp.commands.lightning_cli import DLPCLI
from dlp.errors import InputError
from dlp.folds.plan import fold_folder
from dlp.folds.results import CrossValidation, FoldResult
from dlp.process import interruptible, own_random_state, quiet

#: What a trial of any recipe leaves out: bars and tables, and above all the test.
QUIET = (
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--test_after_fit=null",
)


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Args:
        value: The monitored metric at its best epoch.
        best_epoch: That epoch, from 1.
    """

    value: float
    best_epoch: int | None


class Diverged(optuna.TrialPruned):
    """The loss or the monitored metric is no number any more."""


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
        self.history = History()
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
        watched = [float(metrics[name]) for name in ("train_loss", self.monitor) if name in metrics]
        self.diverged = not all(map(math.isfinite, watched))
        best = self.history.best_epoch(self.monitor)
        value = self.history.at(best)[self.monitor] if best else math.nan
        self.trial.report(math.nan if self.diverged else value, trainer.current_epoch + 1)
        is_last = trainer.current_epoch + 1 == trainer.max_epochs
        self.pruned = not self.diverged and not is_last and self.trial.should_prune()
        if self.diverged or self.pruned:
            trainer.should_stop = True


class FitCLI(DLPCLI):
    """The command line of a fit alone, whose mistakes are raised."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:  # the signature it overrides
        """Return a parser that raises."""
        return super().init_parser(**kwargs)


class TrialCLI(FitCLI):
    """A fit that is watched, and keeps no checkpoint but the best."""

    def __init__(self, invocation: Invocation, stack: ExitStack, watch: Watch) -> None:
        self.watch = watch
        super().__init__(invocation, stack)

    def _run_callbacks(self) -> list[Callback]:
        callbacks = super()._run_callbacks()
        self.watch.history = self.history
        return [
            *(callback for callback in callbacks if not isinstance(callback, LastCheckpoint)),
            self.watch,
        ]


def hold_out(words: Sequence[str], folder: Path, trial: Trial, monitor: str) -> Outcome:
    """Run a trial that is judged by the validation part.

    Args:
        words: The options of the fit.
        folder: Where its files go.
        trial: The trial.
        monitor: The metric to go by, at its best epoch.

    Raises:
        TrialPruned: It was stopped as hopeless (`Diverged`: since its loss is no number).
        InputError: It cannot be done.
        KeyboardInterrupt: The user wants to stop.
    """
    watch = Watch(trial, monitor)
    with _quiet_trial(), ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(own_random_state())
        TrialCLI(resolve(["fit", *words, *QUIET, f"--run_dir={folder}"]), stack, watch)
    if watch.diverged:
        raise Diverged
    best = watch.history.best_epoch(monitor)
    trial.set_user_attr("best_epoch", best)
    if watch.pruned:
        raise optuna.TrialPruned
    if best is None:
        raise InputError(f"{monitor} was not logged in any epoch.")
    return Outcome(watch.history.at(best)[monitor], best)


def cross_validated(
    words: Sequence[str],
    folder: Path,
    trial: Trial,
    monitor: str,
    num_folds: int,
    repeats: int,
    smoothing: float,
) -> Outcome:
    """Run a trial that is judged by K-fold validation: the mean curve at its best epoch.

    Args:
        words: The options of the fit.
        folder: Where its files go.
        trial: The trial; it may be stopped after each fold, by the mean curve so far, where folds
            are trained one after the other.
        monitor: The metric to go by.
        num_folds: K.
        repeats: Repetitions of the K folds.
        smoothing: Factor of the moving average over the mean curve.

    Raises:
        TrialPruned: It was stopped as hopeless (`Diverged`: since its loss is no number).
        InputError: It cannot be done.
        KeyboardInterrupt: The user wants to stop.
    """
    from dlp.commands.crossval import crossval, parsed  # what it brings is not needed elsewhere

    folds: list[FoldResult] = []
    total = num_folds * repeats

    def on_fold(number: int, last: float) -> None:
        done = FoldResult.read(fold_folder(folder, *divmod(number, num_folds)))
        assert done is not None
        folds.append(done)
        value = CrossValidation(folds, total, monitor, smoothing).best_value()
        trial.report(value if math.isfinite(last) else math.nan, len(folds))
        if not math.isfinite(last):
            raise Diverged
        saves = done.engine == "serial" and len(folds) < total  # a stack is trained by now
        if saves and trial.should_prune():
            raise optuna.TrialPruned

    options = [f"--num_folds={num_folds}", f"--repeats={repeats}", f"--run_dir={folder}"]
    with _quiet_trial():
        result = crossval(*parsed([*words, *QUIET, *options]), on_fold)
    return Outcome(result.best_value(), result.best_epoch)


@contextmanager
def silence() -> Iterator[None]:
    """Keep what each trial would say again from the screen; warnings and errors stay."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _quiet_trial() -> Iterator[None]:
    """Say nothing; what ends a trial ends it alone."""
    with silence(), interruptible():
        try:
            yield
        except SystemExit as exit_:  # a parser has said why
            raise InputError("its options do not go together.") from exit_
