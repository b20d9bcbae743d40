"""The LightningCLI of the project: a DataModule, a module and a Trainer from one recipe."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, with_atomic_checkpoints
from dlp.callbacks.given import (
    check_finetuning,
    listed,
    need_a_logger,
    shown,
    without_validation,
)
from dlp.callbacks.history import History
from dlp.callbacks.mistakes_report import MistakesReport
from dlp.callbacks.predictions import PredictionWriter, RunPredictions
from dlp.callbacks.recipe_file import RecipeFile
from dlp.callbacks.seeding import EpochSeed
from dlp.checkpoints import data_states, read_checkpoint
from dlp.commands import next_steps
from dlp.commands.checkpoint_files import start_from, without_weights
from dlp.commands.invocation import Invocation, found_weights, resolve
from dlp.commands.model_comparison import ModelComparison
from dlp.commands.run_options import FROM_DATA, add_run_options, add_text_option, check_run_options
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.directions import Mode, directions_of, needed_direction
from dlp.errors import InputError
from dlp.evaluation.baselines import baseline_line, baselines_on
from dlp.evaluation.beaten import beaten_on, chosen_threshold
from dlp.evaluation.fitted_baselines import EvaluatedPart
from dlp.files import written
from dlp.parser import Parser, add_config_option, as_texts
from dlp.process import cpu_threads, interruptible, own_random_state, quiet
from dlp.runs.folders import ROOT, Run, claimed, locked
from dlp.runs.origin import origin_line
from dlp.runs.prediction_files import check_place
from dlp.runs.record import add_test, count_parameters, read_results, write_results
from dlp.short_names import SHORT_NAMES as SHORT_NAMES  # so that classes are found
from dlp.stops import stop_again


class DLPCLI(LightningCLI):
    """``dlp fit|validate|test|predict``: LightningCLI plus run folders and checkpoints by name."""

    def __init__(self, invocation: Invocation, stack: ExitStack) -> None:
        self.invocation = invocation
        self.stack = stack
        self.run_folder: Run | None = invocation.run
        self.history = History()
        self.last: LastCheckpoint | None = None
        self._checkpoint_read: dict[str, Any] | None = None
        super().__init__(
            model_class=LightningModule,
            datamodule_class=SupervisedDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            trainer_defaults={"logger": False, "num_sanity_val_steps": 0},
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"prog": "dlp", "allow_abbrev": False},
            args=invocation.args,
            auto_configure_optimizers=False,
        )

    @classmethod
    def run(cls, args: Sequence[str]) -> "DLPCLI":
        """Run a command line and return the object that ran it (its trainer, run and history)."""
        with ExitStack() as stack:
            stack.enter_context(quiet())
            stack.enter_context(own_random_state())
            return cls(resolve(args), stack)

    def __deepcopy__(self, memo: dict[int, Any]) -> "DLPCLI":
        """Return itself: the optimizer factory of a model leads here, and copies of it may too."""
        return self

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Go into another process as None: a model that is sent there needs no command."""
        return type(None), ()

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override] # static in Lightning
        """Return the command of this invocation alone: each parser takes time to build."""
        command = self.invocation.command
        return {command: LightningCLI.subcommands()[command]}

    # Parsing -----------------------------------------------------------------------------------

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:  # the signature it overrides
        """Return the parser of one command."""
        kwargs.setdefault("allow_abbrev", False)
        parser = self.parser_class(**kwargs)
        add_config_option(parser)
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run, and take the sizes of the model from the data."""
        add_run_options(parser)
        if self.invocation.command == "predict":
            add_text_option(parser)
        for name in FROM_DATA:
            parser.link_arguments(
                "data",
                f"model.init_args.{name}",
                compute_fn=self._reader(name),
                apply_on="instantiate",
            )

    def _reader(self, name: str) -> Any:
        def read(data: SupervisedDataModule) -> Any:
            self._restore(data)
            return getattr(data, name)

        return read

    def _restore(self, data: SupervisedDataModule) -> None:
        """Give the data what the checkpoint's run learned from its training part."""
        data.dry_run = bool(self._value("trainer.fast_dev_run"))
        if self._trains_on_all and data.split != data.split.refit():
            data.resplit(data.split.refit())
        if self.invocation.checkpoint is None or self._checkpoint_read is not None:
            return
        path = self.invocation.checkpoint
        self._checkpoint_read = read_checkpoint(path)
        states = data_states(self._checkpoint_read)
        name = type(data).__qualname__
        if name in states:
            data.load_state_dict(states[name])
        elif states:
            raise InputError(
                f"{path} was trained on {next(iter(states))}, and the data here is {name}, which "
                "would treat its inputs in another way. Give the run's own --data class."
            )

    @property
    def _trains_on_all(self) -> bool:
        """Whether the validation rows are trained on too."""
        return bool(self._value("refit"))

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; `args` never mixes with those of the process."""
        self.config = as_texts(parser.parse_args(args))

    def _value(self, key: str) -> Any:
        """Return the parsed value of a key of the command."""
        return self.config[self.config.subcommand].get(key)

    # Building ----------------------------------------------------------------------------------

    def before_instantiate_classes(self) -> None:
        """Settle where the run's files go, and how many threads there are."""
        settings = self.config[self.subcommand]
        check_run_options(settings, self.invocation)
        self.check_output()
        if settings.threads is not None:
            self.stack.enter_context(cpu_threads(settings.threads))
        if settings.init_from and self.subcommand == "fit" and self.invocation.checkpoint is None:
            settings.init_from = found_weights(
                settings.init_from, self.invocation.name, bool(settings.trainer.fast_dev_run)
            )

    def check_output(self) -> None:
        """Check the place for predictions, before any data is read."""
        if output := self._value("output"):
            if self.subcommand != "predict":
                raise InputError(f"--output is where predict writes; {self.subcommand} has none.")
            check_place(Path(output))

    def instantiate_classes(self) -> None:
        """Build the classes; pretrained weights are not fetched where a checkpoint has them."""
        settings = self.config[self.subcommand]
        comes = self.invocation.checkpoint or (self.subcommand == "fit" and settings.init_from)
        if self.subcommand == "fit":
            of = origin_line([str(path) for path in self._value("config") or ()])
            self.recipe = of + self._recipe()  # now: it names the weights, fetched or not
        with without_weights(settings.model, bool(comes), bool(settings.trainer.fast_dev_run)):
            super().instantiate_classes()
        self._restore(self.datamodule)  # a model of one's own has asked for no sizes
        if self.subcommand == "fit":
            needed_direction(
                self._value("monitor"), directions_of(self.model) | self._given_directions
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # the signature it overrides
        """Build the Trainer with the callbacks of a run, and its files in the run's folder."""
        trainer = self.config_init[self.subcommand].trainer
        given = listed(trainer.callbacks)
        check_finetuning(given, self.model)
        bar, summary = trainer.enable_progress_bar, trainer.enable_model_summary
        callbacks = [EpochSeed(), *shown(given, bar is not False, summary is not False)]
        if not trainer.fast_dev_run:
            callbacks += self._run_callbacks()
            callbacks += self._test_callbacks(given)
            if self.run_folder is not None:
                kwargs.setdefault("default_root_dir", str(self.run_folder.folder))
        if trainer.logger is False and need_a_logger(given):
            kwargs["logger"] = CSVLogger(kwargs.get("default_root_dir", "."))
        given = without_validation(given) if self._trains_on_all else given
        kwargs["callbacks"] = [*given, *callbacks]
        kwargs["plugins"] = with_atomic_checkpoints(trainer.plugins)
        try:
            return super().instantiate_trainer(**kwargs)
        except (ValueError, MisconfigurationException) as error:  # of the Trainer's own checks
            raise InputError(f"trainer: {error}") from error

    def _run_callbacks(self) -> list[Callback]:
        """Return the callbacks that write into a run's folder; make one where it is needed."""
        if self.subcommand == "predict" and self._value("output"):
            return [PredictionWriter(Path(self._value("output")))]
        if self.subcommand in ("validate", "test"):
            return []
        self.run_folder = self._claim_folder()
        folder = self.run_folder.folder
        if self.subcommand == "predict":
            if self._value("data.init_args.predict_texts"):
                return [PredictionWriter(None)]
            source = self._value("data.init_args.predict_path")
            return [RunPredictions(folder, source, self.invocation.checkpoint)]
        self.history = History(folder, self._given_directions)
        files = [RecipeFile(self.run_folder.config, self.recipe), self.history]
        if self._value("trainer.enable_checkpointing") is False:
            return files
        checkpoints = folder / "checkpoints"
        self.last = LastCheckpoint(checkpoints)
        best = BestCheckpoint(checkpoints, self._value("monitor"), self._value("monitor_mode"))
        return [*files, best, self.last]

    @property
    def _given_directions(self) -> dict[str, Mode]:
        mode: Mode | None = self._value("monitor_mode")
        return {} if mode is None else {self._value("monitor"): mode}

    def _test_callbacks(self, given: Sequence[Callback]) -> list[Callback]:
        """Return what writes down the mistakes of a test, where there is a run to write into."""
        tests = self.subcommand in ("test", "validate") or self._trains_on_all
        tests = tests or self._value("test_after_fit")
        if self.run_folder is None or not tests:
            return []
        has_one = any(isinstance(one, MistakesReport) for one in given)
        return [] if has_one else [MistakesReport(self.run_folder.folder)]

    def _claim_folder(self) -> Run:
        given, run = self._value("run_dir"), self.run_folder
        if getattr(rank_zero_only, "rank", 0):  # the first process has one; this one writes nothing
            return run or Run(Path(given or ROOT / self.invocation.name / "of_another_process"))
        if run is None:
            return self.stack.enter_context(claimed(given, self.invocation.name))
        if self.subcommand == "fit":
            self.stack.enter_context(locked(run))
        return run

    def after_instantiate_classes(self) -> None:
        """Hand the checkpoint to the Trainer's method: Lightning must not parse it as a config."""
        settings = self.config_init[self.subcommand]
        settings["ckpt_path"] = self.invocation.checkpoint and str(self.invocation.checkpoint)
        settings["weights_only"] = True
        if self.subcommand == "predict":
            settings["return_predictions"] = False

    # Running -----------------------------------------------------------------------------------

    def fit(self, model: LightningModule, **kwargs: Any) -> None:  # the arguments of Trainer.fit
        """Train, then write results and curves, and test if the recipe says so."""
        if (given := self._value("init_from")) and self.invocation.checkpoint is None:
            start_from(model, self.datamodule, given)
        if self.run_folder is None or self._value("trainer.fast_dev_run"):
            self.trainer.fit(model, **kwargs)
            return
        which = self._value("test_after_fit")
        if self._trains_on_all:
            which = "last" if self.datamodule.has_test else None
            held = "the test part is held back" if which else "there is no test part to hold back"
            say(f"refit: training on all {len(self.datamodule.inputs('train')):,} rows; {held}")
        elif which:
            self.datamodule.examples("test")  # said before training, if there is no test part
        before, start = self.run_folder.recorded_at, time.perf_counter()
        there = written(self.run_folder.folder)
        try:
            with interruptible():
                self.trainer.fit(model, **kwargs)
            seconds = time.perf_counter() - start
            # What other processes have is no run's folder: all take that of the first.
            folder = Path(self.trainer.strategy.broadcast(str(self.run_folder.folder)))
            self.run_folder = Run(folder)
            self._report(self.run_folder, seconds, self.run_folder.recorded_at != before)
        except KeyboardInterrupt as stop:
            stop_again(stop, next_steps.after_stop(self.last))
        if which:
            path = self.run_folder.checkpoint(which) or self.run_folder.checkpoint()
            given = None if path is None else str(path)  # without checkpoints: as it is now
            self.test(model, datamodule=self.datamodule, ckpt_path=given, weights_only=True)
        if names := [name for name, when in written(folder).items() if when != there.get(name)]:
            say(f"wrote {folder}: {', '.join(names)}")

    @rank_zero_only
    def _report(self, run: Run, seconds: float, has_trained: bool) -> None:
        """Write the results and curves of a fit, and say what they mean."""
        monitor, folder = self._value("monitor"), run.folder
        earlier = read_results(folder)
        if earlier and not has_trained:
            epochs = self.trainer.current_epoch
            say(
                f"nothing to train: {folder} has its {epochs} epochs already; give "
                f"--trainer.max_epochs {2 * epochs} to go on with it"
            )
            return
        if "test" in earlier:
            say("the numbers of the earlier test are no longer those of this model: test again")
        took = {"prepare": round(self.datamodule.prepare_seconds, 3), "fit": round(seconds, 3)}
        facts: dict[str, Any] = {
            "parameters": count_parameters(self.model),
            "train_rows": len(self.datamodule.inputs("train")),
            "device": str(self.trainer.strategy.root_device),
            "seconds": took,
        }
        best = self.history.best_epoch(monitor)
        beside = beaten_on(self.model, self.datamodule, self.history.at(best) if best else {})
        facts["beats_baseline"] = None if beside is None else beside.beats
        threshold = chosen_threshold(self.model, Run(folder).checkpoint())
        facts["threshold"] = threshold
        write_results(folder, self.history, monitor, self._value("seed_everything"), facts)
        from dlp.visualization.curves import write_curves  # Matplotlib: not for the help

        write_curves(folder, self.history, monitor, self._value("smoothing"))
        say(self.history.advice(monitor))
        if beside is not None and not beside.beats:
            say(beside.line)
        if threshold is not None:
            say(f"threshold {threshold:.4g}, chosen on the validation part, for test and predict")
        if self._value("baselines"):
            self._baselines.say(self.history.at(best or self.history.num_epochs), "val", folder)
        if found := self.history.verdict(monitor):
            epochs, configs = self.history.num_epochs, self.invocation.configs or (run.config,)
            say(f"next: {next_steps.after_fit(found, epochs, configs, run.checkpoint('last'))}")

    @cached_property
    def _baselines(self) -> ModelComparison:
        parts: list[EvaluatedPart] = ["test" if self.subcommand == "test" else "val"]
        if self.subcommand == "fit" and self._value("test_after_fit"):
            parts.append("test")
        return ModelComparison(self.model, self.datamodule, parts)

    def test(self, model: LightningModule, **kwargs: Any) -> None:  # the arguments of Trainer.test
        """Test, say what guessing would give, and keep the numbers in the run's results.json.

        Raises:
            InputError: There is no test part.
        """
        path = kwargs.get("ckpt_path")
        if path and not self.datamodule.has_test:
            instead = next_steps.command("validate", "--ckpt_path", path)
            raise InputError(
                f"there is no test part. {self.datamodule.test_advice} The validation part is "
                f"evaluated by: {instead}"
            )
        self._keep(self.trainer.test(model, **kwargs)[0], "test", path)

    def validate(self, model: LightningModule, **kwargs: Any) -> None:  # as Trainer.validate
        """Validate, as `test` tests; a trial of a recipe without validation has nothing to try."""
        if self._value("trainer.fast_dev_run") and not len(self.datamodule.examples("val").rows):
            say("there is no validation part: nothing to validate")
            return
        self._keep(self.trainer.validate(model, **kwargs)[0], "validation", kwargs["ckpt_path"])

    def _keep(
        self,
        metrics: Mapping[str, float],
        name: Literal["test", "validation"],
        checkpoint: str | None,
    ) -> None:
        if self._value("trainer.fast_dev_run"):
            return
        part: EvaluatedPart = "test" if name == "test" else "val"
        if found := baselines_on(self.model, self.datamodule, part):
            say(baseline_line(found))
        if getattr(rank_zero_only, "rank", 0):
            return
        folder = None if self.run_folder is None else self.run_folder.folder
        if self._value("baselines"):
            found |= self._baselines.say(metrics, part, folder)
        if folder is not None:
            add_test(folder, metrics, checkpoint, found, name)

    def _recipe(self, without: Sequence[str] = ()) -> str:
        """Return the complete config as YAML, without what belongs to this command alone."""
        config = self.config[self.subcommand].clone()
        for name in ("config", "ckpt_path", "run_dir", "weights_only", *without):
            config.pop(name, None)
        parser = self._parser(self.subcommand)
        return str(parser.dump(config, skip_unset=False))
