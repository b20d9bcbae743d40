"""``dlp crossval``: K-fold and repeated K-fold validation of a recipe."""

import copy
import inspect
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal, cast

import torch
import yaml
from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import CSVLogger

from dlp.callbacks.checkpoints import with_atomic_checkpoints
from dlp.callbacks.given import check_finetuning, listed, need_a_logger
from dlp.commands import next_steps
from dlp.commands.checkpoint_files import without_weights
from dlp.commands.invocation import resolve
from dlp.commands.jobs import run_jobs
from dlp.commands.lightning_cli import DLPCLI
from dlp.config_files import read_config
from dlp.console import say
from dlp.crossval import cross_validate
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.splitting.splits import Split, Splitter
from dlp.errors import InputError
from dlp.evaluation.fitted_baselines import fitted_verdict
from dlp.files import atomic_path, write_text
from dlp.folds.plan import LOCK, chosen, fold_folder, plan_folds
from dlp.folds.results import CrossValidation, FoldResult
from dlp.imports import imported
from dlp.number_words import score_in_words
from dlp.process import interruptible, own_random_state, quiet
from dlp.runs.folders import Run, new_run, runs_of
from dlp.runs.json_files import read_json
from dlp.stops import stop_again
from dlp.visualization.fold_curves import fold_curves

#: The file that says which folds there are.
PROTOCOL = "crossval.yaml"
#: Options that say how folds are run, not what comes of them.
_HOW = ("engine", "jobs", "fold", "refit", "new", "threads", "output", "baselines")
_WHAT = ("num_folds", "repeats", "splitter", "leaky_scaling")


def crossval(
    options: Sequence[str], on_fold: Callable[[int, float], None] | None = None
) -> CrossValidation:
    """Run a cross-validation as ``dlp crossval`` does.

    Args:
        options: What stands after the command's name.
        on_fold: See `cross_validate`.

    Returns:
        The folds that are done.
    """
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(own_random_state())
        command = CrossvalCLI(options, on_fold, stack)
    return command.result


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
    if isinstance(given, dict) and not {"class_path"} <= given.keys() <= {
        "class_path",
        "init_args",
    }:
        raise InputError(
            f"splitter takes class_path and init_args, got {', '.join(map(str, given)) or 'none'}."
        )
    path = given if isinstance(given, str) else given["class_path"]
    arguments = {} if isinstance(given, str) else given.get("init_args") or {}
    found = imported("splitter", path)
    if not inspect.isclass(found):
        return cast(Splitter, found)
    try:
        return cast(Splitter, found(**arguments))
    except (TypeError, ValueError) as error:
        raise InputError(f"the splitter {path} cannot be made: {error}.") from error


