"""``dlp tune``: search for the hyperparameters of a recipe."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jsonargparse import Namespace
from optuna.distributions import IntDistribution

from dlp.commands.building import without_weights, working
from dlp.commands.fit import fit
from dlp.commands.invocation import started_anew
from dlp.commands.jobs import run_jobs
from dlp.commands.trials import trial_objective, variant
from dlp.console import say
from dlp.directions import directions_of, needed_direction
from dlp.errors import InputError
from dlp.files import write_text
from dlp.recipe import Recipe
from dlp.search.comparability import check_rows, check_unit
from dlp.search.method import PrunerName, SamplerName, Search
from dlp.search.space import Space, find_space, plain, read_space
from dlp.search.studies import Definition, Study, open_study
from dlp.search.summary import say_summary, write_trials
from dlp.stops import stop_again
from dlp.tune import quiet_optuna, run_trials

#: Options of a run that say how it is done, not what comes of it.
_HOW = ("threads", "smoothing", "output")
#: Keys that say which pretrained weights are fetched.
_OF_WEIGHTS = {"model", "model.backbone", "model.weights"}


@dataclass(frozen=True)
class TuneOptions:
    """The options of ``dlp tune`` beside those of a fit.

    Args:
        space: YAML file of what to search: keys of the config, each with {low:, high:, log:,
            step:} or a list of choices. Or the name of one in configs/spaces.
        trials: Finished trials of the study in all.
        timeout: Begin no trial after so many seconds.
        sampler: What draws the values: TPE learns from the trials before; grid takes each
            combination once.
        pruner: What stops a trial that is worse than others were at that epoch (or fold).
        num_folds: Judge each trial by K-fold validation (default: by the validation part).
        repeats: Repetitions of the K folds.
        storage: URL of a database, such as sqlite:///search.db or postgresql://host/name
            (default: study.log in the study's folder).
        new: Start another study, where one of the same config and space is unfinished.
        jobs: Processes that share the trials.
    """

    space: str | None = None
    trials: int = 50
    timeout: float | None = None
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "median"
    num_folds: int | None = None
    repeats: int = 1
    storage: str | None = None
    new: bool = False
    jobs: int = 1

    def check(self) -> None:
        """Refuse what no search can be.

        Raises:
            InputError: A number is out of range, or one does not go with another.
        """
        for name, least in (("trials", 1), ("jobs", 1), ("repeats", 1), ("num_folds", 2)):
            given = getattr(self, name)
            if given is not None and given < least:
                raise InputError(f"{name} must be {least} or more, got {given}.")
        if self.repeats > 1 and self.num_folds is None:
            raise InputError("repeats are repetitions of the folds: give --num_folds too.")


def tune(recipe: Recipe, options: TuneOptions, words: Sequence[str] = ()) -> None:
    """Search for the best values of some keys of a recipe, and say what was found.

    Args:
        recipe: What is searched.
        options: How.
        words: What stood after the command's name, by which further processes are started
            (`TuneOptions.jobs`), and whose keys may not be in the space.

    Raises:
        InputError: The space, the storage or the recipe cannot be used.
        KeyboardInterrupt: The search was stopped; its text says how to go on.
    """
    space = _checked_space(recipe, options, words)
    probes = _probes(recipe, space)
    check_rows(probes)
    search = Search(
        trials=options.trials,
        timeout=options.timeout,
        sampler=options.sampler,
        pruner=options.pruner,
        steps=_steps(recipe, options, space),
        seed=int(recipe.config.seed_everything),
        storage=options.storage,
        new=options.new,
    )
    wanted = search.wanted(space)
    with working(recipe), quiet_optuna():
        definition = _definition(recipe, options, space, probes)
        if recipe.is_trial:
            fit(variant(recipe, space, next(space.probes())))
            return
        given = None if recipe.run.run_dir is None else Path(recipe.run.run_dir)
        with closing(open_study(definition, given, space, search)) as study:
            how = "goes on" if study.trials() else "begins"
            say(f"{study.folder} {how}: {study.num_finished()} of {wanted} trials are finished")
            stop = None
            try:
                if options.jobs > 1:
                    _share(study, wanted, options.jobs, words, recipe)
                else:
                    objective = trial_objective(recipe, space, options.num_folds, options.repeats)
                    write = partial(_write, study, recipe, space)
                    run_trials(study, objective, space, search, write)
            except KeyboardInterrupt as raised:
                stop = raised
            if study.best():
                _write(study, recipe, space)
            keys = list(space.distributions)
            say_summary(study, recipe.run.monitor, keys, _best_config(study))
        if stop is not None:
            stop_again(type(stop)(), f"{study.folder} is kept: the same command goes on with it.")


def _checked_space(recipe: Recipe, options: TuneOptions, words: Sequence[str]) -> Space:
    """Return the space, once the options go together."""
    options.check()
    if options.space is None:
        raise InputError(
            "tune needs --space FILE: a YAML file of keys of the config and their ranges or "
            "choices, for example model.dropout: {low: 0.0, high: 0.5}."
        )
    trainer = recipe.config.trainer
    if trainer.devices not in ("auto", 1, "1") or trainer.num_nodes > 1:
        raise InputError(
            "tune trains each trial on one device: leave trainer.devices as it is, and use "
            "--jobs N for several at once."
        )
    space = read_space(find_space(options.space))
    options_given = (word.removeprefix("--") for word in words if word.startswith("--"))
    given = {plain(option.partition("=")[0]) for option in options_given}
    for key in space.distributions:
        if plain(key) in given:
            raise InputError(f"{key} is in the space and on the command line: leave it out of one.")
    return space


def _probes(recipe: Recipe, space: Space) -> list[Namespace]:
    """Return the configs of trials in which each bound and each choice occurs."""
    try:
        return [variant(recipe, space, values).config for values in space.probes()]
    except InputError as error:
        raise InputError(f"space: {error}") from error


def _steps(recipe: Recipe, options: TuneOptions, space: Space) -> int | None:
    """Return how many values a whole trial reports: epochs, or folds; None where nobody knows."""
    if options.num_folds is not None:
        return options.num_folds * options.repeats
    searched = space.distributions.get("trainer.max_epochs")
    if searched is not None:
        return searched.high if isinstance(searched, IntDistribution) else None
    epochs: int | None = recipe.config.trainer.max_epochs
    return None if epochs is None or epochs < 1 else epochs


def _definition(
    recipe: Recipe, options: TuneOptions, space: Space, probes: Sequence[Namespace]
) -> Definition:
    """Build data and model once, so that what is wrong with the recipe is said at once.

    Pretrained weights that all trials ask for are fetched with it: trial after trial would say that
    they cannot be.

    Returns:
        What the study is of.

    Raises:
        InputError: The recipe cannot be built, trials could not be compared, or nothing judges
            them.
    """
    data = recipe.data()
    asks = not recipe.is_trial and recipe.run.init_from is None
    asks = asks and not _OF_WEIGHTS & {plain(key) for key in space.distributions}
    model = without_weights(recipe, needs_weights=asks).model(data)
    monitor = recipe.run.monitor
    meters = getattr(model, "meters", {})
    check_unit(probes, monitor, list(meters["val"].metrics) if "val" in meters else [])
    mode = needed_direction(monitor, directions_of(model) | recipe.run.directions)
    if not recipe.is_trial and options.num_folds is None and not len(data.examples("val").rows):
        raise InputError(
            "tune judges trials by the validation part, and there is none: set data.val_size, or "
            "give --num_folds K."
        )
    judged = f"the best {monitor} of the validation part"
    if options.num_folds is not None:
        judged = f"the best mean {monitor} of {options.num_folds} folds, {options.repeats} times"
        if recipe.run.smoothing:
            judged += f", smoothed by {recipe.run.smoothing}"
    return Definition(
        recipe.name,
        recipe.dump(_HOW),
        f"# Judged by {judged}\n{space.text()}",
        "minimize" if mode == "min" else "maximize",
        data.labelled_rows()[1].fingerprint(),
    )


def _share(study: Study, wanted: int, jobs: int, words: Sequence[str], recipe: Recipe) -> None:
    """Let several processes of the same command run the trials."""
    command = ["tune", *words, "--jobs=1", "--new=false", f"--run_dir={study.folder}"]
    if recipe.run.threads is None:
        command.append("--threads=1")
    run_jobs([command] * jobs, study.folder, str(study.folder), wanted, study.num_finished)


def _write(study: Study, recipe: Recipe, space: Space) -> None:
    """Write ``trials.csv`` and the config of the best trial."""
    with study.lock:
        write_trials(study, list(space.distributions))
        for best in study.best():
            first = (
                f"# Trial {best.number} of {study.folder}, the best so far: {recipe.run.monitor} "
                f"{best.value:.6g} at epoch {best.user_attrs.get('best_epoch')}\n"
            )
            path = _best_config(study)
            if not path.exists() or not path.read_text("utf-8").startswith(first):
                write_text(path, first + variant(recipe, space, best.params).dump())


def _best_config(study: Study) -> Path:
    return study.folder / f"{study.name}_best.yaml"


def main(words: Sequence[str]) -> None:
    """Run ``dlp tune`` with the words after it."""
    tune(*started_anew("tune", words, TuneOptions), words)
