"""Callbacks of Lightning's four commands, with the checks that need data and model."""

from pathlib import Path
from typing import TYPE_CHECKING

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from dlp import callbacks as own_callbacks
from dlp.callbacks import BestCheckpoint, EpochSeed, LastCheckpoint
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.modules.monitor import monitor_mode
from dlp.runs.folder import find_checkpoint, runs_of
from dlp.runs.restoring import start_from

if TYPE_CHECKING:
    from dlp.lightning_cli.dlp_cli import DlpCLI


class RunConfig(SaveConfigCallback):
    """Writer of ``config.yaml`` at the end of an epoch: a fit that fails before changes nothing."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Wait for the first epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file once; Lightning would write it to the folder of a logger."""
        if trainer.is_global_zero and not self.already_saved:
            path = Path(trainer.default_root_dir) / self.config_filename
            self.parser.save(self.config, str(path), skip_none=False, overwrite=True)
            self.already_saved = True


def fit_callbacks(cli: "DlpCLI", saves: bool) -> list[Callback]:
    """Return the callbacks of a fit; its folder is created when all arguments are checked."""
    options, data = cli.options, cli.datamodule
    mode = monitor_mode(options.monitor, getattr(cli.model, "metric_modes", None))
    is_ours = isinstance(data, SupervisedDataModule)
    cli.test_after_fit = options.test_after_fit
    if options.refit and is_ours:
        cli.test_after_fit = "last" if data.has("test") else None
    elif cli.test_after_fit and is_ours:
        data.inputs("test")  # its errors before the training: no test part, wrong cells
    if options.init_from and cli.checkpoint is None:
        source, overlays = options.init_from, "".join(cli.name.partition("+")[1:])
        name = source + overlays if runs_of(source + overlays) else source
        path = find_checkpoint(source if Path(source).exists() else None, name)
        say(f"starting from the weights of {path}")
        start_from(cli.model, path)
    folder = cli.run.folder
    cli.history.folder = folder
    callbacks: list[Callback] = [cli.history, EpochSeed()]
    has_monitor = not (options.monitor.startswith("val_") and is_ours and not data.has("val"))
    if saves and has_monitor:
        callbacks.append(BestCheckpoint(folder / "checkpoints", options.monitor, mode))
    if saves:
        callbacks.append(LastCheckpoint(folder / "checkpoints"))
    return [*callbacks, own_callbacks.MistakesReport(folder)] if cli.test_after_fit else callbacks


def evaluation_callbacks(cli: "DlpCLI") -> list[Callback]:
    """Return the callbacks of a test or a prediction."""
    assert cli.checkpoint is not None  # without one a command ends before
    run, data = cli.checkpoint_run, cli.datamodule
    if cli.command == "test" and run is not None:
        return [own_callbacks.MistakesReport(run.folder)]
    if cli.command != "predict" or not isinstance(data, SupervisedDataModule):
        return []
    arguments, output = cli.options.data.init_args, cli.options.output
    if output or arguments.get("predict_texts"):  # texts are printed
        return [own_callbacks.PredictionWriter(output and Path(output))]
    source = arguments.get("predict_path")
    name = f"predictions_{Path(source).stem}.csv" if source else "predictions.csv"
    folder = cli.checkpoint.parent if run is None else run.folder
    return [own_callbacks.PredictionWriter(folder / name)]
