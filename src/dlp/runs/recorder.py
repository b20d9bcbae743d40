"""A run as one callback: its folder, history, checkpoints, results, curves and mistakes."""

import time
from pathlib import Path
from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from dlp.callbacks.history import History
from dlp.callbacks.seeding import EpochSeed
from dlp.console import say, scores_text
from dlp.datamodules.base import SupervisedDataModule
from dlp.evaluation.verdict import Verdict, divergence, longer, verdict
from dlp.files import save_figure, write_text
from dlp.modules.monitor import Mode, monitor_mode
from dlp.runs.folder import Run, empty_run, new_run, run_of, versions


class RunRecorder(Checkpoint):
    """Recorder of a fit and of its test in the folder of a run.

    It writes ``metrics.csv``, ``checkpoints/best.ckpt`` and ``last.ckpt``, ``results.json``,
    ``curves.png`` and, after a test, ``mistakes.json`` with its figures and ``worst.csv``. It seeds
    each epoch, so that a resumed fit equals an unbroken one. A fit that never began leaves no
    folder.

    Args:
        name: Name of the runs, below ``runs``.
        folder: New or empty folder of the run; None is the next ``runs/<name>/version_N``.
        is_resumed: Whether the folder is that of a run whose fit goes on.
        monitor: Metric of the best epoch.
        test_after_fit: Checkpoint that the caller tests after the fit; the next command is printed
            after that.
        baselines: Whether simple models are fitted to compare with.
        smoothing: Factor of the moving average of the curves.
        tracker: Tracker whose files lie in the folder: csv, tensorboard, mlflow, wandb.
        seed: Seed of the run, for ``results.json``.
        config: Content of ``config.yaml``; None writes none.
        save_checkpoints: Whether checkpoints are written.
    """

    def __init__(
        self,
        name: str = "unnamed",
        folder: str | Path | None = None,
        *,
        is_resumed: bool = False,
        monitor: str = "val_loss",
        test_after_fit: Literal["best", "last"] | None = None,
        baselines: bool = False,
        smoothing: float = 0.0,
        tracker: str | None = None,
        seed: int | None = None,
        config: str | None = None,
        save_checkpoints: bool = True,
    ) -> None:
        self.name = name
        self.is_resumed = is_resumed
        self.monitor = monitor
        self.test_after_fit = test_after_fit
        self.baselines = baselines
        self.smoothing = smoothing
        self.tracker = tracker
        self.seed = seed
        self.config = config
        self.save_checkpoints = save_checkpoints
        self.history = History()
        #: Run in whose folder the files lie; None until a fit or test begins.
        self.run: Run | None = None
        #: Whether an epoch was trained: a resumed fit may have none left.
        self.has_trained = False
        self._folder = None if folder is None else Path(folder)
        self._mode: Mode = "min"
        self._reading: Verdict | None = None
        self._diverged: str | None = None
        self._start = 0.0
        self._has_report = False

    @property
    def best_model_path(self) -> str:
        """Path of the best checkpoint, else of the last one; empty without a checkpoint."""
        path = None if self.run is None else self.run.checkpoint()
        return "" if path is None else str(path)

    @property
    def checkpoint_to_test(self) -> Path | None:
        """Checkpoint that ``test_after_fit`` names, once epochs were trained."""
        if self.run is None or self.test_after_fit is None or not self.has_trained:
            return None
        return self.run.checkpoint(self.test_after_fit) or self.run.checkpoint()

    # A fit -------------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Open the folder, and add the callbacks that write into it."""
        if stage != TrainerFn.FITTING:
            return
        self._start = time.perf_counter()
        self.has_trained = False
        self._mode = monitor_mode(self.monitor, getattr(pl_module, "metric_modes", None))
        if self.run is not None:  # another fit of the same Trainer
            return
        opened = self._open_folder() if trainer.is_global_zero else Path()
        self.run = Run(trainer.strategy.broadcast(opened))
        self.history.folder = self.run.folder
        callbacks = callbacks_of(trainer)  # Lightning calls the setup of added ones after this
        callbacks += [self.history, EpochSeed()]
        folder = self.run.folder / "checkpoints"
        if self.save_checkpoints and self._is_validated(trainer):
            callbacks.append(BestCheckpoint(folder, self.monitor, self._mode))
        if self.save_checkpoints:
            callbacks.append(LastCheckpoint(folder))
        if self.tracker is not None:
            from dlp.runs.trackers import build_logger

            trainer.logger = build_logger(self.tracker, self.name, self.run.folder)

    def _open_folder(self) -> Path:
        """Create the folder of the run; that of the checkpoint that is resumed is there."""
        if self._folder is None:
            return new_run(self.name).folder
        if self.is_resumed:
            return self._folder
        return empty_run(self._folder).folder

    def _is_validated(self, trainer: Trainer) -> bool:
        """Return True if the monitor is measured."""
        data: Any = getattr(trainer, "datamodule", None)
        if not self.monitor.startswith("val_") or not isinstance(data, SupervisedDataModule):
            return True
        return data.has("val")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that epochs are left to train."""
        self.has_trained = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``config.yaml``: a fit that fails in its first epoch changes nothing."""
        if self.run is not None and self.config is not None and trainer.is_global_zero:
            write_text(self.run.config, self.config)
            self.config = None

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write results and curves, print the reading of the curve and the next command."""
        if self.run is None or not trainer.is_global_zero:
            return
        epochs = trainer.current_epoch
        if not self.has_trained and self.run.results():
            say(
                f"nothing to train: {self.run.folder} has its {epochs} epochs; go on by "
                f"--trainer.max_epochs {longer(epochs)}"
            )
            return
        self._reading = verdict(self.history.metrics.get(self.monitor, []), self._mode)
        self._diverged = self._divergence(trainer)
        self._write_results(self.run, pl_module, epochs)
        if self.baselines and "val_loss" in self.history.metrics:
            self._compare(trainer, pl_module, "val")
        if self.test_after_fit is None:
            self._say_next(trainer, is_tested=False)

    def _divergence(self, trainer: Trainer) -> str | None:
        """Return the sentence about a loss or monitor that stayed NaN or infinite."""
        metrics = self.history.metrics
        sentence = divergence("train_loss", metrics.get("train_loss", []))
        if sentence is None and trainer.check_val_every_n_epoch == 1:  # else NaN is a gap
            sentence = divergence(self.monitor, metrics.get(self.monitor, []))
        return sentence

    def _write_results(self, run: Run, module: LightningModule, epochs: int) -> None:
        metrics = self.history.metrics
        best_epoch: int | None = None
        best: dict[str, float] = {}
        if self._reading is not None:
            sentence = self._reading.sentence(self.monitor, epochs)
            best_epoch = self._reading.best_epoch
            best = {name: curve[best_epoch - 1] for name, curve in metrics.items()}
        else:
            sentence = f"trained {epochs} epochs"
            if self.monitor not in metrics:
                sentence += " without validation"
        if self._diverged is not None:
            sentence = self._diverged
            if self._reading is not None:
                sentence += f"; {self._reading.best_clause(self.monitor)}"
        run.write_results(
            monitor=self.monitor,
            mode=self._mode,
            modes=getattr(module, "metric_modes", {}),
            best_epoch=best_epoch,
            best=best,
            last={name: curve[-1] for name, curve in metrics.items()},
            verdict=sentence,
            parameters=sum(weights.numel() for weights in module.parameters()),
            seed=self.seed,
            seconds={"fit": round(time.perf_counter() - self._start, 3)},
            versions=versions(),
        )
        if metrics:
            from dlp.visualization.curves import draw_curves

            figure = draw_curves(metrics, best_epoch, self.smoothing)
            save_figure(figure, run.folder / "curves.png")
        say(sentence)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the folder of a fit that never began; print how to resume one that stopped."""
        if self.run is None or not trainer.is_global_zero:
            return
        self.run.remove_if_empty()
        is_stop = isinstance(exception, KeyboardInterrupt | SystemExit | OSError)
        if is_stop and self.run.checkpoint("last") is not None:
            say(f"go on by dlp fit --ckpt_path {self.run.folder}")

    # A test ------------------------------------------------------------------------------------

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the report of mistakes, in the run of the fit or of the checkpoint."""
        if self.run is None and trainer.ckpt_path is not None:
            self.run = run_of(Path(trainer.ckpt_path))
        if self.run is not None and not self._has_report:
            from dlp.callbacks.mistakes import MistakesReport

            callbacks_of(trainer).append(MistakesReport(self.run.folder))
            self._has_report = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Print the scores of a test beside those of baselines; add them to ``results.json``."""
        if stage != TrainerFn.TESTING or not trainer.is_global_zero:
            return
        scores = stage_scores(trainer, "test")
        say(f"test: {scores_text(scores)}")
        baselines = self._compare(trainer, pl_module, "test")
        if self.run is None:
            return
        data: Any = getattr(trainer, "datamodule", None)
        is_ours = isinstance(data, SupervisedDataModule)
        test = {
            **scores,
            "rows": len(data.examples("test")) if is_ours else None,
            "checkpoint": Path(trainer.ckpt_path).name if trainer.ckpt_path else None,
            "baselines": baselines,
        }
        self.run.write_results(**{**self.run.results(), "test": test})
        if self.has_trained:
            self._say_next(trainer, is_tested=True)

    def _compare(
        self, trainer: Trainer, module: LightningModule, part: Literal["val", "test"]
    ) -> dict[str, dict[str, float]]:
        """Print and return the scores of guesses and, if asked for, of fitted models."""
        from dlp.evaluation.baselines import baseline_lines, fitted_scores, guess_scores

        data: Any = getattr(trainer, "datamodule", None)
        if not isinstance(data, SupervisedDataModule):
            return {}
        scores = guess_scores(module, data, part)
        if self.baselines:
            scores |= fitted_scores(module, data, part)
        for line in baseline_lines(scores):
            say(line)
        return scores

    def _say_next(self, trainer: Trainer, is_tested: bool) -> None:
        """Print the command that follows, and the files."""
        assert self.run is not None  # of a fit
        folder = self.run.folder
        reading = self._reading
        if reading is None or self._diverged is not None:
            command = f"{'predict' if is_tested else 'test'} --ckpt_path {folder}"
        elif reading.kind in ("improving", "too_short"):
            epochs = longer(len(self.history.metrics[self.monitor]))
            command = f"fit --ckpt_path {folder} --trainer.max_epochs {epochs}"
        else:
            command = f"fit --config {self.run.config} --config retrain"
            command += f" --trainer.max_epochs {reading.best_epoch}"
        say(f"next: dlp {command}")
        say(f"wrote {folder}: {self.run.files()}")


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the list of the callbacks of a Trainer."""
    callbacks: list[Callback] = getattr(trainer, "callbacks")  # noqa: B009  # mypy sees no list
    return callbacks


def stage_scores(trainer: Trainer, stage: str) -> dict[str, float]:
    """Return the logged values of a stage, by name."""
    scores = {}
    for name, value in trainer.callback_metrics.items():
        if name.startswith(f"{stage}_"):
            scores[name] = float(value)
    return scores
