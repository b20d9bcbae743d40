"""``dlp crossval``: K-fold and repeated K-fold validation of a recipe."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from dlp.commands import next_steps
from dlp.commands.building import without_weights, working
from dlp.commands.invocation import started_anew
from dlp.commands.jobs import run_jobs
from dlp.config_files import leaves, read_config
from dlp.console import say
from dlp.cores import num_cores
from dlp.crossval import cross_validate
from dlp.datamodules import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split, Splitter
from dlp.errors import InputError
from dlp.evaluation.fitted_baselines import fitted_verdict
from dlp.files import write_text, written
from dlp.folds import (
    PROTOCOL,
    CrossValidation,
    Engine,
    FoldResult,
    chosen,
    fold_folder,
    forget_empty,
    num_done,
    plan_folds,
)
from dlp.imports import configured, imported
from dlp.number_words import score_in_words
from dlp.process import interruptible
from dlp.recipe import Recipe
from dlp.runs.folders import Run, new_run, runs_of
from dlp.runs.json_files import read_json
from dlp.stops import stop_again
from dlp.visualization.beside import begin, draw
from dlp.visualization.curves import fold_curves

#: Options of a run that say how folds are run, not what comes of them.
_HOW = ("refit", "threads", "output", "baselines")


@dataclass(frozen=True)
class CrossvalOptions:
    """Which folds there are, and how they are run.

    Args:
        num_folds: K (default: 4, or the data's own).
        repeats: P repetitions, each shuffled anew.
        splitter: Import path of an object or class with split(X, y, groups), such as
            sklearn.model_selection.ShuffleSplit, or class_path and init_args: it gives the folds.
        leaky_scaling: Learn scales and the like from the validation rows too, as the book does.
        engine: Train one fold after the other, or all at once (small dense models).
        jobs: Processes that share the folds (default: one; for many folds of a small dense model,
            which train at once, one for each core).
        fold: Run this fold alone (or these), from 0 to K * P - 1; give all members of a job array
            one --run_dir.
        new: Start anew where folds are done already.
    """

    num_folds: int | None = None
    repeats: int = 1
    splitter: str | dict[str, Any] | None = None
    leaky_scaling: bool = False
    engine: Engine = "auto"
    jobs: int | None = None
    fold: int | list[int] | None = None
    new: bool = False

    @property
    def protocol(self) -> dict[str, Any]:
        """The options that say which folds there are."""
        names = ("num_folds", "repeats", "splitter", "leaky_scaling")
        return {name: getattr(self, name) for name in names}

    @property
    def only(self) -> list[int] | None:
        """The folds to run; None for all."""
        return [self.fold] if isinstance(self.fold, int) else self.fold


def crossval(
    recipe: Recipe,
    options: CrossvalOptions | None = None,
    on_fold: Callable[[FoldResult], None] | None = None,
) -> CrossValidation:
    """Cross-validate a recipe in a run's folder; report the folds once all are done.

    Args:
        recipe: What to train on each fold. With its ``refit``, it is then trained on everything
            and tested once.
        options: Which folds there are, and how they are run; None for the usual ones.
        on_fold: See `cross_validate`.

    Returns:
        The folds that are done.

    Raises:
        InputError: The recipe cannot be validated honestly or at all, or the folder holds another
            run.
    """
    options = options or CrossvalOptions()
    _check(recipe, options)
    with working(recipe):
        fresh, data = without_weights(recipe, needs_weights=True), recipe.data()
        if recipe.is_trial:
            return _validate(fresh, options, data, None, [0], on_fold)
        run, is_new = _found_run(recipe, options)
        if options.only is None:
            begin()
        try:
            with interruptible():
                if options.jobs is not None and options.jobs > 1:
                    _run_jobs(recipe, options, options.jobs, data, run.folder)
                result = _validate(fresh, options, data, run, options.only, on_fold)
        except KeyboardInterrupt as stop:
            done = num_done(run.folder)
            words = f"{done} {'fold is' if done == 1 else 'folds are'} done in {run.folder}"
            stop_again(stop, f"{words}: the same command goes on with it.")
        except Exception:  # whatever ends it: it goes on upwards
            if is_new:
                forget_empty(run)
            raise
        if result.is_complete:
            _report(recipe, result, run.folder)
        else:
            say(f"{len(result.folds)} of {result.num_folds} folds are done")
        return result


def _check(recipe: Recipe, options: CrossvalOptions) -> None:
    """Refuse what cannot be validated honestly, or not at all."""
    if recipe.run.init_from and not recipe.is_trial:
        raise InputError(
            f"crossval: the weights of init_from ({recipe.run.init_from}) have seen the rows "
            "that a fold validates on. Give --init_from null; a pretrained network may be "
            "fine-tuned in one run by --config unfreeze."
        )
    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"jobs must be 1 or more, got {options.jobs}.")
    if not recipe.config.trainer.max_epochs or recipe.config.trainer.max_epochs < 1:
        raise InputError("crossval needs --trainer.max_epochs.")


def _validate(
    recipe: Recipe,
    options: CrossvalOptions,
    data: SupervisedDataModule,
    run: Run | None,
    only: Sequence[int] | None,
    on_fold: Callable[[FoldResult], None] | None,
) -> CrossValidation:
    """Train and validate folds of a recipe, and refit if it says so; without a run, write nothing.

    Each fold has new objects of the recipe, and a config by which ``dlp fit`` trains it alone.
    """
    facts = {} if run is None else read_config(run.config)
    given = recipe.config.trainer
    devices = 1 if (given.devices, given.strategy) == ("auto", "auto") else given.devices

    def make_model(data: SupervisedDataModule) -> LightningModule:
        if run is not None and data.split.num_folds is not None:
            _write_config(run.folder, facts, data.split)
        return recipe.model(data)

    def make_trainer(max_epochs: int, callbacks: list[Callback]) -> Trainer:
        return recipe.trainer(
            callbacks,
            max_epochs=max_epochs,
            enable_model_summary=False,
            devices=devices,
            default_root_dir=None if run is None else str(run.folder),
        )

    return cross_validate(
        data,
        make_model,
        recipe.config.trainer.max_epochs,
        num_folds=_num_folds(options, data),
        repeats=options.repeats,
        splitter=make_splitter(options.splitter),
        make_trainer=make_trainer,
        engine=options.engine,
        monitor=recipe.run.monitor,
        monitor_mode=recipe.run.monitor_mode,
        smoothing=recipe.run.smoothing,
        seed=recipe.seed or 0,
        leaky_scaling=options.leaky_scaling,
        refit=recipe.run.refit and run is not None,
        folder=None if run is None else run.folder,
        baselines=recipe.run.baselines,
        only=only,
        processes=options.jobs or num_cores(),
        on_fold=on_fold,
    )


def _num_folds(options: CrossvalOptions, data: SupervisedDataModule) -> int:
    return options.num_folds or data.split.num_folds or 4


def _write_config(root: Path, facts: dict[str, Any], split: Split) -> None:
    """Write the config of a fold, that of the run but for the fold's seed and split."""
    config = {**facts, "seed_everything": torch.initial_seed()}
    arguments = facts["data"].get("init_args") or {}
    if "num_folds" in arguments:
        own = {name: getattr(split, name) for name in ("num_folds", "fold", "repeat")}
        config["data"] = {**facts["data"], "init_args": {**arguments, **own}}
    folder = fold_folder(root, split.repeat, split.fold)
    # The writer in C, where there is one: a millisecond of a fold instead of three.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    write_text(folder / "config.yaml", yaml.dump(config, Dumper=dumper, sort_keys=False))


def make_splitter(given: str | dict[str, Any] | None) -> Splitter | None:
    """Return the object that an option names.

    Args:
        given: Import path of an object or of a class to be made without arguments, or a dict of
            ``class_path`` and ``init_args``.

    Raises:
        InputError: There is no such object, or it takes other arguments.
    """
    if given is None:
        return None
    if isinstance(given, str):
        given = {"class_path": given}
    if not {"class_path"} <= given.keys() <= {"class_path", "init_args"}:
        raise InputError(
            f"splitter takes class_path and init_args, got {', '.join(map(str, given)) or 'none'}."
        )
    found = imported("splitter", given["class_path"])
    return cast(Splitter, configured("splitter", given) if inspect.isclass(found) else found)


# The folder of the run ---------------------------------------------------------------------------


def _found_run(recipe: Recipe, options: CrossvalOptions) -> tuple[Run, bool]:
    """Return the folder to go on in, or a new one with the recipe in it, and whether it is new."""
    config, given = recipe.dump(without=_HOW), recipe.run.run_dir
    facts = yaml.safe_load(config)
    ours = dict(leaves(facts))

    def is_same(run: Run) -> bool:
        there = (run.folder / PROTOCOL).is_file() and run.config.is_file()
        if not there or read_config(run.folder / PROTOCOL) != options.protocol:
            return False
        theirs = read_config(run.config)
        if theirs == facts or any(ours.get(key) != value for key, value in leaves(theirs)):
            return bool(theirs == facts)
        try:  # keys that came in a later release have their default
            return bool(yaml.safe_load(Recipe.read(run.config).dump(without=_HOW)) == facts)
        except InputError:
            return False

    def is_open(run: Run) -> bool:
        done = read_json(run.folder / "crossval.json")
        return not done or (recipe.run.refit and done["refit"] is None)

    if given is None:
        equal = [] if options.new else filter(is_same, runs_of(recipe.name))
        run = next(filter(is_open, equal), None) or new_run(recipe.name)
    else:
        run = Run(Path(given))
        if run.config.exists() and not is_same(run):
            raise InputError(
                f"{given} holds another run, and runs are never overwritten: choose another "
                "--run_dir."
            )
        if run.config.exists() and options.new:
            raise InputError(f"{given} holds this run already: --new needs another --run_dir.")
    if run.config.exists():
        say(f"going on with {run.folder}")
        return run, False
    # The config last: who sees it sees all.
    write_text(run.folder / PROTOCOL, yaml.safe_dump(options.protocol, sort_keys=False))
    write_text(run.config, config)
    return run, True


def _run_jobs(
    recipe: Recipe, options: CrossvalOptions, jobs: int, data: SupervisedDataModule, folder: Path
) -> None:
    """Let several processes of this command train the folds of the run in a folder."""
    splitter = make_splitter(options.splitter)
    planned = plan_folds(data, _num_folds(options, data), options.repeats, splitter, seed=0)
    places = {
        fold.number: fold_folder(folder, fold.repeat, fold.fold)
        for fold in chosen(planned, options.only)
    }

    def done() -> int:
        return sum((place / "results.json").is_file() for place in places.values())

    pending = [number for number, place in places.items() if FoldResult.read(place) is None]
    threads = recipe.run.threads or max(1, num_cores() // jobs)
    how = ["--run_dir", str(folder), "--threads", str(threads), "--engine", options.engine]
    how += ["--baselines", str(recipe.run.baselines).lower(), "--jobs", "1"]
    shares = [pending[start::jobs] for start in range(jobs) if pending[start::jobs]]
    commands = [next_steps.folds_words(folder, *how, "--fold", str(share)) for share in shares]
    if commands:
        run_jobs(commands, folder, "folds", len(places), done)


def _report(recipe: Recipe, result: CrossValidation, folder: Path) -> None:
    """Write the curves of the folds, and say what their numbers mean."""
    title = f"{recipe.name}: {result.num_folds} folds"
    smoothing, best = result.smoothing or 0.9, (result.monitor, result.best_epoch)
    draw(
        folder / "curves.png",
        fold_curves,
        result.curves,
        result.spreads,
        best=best,
        smoothing=smoothing,
        title=title,
    )
    print(f"\n{result.table()}\n", flush=True)
    if result.refit is not None:
        numbers = ", ".join(
            f"{name} {score_in_words(value)}" for name, value in result.refit.items()
        )
        tested = numbers or "not tested, for want of a test part"
        say(f"trained on everything for {result.best_epoch} epochs: {tested}")
    else:
        say(result.advice())
        if (found := result.verdict()) is not None:
            epochs = len(result.curves[result.monitor])
            say(f"next: {next_steps.after_folds(found, epochs, folder)}")
    if recipe.run.baselines:
        say(fitted_verdict(result.baseline, result.mean, "val", result.directions))
    names = [name for name in written(folder) if not name.endswith("/")]
    say(f"wrote {folder}: {', '.join(names)}, and each fold in repeat_R/fold_K/")


def main(words: Sequence[str]) -> None:
    """Run ``dlp crossval`` with the words after it."""
    crossval(*started_anew("crossval", words, CrossvalOptions))
