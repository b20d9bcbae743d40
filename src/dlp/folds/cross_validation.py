"""K-fold and repeated K-fold validation (chapters 3.6 and 4.2)."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng

from dlp.console import muted
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splits import Splitter
from dlp.errors import InputError, check_choice, check_range
from dlp.files import AnyPath
from dlp.folds.plan import Fold, append_fold, model_fingerprint, plan_folds, read_folds
from dlp.folds.results import CrossValidation, out_of_fold, with_all_rows
from dlp.folds.stacked import TrainerArguments
from dlp.folds.training import Engine, MakeModel, data_of_fold, train_folds
from dlp.modules.monitor import Mode, monitor_mode


def cross_validate(
    data: SupervisedDataModule,
    make_model: MakeModel,
    max_epochs: int,
    num_folds: int = 4,
    repeats: int = 1,
    splitter: Splitter | None = None,
    *,
    trainer: TrainerArguments | None = None,
    engine: Engine = "auto",
    monitor: str = "val_loss",
    smoothing: float = 0.0,
    seed: int = 0,
    path: AnyPath | None = None,
    keep: AnyPath | None = None,
    on_fold: Callable[[Fold], None] | None = None,
    folds: Sequence[int] | None = None,
) -> CrossValidation:
    """Train and validate a new model on every fold of every repetition.

    The rows of the test part are in no fold. `data` is not changed: each fold has its own
    DataModule, which shares the loaded rows with `data`.

    Args:
        data: A `SupervisedDataModule`. Its arguments determine whether the rows are shuffled,
            stratified, kept together in groups, or ordered by time.
        make_model: Function that takes the DataModule of a fold and returns a new model.
        max_epochs: Number of epochs per fold.
        num_folds: Number of folds, K. It is ignored if there is a `splitter`.
        repeats: Number of repetitions. Each repetition shuffles the rows again.
        splitter: Object with a method ``split(X, y, groups)`` that yields the folds, such as a
            splitter from scikit-learn.
        trainer: Keyword arguments for the Trainer of each fold.
        engine: ``stacked`` trains all folds at once, which is faster for small dense models and
            not possible for other kinds of models. ``serial`` trains one fold after another.
            ``auto`` stacks the folds if that is possible, and otherwise trains them serially.
        monitor: Metric that decides which epoch is the best.
        smoothing: Factor of the moving average over the mean curve, from 0 (no smoothing) to 1.
        seed: Seed from which the seeds of the folds are derived.
        path: File for the finished folds, with one JSON line per fold. Folds that are already in
            the file are not trained again. None writes no file.
        keep: Folder in which a checkpoint of each fold is saved. Finished folds without a
            checkpoint are trained again. None saves no checkpoints.
        on_fold: Function that is called with each fold when its training has finished.
        folds: Numbers of the folds to train in this call, counted from 0. Other calls with the
            same `path` train the rest. None trains all folds.

    Returns:
        All finished folds and their statistics. The folds that other calls have written to `path`
        are included.

    Raises:
        InputError: If an argument is not accepted, if `make_model` does not return a new model, or
            if `path` contains folds of another model, or folds with other rows, seeds or epochs.
    """
    for name in trainer or ():
        check_choice("argument of trainer", name, inspect.signature(Trainer).parameters)
    path = None if path is None else Path(path)
    keep = None if keep is None else Path(keep)
    split = replace(
        data.split.without_validation(),
        num_folds=None if splitter else num_folds,
        splitter=splitter,
    )
    modes: list[Mode] = []

    def make_checked_model(data: SupervisedDataModule) -> LightningModule:
        model = make_model(data)
        modes.append(monitor_mode(monitor, model))  # an unknown monitor fails before the training
        return model

    with isolate_rng():
        plan = plan_folds(data.labelled, split, repeats, seed, max_epochs)
        finished = read_folds(path, plan)
        if finished:
            fold = next(iter(finished.values()))
            data = data_of_fold(data, split, fold)
            _check_model(path, fold, make_checked_model(data))
        pending = _pending(plan, finished, folds, keep)
        training = train_folds(
            pending, data, make_checked_model, split, trainer or {}, engine, keep
        )
        for fold, model in training:
            check_choice("monitor", monitor, fold.history)
            if keep is not None:
                model.trainer.save_checkpoint(_checkpoint(keep, fold), weights_only=True)
            finished[fold] = fold
            if path is not None:
                append_fold(path, fold)
            if on_fold is not None:
                on_fold(fold)
        finished |= read_folds(path, plan)  # other calls may have finished more folds
        results = [finished[fold] for fold in plan if fold in finished]
        with muted(True):  # the folds have printed the same lines about the rows
            predictions = out_of_fold(with_all_rows(data), results)
        frame = pd.DataFrame() if predictions is None else predictions.frame
        num_missing = len(plan) - len(results)
        mode = modes[0] if modes else "min"  # no fold was requested, and none is finished
        return CrossValidation(results, monitor, mode, smoothing, frame, num_missing)


def _check_model(path: Path | None, fold: Fold, model: LightningModule) -> None:
    """Raise an error if the finished folds are from another model than this one."""
    if model_fingerprint(model) != fold.model:
        raise InputError(
            f"{path}: expected folds of the model that is validated now, got {fold} of another "
            "model. Give another run_dir, or in Python another path."
        )


def _pending(
    plan: Sequence[Fold],
    finished: Mapping[Fold, Fold],
    numbers: Sequence[int] | None,
    keep: Path | None,
) -> list[Fold]:
    """Return the requested folds that are not finished.

    With `keep`, a fold is finished only if it also has a checkpoint.
    """
    check_range(0, plan[-1].fold, folds=numbers)
    pending = []
    for fold in plan:
        is_asked = numbers is None or fold.fold in numbers
        is_done = fold in finished and (keep is None or _checkpoint(keep, fold).exists())
        if is_asked and not is_done:
            pending.append(fold)
    return pending


def _checkpoint(folder: Path, fold: Fold) -> Path:
    return folder / f"fold_{fold.repeat}_{fold.fold}.ckpt"
