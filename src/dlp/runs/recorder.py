"""Callbacks that record a run: its folder, history, checkpoints, results, curves and mistakes."""

import math
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from lightning import Callback, LightningModule, Trainer

from dlp.callbacks.checkpoints import BestCheckpoint, EpochSeed, LastCheckpoint
from dlp.callbacks.history import History
from dlp.callbacks.mistakes import MistakesReport
from dlp.console import command_text, say, scores_text
from dlp.datamodules.base import Part
from dlp.datamodules.ownership import data_of, data_serving
from dlp.errors import InputError
from dlp.evaluation.verdict import Verdict, divergence, longer, verdict
from dlp.files import remove_temporaries, save_figure, write_text
from dlp.modules.monitor import Mode, monitor_mode
from dlp.modules.supervised import SupervisedModule
from dlp.reader.answer import Answer
from dlp.reader.encoder import Array
from dlp.runs.folder import Origin, Results, Run

#: Packages whose versions influence the numbers.
_PACKAGES = ("torch", "lightning", "torchmetrics", "numpy")


@dataclass(eq=False)
class RunRecorder(Callback):
    """Callback that records a fit, and the test after it, in the folder of a run.

    Pass all of its callbacks to the Trainer: ``Trainer(callbacks=RunRecorder("mine").callbacks)``.
    They write ``metrics.csv``, ``checkpoints/best.ckpt`` and ``last.ckpt``, ``results.json`` and
    ``curves.png``. After a test they also write ``mistakes.json`` with its figures, and
    ``worst.csv``. They seed each epoch, so that a resumed fit gives the same result as one that was
    not interrupted. A fit that fails before its first epoch ends leaves no folder.

    Args:
        name: Name of the runs, which is a folder in ``runs``.
        folder: New or empty folder for the run. None makes the next ``runs/<name>/version_N``.
        run: Run whose fit is continued. None makes a new run when the fit begins. The attribute
            `run` is then the new run.
        monitor: Metric that decides which epoch is the best.
        test_after_fit: Checkpoint that the caller tests after the fit. The next command is then
            printed after the test.
        baselines: Whether to fit simple models for comparison.
        smoothing: Factor of the moving average in the curves.
        seed: Seed of the run, which is written to ``results.json``.
        config: Content of ``config.yaml``. None writes no such file.
        origin: Labels of the configs, by which commands find the run. It is empty for a run from
            Python.
    """

    name: str = "unnamed"
    folder: str | Path | None = None
    run: Run | None = None
    monitor: str = "val_loss"
    test_after_fit: Literal["best", "last"] | None = None
    baselines: bool = False
    smoothing: float = 0.0
    seed: int | None = None
    config: str | None = None
    origin: Origin = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history = History()
        self.mistakes = MistakesReport(self.run.folder if self.run else None)
        self.best = BestCheckpoint(monitor=self.monitor)
        self.last = LastCheckpoint()
        #: Callbacks for the Trainer, in the order in which they must run.
        self.callbacks: list[Callback] = [
            self,
            self.history,
            EpochSeed(),
            self.mistakes,
            self.best,
            self.last,
        ]
        #: Whether an epoch was trained. A resumed fit may have no epoch left.
        self.has_trained = False
        self._mode: Mode = "min"
        self._start = 0.0
        self._next_command = ""

    @property
    def checkpoint_to_test(self) -> Path | None:
        """Path of the checkpoint that `test_after_fit` names, or None if there is none to test."""
        if self.run is None or self.test_after_fit is None:
            return None
        return self.run.checkpoint(self.test_after_fit) or self.run.checkpoint()

    # A fit -------------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the run folder and pass its path to the callbacks that write to it."""
        if stage != "fit":
            return
        if self.history not in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it
            raise InputError(
                "RunRecorder must be passed with all of its callbacks: "
                "Trainer(callbacks=recorder.callbacks)."
            )
        if self.has_trained and trainer.current_epoch == 0:
            raise InputError("a RunRecorder records one fit. Create a new one for another fit.")
        self._start = time.perf_counter()
        self.has_trained = False
        self._mode = monitor_mode(self.monitor, pl_module)
        if self.run is None:
            run = Run(Path())
            if trainer.is_global_zero:
                run = Run.new(self.name, folder=self.folder)
            self.run = trainer.strategy.broadcast(run)
        elif trainer.is_global_zero:
            remove_temporaries(self.run.checkpoints)  # a fit that was killed leaves them
        self.history.folder = self.run.folder
        self.mistakes.folder = self.run.folder
        self.best.mode = self._mode
        for checkpoint in (self.best, self.last):  # their own setup runs after this one
            checkpoint.dirpath = str(self.run.checkpoints.resolve())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the first epoch, write the config and the record, and remove earlier results."""
        if self.run is not None and trainer.is_global_zero and not self.has_trained:
            (self.run.folder / "results.json").unlink(missing_ok=True)  # it describes fewer epochs
            # The record comes first: a folder with a config but no record is a run of 1.2.
            self.run.write_record("fit", self.origin)
            if self.config is not None:
                write_text(self.run.config, self.config)
        self.has_trained = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the results and the curves, and print what the curves show and the next command."""
        if self.run is None or not trainer.is_global_zero:
            return
        if not self.has_trained and (self.run.results() or not self.history.metrics):
            say(
                f"nothing to train: {self.run.folder} already has its {trainer.current_epoch} "
                "epochs; continue with a larger --trainer.max_epochs, or a larger max_steps or "
                "max_time if one of them ended the fit"
            )
            return
        metrics = self.history.metrics
        reading = verdict(metrics.get(self.monitor, []), self._mode)
        best_epoch = None if reading is None else reading.best_epoch
        failure = self._failure(trainer)
        sentence = self._sentence(reading, failure, trainer.current_epoch)
        self._next_command = self._command_after(self.run, reading, failure, trainer.current_epoch)
        if metrics:
            from dlp.visualization.curves import draw_curves

            figure = draw_curves(metrics, best_epoch, self.smoothing)
            save_figure(figure, self.run.folder / "curves.png")
        self.run.add_results(**self._results(trainer, pl_module, best_epoch, sentence))
        say(sentence)
        if self.baselines and "val_loss" in metrics:
            self._compare(trainer, pl_module, "val")
        if self.test_after_fit is None:
            self._say_next()

    def _results(
        self, trainer: Trainer, module: LightningModule, best_epoch: int | None, sentence: str
    ) -> Results:
        """Return the content of ``results.json`` after a fit."""
        metrics = self.history.metrics
        data = data_of(trainer)
        best = {}
        if best_epoch is not None:
            best = {name: curve[best_epoch - 1] for name, curve in metrics.items()}
        versions = {"python": platform.python_version()}
        versions |= {name: version(name) for name in _PACKAGES}
        return {
            "date": f"{datetime.now():%Y-%m-%d %H:%M}",
            "data": None if data is None else data.facts(),
            "monitor": self.monitor,
            "mode": self._mode,
            "best_epoch": best_epoch,
            "best": best,
            "last": {name: curve[-1] for name, curve in metrics.items()},
            "verdict": sentence,
            "parameters": sum(weights.numel() for weights in module.parameters()),
            "seed": self.seed,
            "seconds": {"fit": round(time.perf_counter() - self._start, 3)},
            "versions": versions,
        }

    def _failure(self, trainer: Trainer) -> str | None:
        """Return a clause about a curve that diverged, or None if no curve diverged."""
        metrics = self.history.metrics
        failure = divergence("train_loss", metrics.get("train_loss", []))
        last = trainer.callback_metrics.get(self.monitor, math.nan)
        # In the history, NaN can also mean that an epoch did not log the metric.
        if failure is None and not math.isfinite(last):
            failure = divergence(self.monitor, metrics.get(self.monitor, []))
        return failure

    def _sentence(self, reading: Verdict | None, failure: str | None, epochs: int) -> str:
        """Return the sentence that describes the curves."""
        if reading is None:
            return failure or f"trained up to epoch {epochs}, without validation"
        if failure is not None:
            return f"{failure}; {reading.best_clause(self.monitor)}"
        return reading.sentence(self.monitor, epochs)

    def _command_after(
        self, run: Run, reading: Verdict | None, failure: str | None, epochs: int
    ) -> str:
        """Return the command to run after the fit."""
        if not run.config.is_file():
            return command_text("report", run.folder)
        if reading is None or failure is not None:
            return command_text("predict", "--ckpt_path", run.folder)
        if reading.kind in ("improving", "too_short"):
            command: list[object] = ["fit", "--ckpt_path", run.folder]
            max_epochs = longer(epochs)
        else:
            command = ["fit", "--config", run.config, "--config", "retrain"]
            max_epochs = reading.best_epoch
        return command_text(*command, "--trainer.max_epochs", max_epochs)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the folder if no epoch was trained; otherwise print how to resume the fit."""
        if self.run is None or not trainer.is_global_zero or trainer.state.fn != "fit":
            return
        self.run.remove_if_empty()
        checkpoint = self.run.checkpoint("last")
        if checkpoint is None:
            return
        if self.run.config.is_file():
            say(f"continue with dlp {command_text('fit', '--ckpt_path', self.run.folder)}")
        else:
            say(
                f"continue with trainer.fit(ckpt_path={str(checkpoint)!r}) and RunRecorder(run=...)"
            )

    # A test ------------------------------------------------------------------------------------

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Print the scores of a test and of the baselines, and add them to ``results.json``."""
        if stage != "test" or not trainer.is_global_zero:
            return
        from dlp.evaluation.baselines import AT_HALF, scores_at_half

        scores = stage_scores(trainer, "test")
        half = scores_at_half(pl_module, self.mistakes.gathered)
        say(f"test{at_threshold(pl_module)}: {scores_text(scores)}")
        if half:
            say(f"test{AT_HALF}: {scores_text(half)}")
        data = data_serving(trainer, "test")
        num_rows = self.mistakes.report.get("rows")
        if data is not None:
            num_rows = len(data.examples("test"))
        test = {
            **scores,
            "threshold": self.mistakes.report.get("threshold"),
            "at_0.5": half,
            "rows": num_rows,
            "checkpoint": trainer.ckpt_path and Path(trainer.ckpt_path).name,
            "summary": self.mistakes.report.get("summary", ""),
            "classes": self.mistakes.report.get("classes", []),
            "baselines": self._compare(trainer, pl_module, "test", self.mistakes.gathered),
        }
        if self.run is not None:
            self.run.add_results(test=test)
            if self._next_command and self.test_after_fit:
                self._say_next()

    def _compare(
        self,
        trainer: Trainer,
        module: LightningModule,
        part: Part,
        outputs: Mapping[str, Array] | None = None,
    ) -> dict[str, dict[str, float]]:
        """Print and return the scores of guesses and, if `baselines` is set, of simple models."""
        from dlp.evaluation.baselines import baseline_lines, fitted_scores, guess_scores

        data = data_serving(trainer, part)
        if data is None:
            return {}
        scores = guess_scores(module, data, part)
        if self.baselines and isinstance(module, SupervisedModule):
            scores |= fitted_scores(module, data, part, outputs)
        for line in baseline_lines(scores):
            say(f"{part}: {line}")
        return scores

    def _say_next(self) -> None:
        """Print the next command and the folder."""
        assert self.run is not None  # a fit has set it
        say(f"next: dlp {self._next_command}")
        say(f"wrote {self.run.folder}")


def stage_scores(trainer: Trainer, stage: str) -> dict[str, float]:
    """Return the logged values of a stage (``val`` or ``test``) by name."""
    values = trainer.callback_metrics
    return {name: float(values[name]) for name in values if name.startswith(f"{stage}_")}


def at_threshold(module: LightningModule) -> str:
    """Return text such as ``, threshold 0.3`` for a module. It is empty for a threshold of 0.5."""
    answer = getattr(module, "answer", None)
    if not isinstance(answer, Answer) or answer.threshold == 0.5:
        return ""
    return f", threshold {answer.threshold:.3g}"
