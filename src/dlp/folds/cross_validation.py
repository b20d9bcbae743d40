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

    The test part belongs to no fold. The data stays as it is: each fold has a DataModule of its
    own, which shares the loaded rows.

    Args:
        data: DataModule of the project.
        make_model: Function from the data, split for a fold, to a new model.
        max_epochs: Number of epochs per fold.
        num_folds: Number of folds, K; shuffled, stratified, by group or by time as the data says.
        repeats: Number of repetitions, each with another shuffle.
        splitter: Object with ``split(X, y, groups)`` that gives the folds instead.
        trainer: Arguments of each fold's Trainer.
        engine: ``stacked`` trains all folds at once (small dense models), ``serial`` one after the
            other; ``auto`` stacks what it can.
        monitor: Metric of the best epoch.
        smoothing: Factor of the moving average over the mean curve.
        seed: Seed from which those of the folds are derived.
        path: Path of the finished folds, a JSON line per fold; they are not trained again.
        keep: Folder for a checkpoint of each fold; finished folds without one are trained again.
        on_fold: Function called with each finished fold.
        folds: Folds to train in this call; other calls with the same `path` train the rest. The
            result has all finished folds.
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
        modes.append(monitor_mode(monitor, model))  # an unknown monitor ends before the training
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
        finished |= read_folds(path, plan)  # other calls have finished theirs
        results = [finished[fold] for fold in plan if fold in finished]
        with muted(True):  # the folds have printed the lines about the rows
            predictions = out_of_fold(with_all_rows(data), results)
        frame = pd.DataFrame() if predictions is None else predictions.frame
        num_missing = len(plan) - len(results)
        mode = modes[0] if modes else "min"  # no fold was asked for, and none is finished
        return CrossValidation(results, monitor, mode, smoothing, frame, num_missing)


def _check_model(path: Path | None, fold: Fold, model: LightningModule) -> None:
    """Refuse finished folds of another model than the one that is validated now."""
    if model_fingerprint(model) != fold.model:
        raise InputError(
            f"{path} holds {fold} with another model; give another run_dir, or from Python another "
            "path."
        )


def _pending(
    plan: Sequence[Fold],
    finished: Mapping[Fold, Fold],
    numbers: Sequence[int] | None,
    keep: Path | None,
) -> list[Fold]:
    """Return the folds of some numbers without results or, if kept, without a checkpoint."""
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