class CrossvalCLI(DLPCLI):
    """Trains a recipe on every fold; its options are those of a fit and its own."""

    def __init__(
        self,
        options: Sequence[str],
        on_fold: Callable[[int, float], None] | None,
        stack: ExitStack,
    ) -> None:
        self.options = list(options)
        self.on_fold = on_fold
        self.result = CrossValidation([], 0)
        if any(option.partition("=")[0] == "--ckpt_path" for option in options):
            raise InputError("crossval trains anew: --ckpt_path does not go with it.")
        super().__init__(resolve(["fit", *options]), stack)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the folds to those of a fit."""
        super().add_arguments_to_parser(parser)
        add = parser.add_argument
        flag: dict[str, Any] = {"type": bool, "nargs": "?", "const": True, "default": False}
        add("--num_folds", type=int | None, default=None, help="K (default: 4, or the data's own).")
        add("--repeats", type=int, default=1, help="P repetitions, each shuffled anew.")
        add(
            "--splitter",
            type=str | dict[str, Any] | None,
            default=None,
            help="Import path of an object or class with split(X, y, groups), such as "
            "sklearn.model_selection.ShuffleSplit, or class_path and init_args: it gives the "
            "folds.",
        )
        add(
            "--leaky_scaling",
            **flag,
            help="Learn scales and the like from the validation rows too, as the book does.",
        )
        add(
            "--engine",
            type=Literal["auto", "serial", "stacked"],
            default="auto",
            help="Train one fold after the other, or all at once (small dense models).",
        )
        add("--jobs", type=int, default=1, help="Processes that share the folds.")
        add(
            "--fold",
            type=int | list[int] | None,
            default=None,
            help="Run this fold alone (or these), from 0 to K * P - 1; give all members of a job "
            "array one --run_dir.",
        )
        add("--new", **flag, help="Start anew where folds are done already.")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; the help is that of the command that was given."""
        self._parser("fit").prog = "dlp crossval"
        super().parse_arguments(parser, args)

    # Building ----------------------------------------------------------------------------------

    @property
    def _trains_on_all(self) -> bool:
        """Never: the folds come first, and the refit after them sees to its own split."""
        return False

    def before_instantiate_classes(self) -> None:
        """Refuse what cannot be validated honestly."""
        settings = self.config[self.subcommand]
        if settings.init_from and not settings.trainer.fast_dev_run:
            raise InputError(
                f"crossval: the weights of init_from ({settings.init_from}) have seen the rows "
                "that a fold validates on. Give --init_from null; a pretrained network may be "
                "fine-tuned in one run by --config unfreeze."
            )
        settings.init_from = None
        if settings.jobs < 1:
            raise InputError(f"jobs must be 1 or more, got {settings.jobs}.")
        super().before_instantiate_classes()

    def instantiate_classes(self) -> None:
        """Build the data; model and trainer are built anew for each fold."""
        trial = bool(self._value("trainer.fast_dev_run"))
        with without_weights(self.config[self.subcommand].model, comes=True, is_trial=trial):
            self.datamodule = self._build(self.config[self.subcommand].data).data
        self.datamodule.dry_run = trial

    def _build(self, data: Any) -> Namespace:
        """Return new objects of the recipe around `data`, a config or an object."""
        config = self.config.clone()
        config[self.subcommand].data = data
        built: Namespace = self.parser.instantiate_classes(config)[self.subcommand]
        return built

    def make_model(self, data: SupervisedDataModule) -> LightningModule:
        """Return a new model for the fold that `data` is split for."""
        self._write_fold_recipe(data.split)
        settings = self.config[self.subcommand]
        with without_weights(settings.model, False, bool(settings.trainer.fast_dev_run)):
            self._built = self._build(data)
        model: LightningModule = self._built.model
        return model

    def make_trainer(self, max_epochs: int, callbacks: list[Callback]) -> Trainer:
        """Return a new Trainer with the recipe's settings and new objects of its callbacks."""
        settings = self._built.trainer
        given = listed(settings.callbacks)
        check_finetuning(given, self._built.model)
        has_bar = any(isinstance(one, ProgressBar) for one in given)
        own = [
            *given,
            *(one for one in callbacks if not (has_bar and isinstance(one, ProgressBar))),
        ]
        bars = settings.enable_progress_bar is not False
        own = [one for one in own if bars or not isinstance(one, ProgressBar)]
        if settings.enable_checkpointing is False:
            own = [one for one in own if not isinstance(one, Checkpoint)]
        home = None if self.run_folder is None else str(self.run_folder.folder)
        kept = {
            "callbacks": own,
            "max_epochs": max_epochs,
            "enable_checkpointing": any(isinstance(one, Checkpoint) for one in own),
            "enable_model_summary": False,
            "plugins": with_atomic_checkpoints(settings.plugins),
            "default_root_dir": home,
        }
        if settings.logger is False and need_a_logger(given):
            kept["logger"] = CSVLogger(home or ".")
        trainer: Trainer = self.trainer_class(**{**settings.as_dict(), **kept})
        return trainer

    def after_instantiate_classes(self) -> None:
        """Nothing is handed to the Trainer's methods."""

    # Files -------------------------------------------------------------------------------------

    def _protocol(self) -> dict[str, Any]:
        """Return the options that say which folds there are."""
        return {name: self._value(name) for name in _WHAT}

    def _find_folder(self) -> Run:
        """Return the folder to go on in, or a new one with the recipe in it."""
        recipe, given = self._recipe((*_HOW, *_WHAT)), self._value("run_dir")
        if given is not None:
            run = Run(Path(given))
            if run.config.exists() and not self._is_same(run, recipe):
                raise InputError(
                    f"{given} holds another run, and runs are never overwritten: choose another "
                    "--run_dir."
                )
            if run.config.exists() and self._value("new"):
                raise InputError(f"{given} holds this run already: --new needs another --run_dir.")
        else:
            equal = [] if self._value("new") else runs_of(self.invocation.name)
            found = (one for one in equal if self._is_same(one, recipe) and self._is_open(one))
            run = next(found, None) or new_run(self.invocation.name)
        self._is_new = not run.config.exists()
        if self._is_new:  # the config last: who sees it sees all
            write_text(run.folder / PROTOCOL, yaml.safe_dump(self._protocol(), sort_keys=False))
            write_text(run.config, recipe)
        else:
            say(f"going on with {run.folder}")
        self._facts = yaml.safe_load(recipe)
        return run

    def _is_same(self, run: Run, recipe: str) -> bool:
        """Whether the folds of a run are those of this command."""
        if not (run.folder / PROTOCOL).is_file() or not run.config.is_file():
            return False
        theirs = [read_config(path) for path in (run.folder / PROTOCOL, run.config)]
        return theirs == [self._protocol(), yaml.safe_load(recipe)]

    def _is_open(self, run: Run) -> bool:
        """Whether something is left to do in the folder of a run."""
        if not (run.folder / "crossval.json").is_file():
            return True
        done = read_json(run.folder / "crossval.json")
        return bool(self._value("refit")) and done["refit"] is None

    def _write_fold_recipe(self, split: Split) -> None:
        """Write the config by which ``dlp fit`` trains this fold alone."""
        if self.run_folder is None or split.num_folds is None:
            return
        facts = copy.deepcopy(self._facts)
        facts["seed_everything"] = torch.initial_seed()
        arguments = facts["data"].get("init_args") or {}
        if split.splitter is None and "num_folds" in arguments:
            for name in ("num_folds", "fold", "repeat"):
                arguments[name] = getattr(split, name)
        folder = fold_folder(self.run_folder.folder, split.repeat, split.fold)
        write_text(folder / "config.yaml", yaml.safe_dump(facts, sort_keys=False))

    # Running -----------------------------------------------------------------------------------

    def _run_subcommand(self, subcommand: str) -> None:
        """Train the folds, here or in several processes; report them once all are done."""
        only = self._value("fold")
        only = [only] if isinstance(only, int) else only
        epochs, trial = self._epochs(), bool(self._value("trainer.fast_dev_run"))
        self.run_folder = None if trial else self._find_folder()
        folder = None if self.run_folder is None else self.run_folder.folder
        try:
            with interruptible():
                if self._value("jobs") > 1 and not trial:
                    self._run_jobs(only)
                self._cross_validate(epochs, only, folder)
        except KeyboardInterrupt as stop:
            stop_again(stop, self._saved())
        except InputError:
            self._forget_empty_run()
            raise
        if trial:
            return
        if self.result.is_complete:
            self._report_folds()
        else:
            say(f"{len(self.result.folds)} of {self.result.num_folds} folds are done")

    def _saved(self) -> str:
        """Return what is kept of a cross-validation that is stopped, and how to go on with it."""
        if self.run_folder is None:
            return ""
        folder = self.run_folder.folder
        done = sum((place / "results.json").is_file() for place in folder.glob("repeat_*/fold_*"))
        return (
            f"{done} {'fold is' if done == 1 else 'folds are'} done in {folder}: the same command "
            "goes on with it."
        )

    def _cross_validate(self, epochs: int, only: Sequence[int] | None, folder: Path | None) -> None:
        self.result = cross_validate(
            self.datamodule,
            self.make_model,
            epochs,
            num_folds=self._num_folds(),
            repeats=self._value("repeats"),
            splitter=self._splitter(),
            make_trainer=self.make_trainer,
            engine=self._value("engine"),
            monitor=self._value("monitor"),
            monitor_mode=self._value("monitor_mode"),
            smoothing=self._value("smoothing"),
            seed=int(self._value("seed_everything") or 0),
            leaky_scaling=self._value("leaky_scaling"),
            refit=self._value("refit") and folder is not None,
            folder=folder,
            baselines=self._value("baselines"),
            only=[0] if folder is None else only,
            on_fold=self.on_fold,
        )

    def _forget_empty_run(self) -> None:
        """Remove the folder of a run that this command began, if nobody trains in it."""
        if self.run_folder is None or not self._is_new:
            return
        used = ("**/history.json", f"**/{LOCK}", "stack_*", "job_*")
        if any(next(self.run_folder.folder.glob(name), None) for name in used):
            return
        for path in self.run_folder.folder.glob("repeat_*"):
            shutil.rmtree(path)
        for path in (self.run_folder.config, self.run_folder.folder / PROTOCOL):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # something else lies there
            self.run_folder.folder.rmdir()

    def _epochs(self) -> int:
        epochs = self._value("trainer.max_epochs")
        if epochs is None or epochs < 1:
            raise InputError("crossval needs --trainer.max_epochs.")
        return int(epochs)

    def _splitter(self) -> Splitter | None:
        return make_splitter(self._value("splitter"))

    def _num_folds(self) -> int:
        given = self._value("num_folds")
        return int(given or self.datamodule.split.num_folds or 4)

    def _run_jobs(self, only: Sequence[int] | None) -> None:
        """Let several processes of this command train the folds of this run."""
        assert self.run_folder is not None
        folder, jobs, splitter = self.run_folder.folder, self._value("jobs"), self._splitter()
        repeats = self._value("repeats")
        folds = plan_folds(self.datamodule, self._num_folds(), repeats, splitter, seed=0)
        places = {
            fold.number: fold_folder(folder, fold.repeat, fold.fold) for fold in chosen(folds, only)
        }

        def done() -> int:
            return sum((place / "results.json").is_file() for place in places.values())

        pending = [number for number, place in places.items() if FoldResult.read(place) is None]
        threads = self._value("threads") or max(1, (os.cpu_count() or 1) // jobs)
        shares = [pending[start::jobs] for start in range(jobs) if pending[start::jobs]]
        here = ["--run_dir", str(folder), "--threads", str(threads)]
        alone = ["--jobs", "1", "--refit", "false", "--new", "false"]
        commands = [
            ["crossval", *self.options, *here, *alone, "--fold", str(share)] for share in shares
        ]
        if commands:
            run_jobs(commands, folder, "folds", len(places), done)

    def _report_folds(self) -> None:
        """Write the numbers and curves of the folds, and say what they mean."""
        assert self.run_folder is not None
        folder = self.run_folder.folder
        name = f"{self.invocation.name}: {self.result.num_folds} folds"
        of, smoothing = self.result, self.result.smoothing or 0.9
        best = (of.monitor, of.best_epoch)
        figure = fold_curves(of.curves, of.spreads, best, smoothing, name)
        with atomic_path(folder / "curves.png") as temporary:
            figure.savefig(temporary, format="png", dpi=110)
        print(f"\n{self.result.table()}\n", flush=True)
        if self.result.refit is not None:
            numbers = ", ".join(
                f"{name} {score_in_words(value)}" for name, value in self.result.refit.items()
            )
            tested = numbers or "not tested, for want of a test part"
            say(f"trained on everything for {self.result.best_epoch} epochs: {tested}")
        else:
            say(self.result.advice())
            if (found := self.result.verdict()) is not None:
                epochs = len(self.result.curves[self.result.monitor])
                say(f"next: {next_steps.after_folds(found, epochs, folder)}")
        if self._value("baselines"):
            of = self.result
            say(fitted_verdict(of.baseline, of.mean, "val", of.directions))
        names = [
            path.name
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        ]
        say(f"wrote {folder}: {', '.join(names)}, and each fold in repeat_R/fold_K/")
