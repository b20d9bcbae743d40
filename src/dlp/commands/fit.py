"""``dlp fit``: train a recipe, say what the curves mean, and test if the recipe says so."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from dlp.callbacks.history import History
from dlp.callbacks.mistakes_report import MistakesReport
from dlp.callbacks.precision_trial import PrecisionTrial
from dlp.callbacks.recipe_file import RecipeFile
from dlp.commands import next_steps
from dlp.commands.building import build, run_folder, working
from dlp.commands.evaluate import Fitted, evaluated, say_fitted
from dlp.commands.invocation import started
from dlp.commands.resuming import check_resumed
from dlp.commands.starting import found_weights, start_from
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.directions import directions_of, needed_direction
from dlp.evaluation.beaten import beaten_on, chosen_threshold
from dlp.evaluation.fitted_baselines import EvaluatedPart, fitted_baselines
from dlp.files import written
from dlp.process import interruptible
from dlp.recipe import Recipe
from dlp.runs.folders import Run, run_of, run_title
from dlp.runs.origin import origin_line
from dlp.runs.record import count_parameters, read_results, write_results
from dlp.stops import stop_again
from dlp.visualization.beside import begin, draw
from dlp.visualization.curves import learning_curves


@dataclass(frozen=True)
class Fit:
    """A recipe with the objects that are trained.

    Args:
        recipe: The recipe.
        data: Its data.
        model: Its model.
        trainer: What trains it.
        history: What it records by epoch.
        run: Where its files go; None for a trial run.
    """

    recipe: Recipe
    data: SupervisedDataModule
    model: LightningModule
    trainer: Trainer
    history: History
    run: Run | None = None


def fit(
    recipe: Recipe,
    checkpoint: Path | None = None,
    callbacks: Sequence[Callback] = (),
    keeps_last: bool = True,
) -> Fit:
    """Train a recipe in a run's folder.

    Args:
        recipe: What to train.
        checkpoint: What to go on from, in the folder of its run; None begins a new run.
        callbacks: More callbacks.
        keeps_last: Whether the newest epoch is kept, from which a fit that is stopped goes on.

    Raises:
        InputError: The recipe cannot be trained as it is, or not go on from the checkpoint.
        KeyboardInterrupt: It was stopped; its text says what is kept.
    """
    with working(recipe):
        run = None if checkpoint is None else run_of(checkpoint)
        if run is not None:
            check_resumed(recipe, run)
        start = recipe.run.init_from if checkpoint is None else None
        if start is not None:
            start = found_weights(start, recipe.name, recipe.is_trial)
            recipe = replace(recipe.with_keys({"init_from": start}), configs=recipe.configs)
        built = build(recipe, checkpoint, needs_weights=start is None)
        data, model = built.data, built.model
        needed_direction(recipe.run.monitor, directions_of(model) | recipe.run.directions)
        if recipe.is_trial:
            trainer = built.trainer(callbacks, None)
            started = Fit(recipe, data, model, trainer, History())
            _train(started, checkpoint, start)
            return started
        with run_folder(recipe, run, trains=True) as run:
            folder = run.folder
            history = History(folder, recipe.run.directions)
            own: list[Callback] = [
                RecipeFile(run.config, origin_line(recipe.files) + recipe.dump()),
                history,
                BestCheckpoint(folder / "checkpoints", recipe.run.monitor, recipe.run.monitor_mode),
            ]
            own += [LastCheckpoint(folder / "checkpoints")] if keeps_last else []
            if recipe.run.refit or recipe.run.test_after_fit is not None:
                own.append(MistakesReport(folder))
            trainer = built.trainer([*own, *callbacks], folder)
            return _run(Fit(recipe, data, model, trainer, history, run), checkpoint, start)


def _train(fit: Fit, checkpoint: Path | None, start: str | None) -> None:
    if start is not None:
        start_from(fit.model, fit.data, start)
    path = None if checkpoint is None else str(checkpoint)
    fit.trainer.fit(fit.model, datamodule=fit.data, ckpt_path=path, weights_only=True)


def _run(fit: Fit, checkpoint: Path | None, start: str | None) -> Fit:
    """Train, write results and curves, and test; return what the first process has."""
    assert fit.run is not None
    recipe, run, which = fit.recipe, fit.run, fit.recipe.run.test_after_fit
    if recipe.run.refit:
        which = "last" if fit.data.has_test else None
        held = "the test part is held back" if which else "there is no test part to hold back"
        say(f"refit: training on all {len(fit.data.inputs('train')):,} rows; {held}")
    elif which:
        fit.data.examples("test")  # said before training, if there is no test part
    # A process of a rank above 0 has no folder.
    there = written(run.folder) if run.folder.is_dir() else {}
    before, begun = run.recorded_at, time.perf_counter()
    parts: list[EvaluatedPart] = ["val", "test"] if recipe.run.test_after_fit else ["val"]
    if not getattr(rank_zero_only, "rank", 0):
        begin()
    fitted = None
    if recipe.run.baselines:
        fitted = cache(partial(fitted_baselines, fit.model, fit.data, parts))
    try:
        with interruptible():
            _train(fit, checkpoint, start)
        seconds = time.perf_counter() - begun
        # What other processes have is no run's folder: all take that of the first.
        run = Run(Path(fit.trainer.strategy.broadcast(str(run.folder))))
        fit = replace(fit, run=run)
        if not getattr(rank_zero_only, "rank", 0):
            _report(fit, run, seconds, run.recorded_at != before, fitted)
    except KeyboardInterrupt as stop:
        stop_again(stop, _kept(fit.trainer))
    except OSError as error:
        error.add_note(_kept(fit.trainer))  # said where the disk is full
        raise
    if which:
        path = run.checkpoint(which) or run.checkpoint()  # without checkpoints: as it is now
        evaluated(fit.trainer, fit.model, fit.data, "test", path, run, fitted)
    if names := [name for name, when in written(run.folder).items() if when != there.get(name)]:
        say(f"wrote {run.folder}: {', '.join(names)}")
    return fit


def _kept(trainer: Trainer) -> str:
    """Return what is kept of a fit that ends before its time, and how to go on."""
    kept = [one for one in trainer.callbacks if isinstance(one, LastCheckpoint)]  # type: ignore[attr-defined] # set by a connector
    return next_steps.after_stop(kept[0] if kept else None)


def _report(fit: Fit, run: Run, seconds: float, has_trained: bool, fitted: Fitted | None) -> None:
    """Write the results and curves of a fit, and say what they mean."""
    recipe, history, folder, monitor = fit.recipe, fit.history, run.folder, fit.recipe.run.monitor
    earlier = read_results(folder)
    if earlier and not has_trained:
        epochs = fit.trainer.current_epoch
        say(
            f"nothing to train: {folder} has its {epochs} epochs already; give "
            f"--trainer.max_epochs {2 * epochs} to go on with it"
        )
        return
    if "test" in earlier:
        say("the numbers of the earlier test are no longer those of this model: test again")
    best = history.best_epoch(monitor)
    beside = beaten_on(fit.model, fit.data, history.at(best) if best else {})
    threshold = chosen_threshold(fit.model, run.checkpoint())
    facts: dict[str, Any] = {
        "parameters": count_parameters(fit.model),
        "train_rows": len(fit.data.inputs("train")),
        "device": str(fit.trainer.strategy.root_device),
        "seconds": {"prepare": round(fit.data.prepare_seconds, 3), "fit": round(seconds, 3)},
        "beats_baseline": None if beside is None else beside.beats,
        "threshold": threshold,
    }
    write_results(folder, history, monitor, recipe.config.seed_everything, facts)
    if history.num_epochs:
        draw(
            folder / "curves.png",
            learning_curves,
            history.metrics,
            best_epoch=best,
            smoothing=recipe.run.smoothing,
            title=run_title(folder),
        )
    say(history.advice(monitor))
    if beside is not None and not beside.beats:
        say(beside.line)
    if threshold is not None:
        say(f"threshold {threshold:.4g}, chosen on the validation part, for test and predict")
    if fitted is not None:
        say_fitted(fitted(), fit.model, history.at(best or history.num_epochs), "val", folder)
    if found := history.verdict(monitor):
        configs = recipe.configs or (run.config,)
        last = run.checkpoint("last")
        say(f"next: {next_steps.after_fit(found, history.num_epochs, configs, last)}")


def main(words: Sequence[str]) -> None:
    """Run ``dlp fit`` with the words after it."""
    fit(*started("fit", words), callbacks=[PrecisionTrial()])
