"""``dlp tune``: search for the hyperparameters of a recipe, on Optuna."""

import argparse
import gc
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from jsonargparse import Namespace
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from optuna.distributions import IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial
from tqdm.auto import tqdm

from dlp.commands.checkpoint_files import without_weights
from dlp.commands.invocation import resolve
from dlp.commands.jobs import run_jobs
from dlp.commands.lightning_cli import DLPCLI
from dlp.console import bar_file, say
from dlp.directions import directions_of, needed_direction
from dlp.errors import InputError, input_error
from dlp.files import write_text
from dlp.process import own_random_state, quiet
from dlp.search.comparability import check_rows, check_unit
from dlp.search.options import SEARCH_OPTIONS, add_search_options
from dlp.search.report import report, write_csv
from dlp.search.space import Parameters, find_space, plain, read_space
from dlp.search.studies import Definition, Study, open_study
from dlp.search.trials import Diverged, FitCLI, cross_validated, hold_out
from dlp.seeds import derived_seed
from dlp.stops import stop_again

#: What says how a run is done, not what comes of it.
_HOW = ("threads", "smoothing", "output")
#: Failed trials in a row after which a study stops, before the first success and after it.
_FAILURES_AT_START, _FAILURES = 3, 10


def tune(options: Sequence[str]) -> None:
    """Run a search as ``dlp tune`` does.

    Args:
        options: What stands after the command's name.

    Raises:
        InputError: The space, the storage or the recipe cannot be used.
    """
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(own_random_state())
        stack.enter_context(_quiet_optuna())
        TuneCLI(options, stack)


