"""Parser of the commands on a config: its keys, the options of a run, the classes it knows."""

from collections.abc import Collection
from typing import Any, Literal

import yaml
from jsonargparse import get_loader, set_loader
from jsonargparse.typing import ClosedUnitInterval, PositiveInt
from lightning import Callback, LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from torch.optim import Optimizer

from dlp import callbacks, datamodules, modules
from dlp.datamodules import SupervisedDataModule
from dlp.lightning_cli.parse_errors import ShortErrors, arguments
from dlp.modules import SupervisedModule

#: Attributes of a DataModule that are arguments of a module.
SIZES = ("input_shape", "num_outputs", "target_mean", "target_std", "target_transform")
set_loader("yaml", get_loader("yaml"), (yaml.YAMLError, TypeError))  # fails on the text "?"


class Parser(ShortErrors, LightningArgumentParser):
    """LightningCLI's parser with errors of one sentence."""

    def keys(self) -> list[str]:
        """Return the keys of all options and imported classes, and the names of the classes."""
        keys = super().keys()
        for class_ in subclasses(SupervisedDataModule):
            keys += [f"data.{name}" for name in arguments(class_)]
        for class_ in subclasses(SupervisedModule):
            keys += [f"model.{name}" for name in arguments(class_) if name not in SIZES]
        keys.append("model.optimizer.lr")
        for base in (Callback, LightningDataModule, LightningModule, Optimizer):
            keys += [class_.__name__ for class_ in subclasses(base)]
        return keys


def subclasses(base: type) -> list[type]:
    """Return a class and those derived from it, as far as they are imported."""
    classes = [base]
    derived: list[type] = base.__subclasses__()
    for class_ in derived:
        classes += subclasses(class_)
    return classes


def add_run_options(
    parser: LightningArgumentParser, command: str, skip: Collection[str] = ()
) -> None:
    """Add the options of a run."""
    options: list[tuple[str, Any, Any, str]] = [
        ("run_dir", str | None, None, "Folder of the run, new or empty."),
        ("monitor", str, "val_loss", "Metric of the best epoch."),
        ("test_after_fit", Literal["best", "last"] | None, None, "Checkpoint to test after a fit."),
        ("refit", bool, False, "Whether to train on all rows but the test part."),
        ("init_from", str | None, None, "Config or path of a run whose weights are the first."),
        ("baselines", bool, False, "Whether to fit simple models to compare with."),
        ("threads", PositiveInt | None, None, "Number of CPU threads of torch."),
        ("logger", Literal["csv", "tensorboard", "mlflow", "wandb"] | None, None, "Add a tracker."),
        ("smoothing", ClosedUnitInterval, 0.0, "Factor of the moving average of curves."),
    ]
    if command == "predict":
        options.append(("output", str | None, None, "File of the predictions."))
        options.append(("text", str | None, None, "Text to predict; can be given several times."))
    for name, kind, default, text in options:
        if name not in skip:
            parser.add_argument(f"--{name}", type=kind, default=default, help=text)


def import_classes(names: set[str]) -> None:
    """Import the project's classes that are named; jsonargparse knows imported classes alone."""
    for package in (datamodules, modules, callbacks):
        for name in names & {*package.__all__}:
            getattr(package, name)
