"""Parser of the commands on a config: its keys, the options of a run, the classes it knows."""

import re
from typing import Any, Literal

import yaml
from jsonargparse import get_loader, set_loader
from jsonargparse.typing import ClosedUnitInterval, PositiveInt
from lightning import Callback, LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from torch.optim import Optimizer

from dlp import callbacks, datamodules, modules
from dlp.datamodules import SupervisedDataModule
from dlp.modules import SupervisedModule
from dlp.recipes.invocation import Invocation
from dlp.recipes.parse_errors import ShortErrors, arguments

#: Attributes of a DataModule that are arguments of a module.
SIZES = ("input_shape", "num_outputs", "target_mean", "target_std", "target_transform")
#: Packages whose classes have short names.
_PACKAGES = (datamodules, modules, callbacks)
#: Name of the parser mode of the project; that of other parsers in the process stays as it is.
MODE = "dlp"


def _load_yaml(text: str) -> Any:
    """Load a value; PyYAML fails with a TypeError on the text ``?``."""
    try:
        return get_loader("yaml")(text)
    except TypeError as error:
        raise yaml.YAMLError(str(error)) from error


set_loader(MODE, _load_yaml, (yaml.YAMLError,))


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
        for package in _PACKAGES:
            keys += package.__all__  # also those that are not imported
        return keys


def subclasses(base: type) -> list[type]:
    """Return a class and those derived from it, as far as they are imported."""
    classes = [base]
    derived: list[type] = base.__subclasses__()
    for class_ in derived:
        classes += subclasses(class_)
    return classes


def run_options(
    run_dir: str | None = None,
    monitor: str = "val_loss",
    test_after_fit: Literal["best", "last"] | None = None,
    refit: bool = False,
    init_from: str | None = None,
    baselines: bool = False,
    ensemble: PositiveInt = 1,
    threads: PositiveInt | None = None,
    compile: bool = False,
    smoothing: ClosedUnitInterval = 0.0,
) -> None:
    """Name the options of a run, for the parser.

    Args:
        run_dir: Folder of the run, new or empty.
        monitor: Metric of the best epoch.
        test_after_fit: Checkpoint to test after a fit.
        refit: Whether to train on all rows but the test part.
        init_from: Config or path of a run whose weights are the first.
        baselines: Whether to fit simple models to compare with.
        ensemble: Number of networks whose predictions are averaged.
        threads: Number of CPU threads of torch while the command, or in Python the recipe's
            Trainer, runs; None is one for dense nets of at most 256 units a layer on a CPU, the
            fastest there, and torch's own number for others.
        compile: Whether to compile the model by ``torch.compile``.
        smoothing: Factor of the moving average of curves.
    """


def import_classes(invocation: Invocation) -> None:
    """Import the project's classes that are named; jsonargparse knows imported classes alone."""
    texts = [path.read_text("utf-8") for path in invocation.configs]
    names = set(re.findall(r"\w+", " ".join(texts + invocation.args)))
    for package in _PACKAGES:
        for name in names.intersection(package.__all__):
            getattr(package, name)