class TuneCLI(FitCLI):
    """Runs trials of a recipe until the study has enough; its options are a fit's and its own."""

    def __init__(self, options: Sequence[str], stack: ExitStack) -> None:
        self.options = list(options)
        self.base = _without_own(options)
        if any(word.partition("=")[0] == "--ckpt_path" for word in options):
            raise InputError("tune starts each trial anew: --ckpt_path does not go with it.")
        super().__init__(resolve(["fit", *options]), stack)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the search to those of a fit."""
        super().add_arguments_to_parser(parser)
        add_search_options(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; the help is that of the command that was given."""
        self._parser("fit").prog = "dlp tune"
        super().parse_arguments(parser, args)

    # Before the first trial ----------------------------------------------------------------------

    def before_instantiate_classes(self) -> None:
        """Check what can be checked before any data is read."""
        settings = self.config[self.subcommand]
        if settings.space is None:
            raise InputError(
                "tune needs --space FILE: a YAML file of keys of the config and their ranges or "
                "choices, for example model.dropout: {low: 0.0, high: 0.5}."
            )
        for name, least in (("trials", 1), ("jobs", 1), ("repeats", 1), ("num_folds", 2)):
            if settings[name] is not None and settings[name] < least:
                raise InputError(f"{name} must be {least} or more, got {settings[name]}.")
        if settings.repeats > 1 and settings.num_folds is None:
            raise InputError("repeats are repetitions of the folds: give --num_folds too.")
        if settings.trainer.devices not in ("auto", 1, "1") or settings.trainer.num_nodes > 1:
            raise InputError(
                "tune trains each trial on one device: leave trainer.devices as it is, and use "
                "--jobs N for several at once."
            )
        self.space = read_space(find_space(settings.space))
        self._check_space()
        self.grid = (
            self.space.grid(int(settings.seed_everything)) if settings.sampler == "grid" else None
        )
        super().before_instantiate_classes()

    def _check_space(self) -> None:
        given = {
            plain(word.removeprefix("--").partition("=")[0])
            for word in self.base
            if word.startswith("--")
        }
        for key in self.space.distributions:
            if plain(key) in given:
                raise InputError(
                    f"{key} is in the space and on the command line: leave it out of one."
                )
        self._probes: list[Namespace] = []
        for parameters in self.space.probes():
            try:
                self._probes.append(self._parsed(parameters))
            except InputError as error:
                raise InputError(f"space: {error}") from error
        check_rows(self._probes)

    def _parsed(self, parameters: Parameters) -> Namespace:
        """Return the settings of a trial."""
        words = [*self.base, *self.space.words(parameters)]
        settings: Namespace = self._parser("fit").parse_args(words)  # the recipe is checked by now
        return settings

    def _recipe_of(self, parameters: Parameters) -> str:
        """Return the complete config of a trial as YAML, as a fit by hand would have it."""
        settings = self._parsed(parameters)
        for name in (*SEARCH_OPTIONS, "config", "ckpt_path", "run_dir", "weights_only"):
            settings.pop(name, None)
        return str(self._parser("fit").dump(settings, skip_unset=False))

    def instantiate_classes(self) -> None:
        """Build data and model once, so that what is wrong with the recipe is said at once."""
        with without_weights(self.config[self.subcommand].model, comes=True, is_trial=False):
            LightningCLI.instantiate_classes(self)
        meters = getattr(self.model, "meters", {})
        others = list(meters["val"].metrics) if "val" in meters else []
        check_unit(self._probes, self._value("monitor"), others)
        dry, folds = self._value("trainer.fast_dev_run"), self._value("num_folds")
        if not dry and folds is None and not len(self.datamodule.examples("val").rows):
            raise InputError(
                "tune judges trials by the validation part, and there is none: set data.val_size, "
                "or give --num_folds K."
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # the signature it overrides
        """Return a Trainer that writes nothing; it is not run."""
        return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)

    # The search ----------------------------------------------------------------------------------

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the trials and say what they found."""
        if self._value("trainer.fast_dev_run"):
            DLPCLI.run(["fit", *self.base, *self.space.words(next(self.space.probes()))])
            return
        monitor, jobs, wanted = map(self._value, ("monitor", "jobs", "trials"))
        if self.grid is not None:
            wanted = min(wanted, len(self.grid))
        study = open_study(
            self._definition(),
            self._value("run_dir"),
            self._value("storage"),
            self._pruner(),
            wanted,
            self._value("new"),
        )
        self.stack.callback(study.close)
        how = "goes on" if study.trials() else "begins"
        say(f"{study.folder} {how}: {study.num_finished()} of {wanted} trials are finished")
        stop: KeyboardInterrupt | None = None
        try:
            if jobs > 1:
                self._share(study, wanted, jobs)
            else:
                self._search(study, wanted, monitor)
        except KeyboardInterrupt as stopped:
            stop = stopped
        if study.best():
            self._write(study, monitor)
        report(study, monitor, list(self.space.distributions), self._best_config(study))
        if stop is not None:
            stop_again(stop, f"{study.folder} is kept: the same command goes on with it.")

    def _definition(self) -> Definition:
        monitor, folds = self._value("monitor"), self._value("num_folds")
        mode = needed_direction(monitor, directions_of(self.model) | self._given_directions)
        judged = f"the best {monitor} of the validation part"
        if folds is not None:
            judged = f"the best mean {monitor} of {folds} folds, {self._value('repeats')} times"
            if (smoothing := self._value("smoothing")) != 0:
                judged += f", smoothed by {smoothing}"
        return Definition(
            self.invocation.name,
            self._recipe((*SEARCH_OPTIONS, *_HOW)),
            f"# Judged by {judged}\n{self.space.text()}",
            "minimize" if mode == "min" else "maximize",
            self.datamodule.labelled_rows()[1].fingerprint(),
        )

    def _steps(self) -> int | None:
        """How many values a whole trial reports: epochs, or folds; None where nobody knows."""
        if (folds := self._value("num_folds")) is not None:
            return int(folds * self._value("repeats"))
        searched = self.space.distributions.get("trainer.max_epochs")
        if searched is not None:
            return searched.high if isinstance(searched, IntDistribution) else None
        epochs = self._value("trainer.max_epochs")
        return None if epochs is None or epochs < 1 else int(epochs)

    def _pruner(self) -> BasePruner:
        """Return what says which trials are hopeless; nothing does in the first quarter of one."""
        steps = self._steps()
        if self._value("pruner") == "hyperband":
            return HyperbandPruner(max_resource=steps or "auto")
        if self._value("pruner") == "median":
            return MedianPruner(n_startup_trials=5, n_warmup_steps=max(2, (steps or 0) // 4))
        return NopPruner()

    def _sampler(self, number: int) -> BaseSampler:
        """Return what draws the values of a trial, a function of the seed and its number."""
        seed = derived_seed(int(self._value("seed_everything")), number) % 2**32
        if self._value("sampler") == "tpe":
            return TPESampler(seed=seed, constant_liar=True)
        return RandomSampler(seed=seed)

    def _share(self, study: Study, wanted: int, jobs: int) -> None:
        """Let several processes of the same command run the trials."""
        command = ["tune", *self.options, "--jobs=1", "--new=false", f"--run_dir={study.folder}"]
        if self._value("threads") is None:
            command.append("--threads=1")
        run_jobs([command] * jobs, study.folder, str(study.folder), wanted, study.num_finished)

    def _search(self, study: Study, wanted: int, monitor: str) -> None:
        start, failures = time.monotonic(), 0
        timeout = self._value("timeout")
        title, begun = str(study.folder), study.num_finished()
        bar_of_trials = tqdm(
            desc=title, total=wanted, initial=begun, dynamic_ncols=True, file=bar_file()
        )
        with _cheap_collections(), bar_of_trials as bar:
            while timeout is None or time.monotonic() - start < timeout:
                _show(bar, study)
                with study.begin(
                    self.space.distributions, wanted, self._sampler, self.grid
                ) as trial:
                    if trial is None:
                        break
                    error = self._run_trial(study, trial, monitor)
                study.keep_best()
                self._write(study, monitor)
                gc.collect()  # a Trainer and its module refer to each other
                failures = failures + 1 if error else 0
                if error and failures >= (
                    _FAILURES if study.num_finished() else _FAILURES_AT_START
                ):
                    raise InputError(
                        f"{failures} trials in a row failed, the last by: {error}"
                    ) from error
            _show(bar, study)

    def _run_trial(self, study: Study, trial: Trial, monitor: str) -> Exception | None:
        """Run a trial and note its end; return why it could not be done, if so."""
        folder = study.folder_of(trial.number)
        words = [*self.base, *self.space.words(trial.params)]
        if self._value("trainer.devices") == "auto":
            words.append("--trainer.devices=1")
        folds = self._value("num_folds")
        try:
            if folds is None:
                outcome = hold_out(words, folder, trial, monitor)
            else:
                repeats, smoothing = self._value("repeats"), self._value("smoothing")
                outcome = cross_validated(words, folder, trial, monitor, folds, repeats, smoothing)
        except optuna.TrialPruned as pruned:
            study.prune(trial)
            if isinstance(pruned, Diverged):
                tqdm.write(f"trial {trial.number} diverged: its loss is no number any more")
        except KeyboardInterrupt:
            study.fail(trial.number, "interrupted")
            study.queue_again(study.trials()[trial.number])
            raise
        except Exception as raised:
            error = input_error(raised) or raised
            text = str(error) if isinstance(error, InputError) else repr(error)
            study.fail(trial.number, text)
            if isinstance(error, OSError) and not isinstance(error, InputError):
                raise  # a full disk and the like
            if not isinstance(error, InputError):
                write_text(folder / "error.txt", traceback.format_exc())
            tqdm.write(f"trial {trial.number} failed: {text}")
            return error
        else:
            study.complete(trial, outcome.value, outcome.best_epoch)
        return None

    # What was found ------------------------------------------------------------------------------

    def _write(self, study: Study, monitor: str) -> None:
        """Write ``trials.csv`` and the config of the best trial."""
        with study.lock:
            write_csv(study, list(self.space.distributions))
            for best in study.best():
                first = (
                    f"# Trial {best.number} of {study.folder}, the best so far: {monitor} "
                    f"{best.value:.6g} at epoch {best.user_attrs.get('best_epoch')}\n"
                )
                path = self._best_config(study)
                if not path.exists() or not path.read_text("utf-8").startswith(first):
                    write_text(path, first + self._recipe_of(best.params))

    def _best_config(self, study: Study) -> Path:
        return study.folder / f"{study.name}_best.yaml"


@contextmanager
def _cheap_collections() -> Iterator[None]:
    """Set aside what lives now: collecting a trial's garbage takes 5 ms instead of 300."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _without_own(options: Sequence[str]) -> list[str]:
    """Return the options of a fit."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in (*SEARCH_OPTIONS, "run_dir"):
        parser.add_argument(f"--{name}", nargs="?" if name == "new" else None)
    try:
        return parser.parse_known_args(list(options))[1]
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from error


def _show(bar: "tqdm[Any]", study: Study) -> None:
    """Bring the bar up to date with the trials of all processes."""
    for best in study.best():
        bar.set_postfix_str(f"best {best.value:.4f} (trial {best.number})", refresh=False)
    bar.n = study.num_finished()
    bar.refresh()


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log to warnings, and its remarks on what is experimental to itself."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)
