"""Folds one after the other, each an ordinary run by a Trainer of its own; and the refit."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import LightningModule
from lightning.pytorch.callbacks import Callback, EarlyStopping

from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from dlp.callbacks.history import History
from dlp.callbacks.mistakes_report import MistakesReport
from dlp.callbacks.progress import EpochBar
from dlp.callbacks.seeding import EpochSeed
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split
from dlp.evaluation.baselines import baselines_on
from dlp.folds.identity import made_of
from dlp.folds.plan import Fold, Plan
from dlp.folds.results import FoldResult
from dlp.runs.record import add_test, count_parameters, write_results


def train_serial(
    plan: Plan, folds: Sequence[Fold], data: SupervisedDataModule
) -> Iterator[tuple[Fold, FoldResult]]:
    """Train each fold by a Trainer of its own: an ordinary run."""
    for fold in folds:
        with plan.claimed([fold]) as mine:
            for _ in mine:
                model = plan.model(fold, data)
                title = f"{fold} ({fold.number + 1}/{len(plan.folds)})"
                home = None if plan.root is None else plan.folder(fold)
                of = made_of(model, data)
                history = _fit(plan, model, data, plan.max_epochs, title, home)
                result = plan.result(fold, data, model, history.metrics, "serial", of)
                yield fold, replace(result, last=history.last)


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
    model = plan.new_model(data, split.refit(), seed)
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
