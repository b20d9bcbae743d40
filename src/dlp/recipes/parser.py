"""Parser of the commands on a config: its keys, the options of a run, the classes it finds."""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import yaml
from jsonargparse import Namespace, get_loader, set_loader
from jsonargparse.typing import ClosedUnitInterval, PositiveInt
from lightning import Callback, LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from torch.optim import Optimizer

from dlp import callbacks, datamodules, modules
from dlp.datamodules import SupervisedDataModule
from dlp.modules import SupervisedModule
from dlp.recipes.parse_errors import ShortErrors, arguments

#: Commands that go on with a run, or use its model.
OF_RUNS = ("fit", "validate", "test", "predict")
#: Attributes of a DataModule that are arguments of a module.
SIZES = ("input_shape", "num_outputs", "target_mean", "target_std", "target_transform")
#: Content of a config, words of a command line, or values by key.
Layer = dict[str, object] | list[str]
#: Packages whose classes have short names.
_PACKAGES = (datamodules, modules, callbacks)
#: Name of the parser mode of the project; other parsers in the process keep theirs.
MODE = "dlp"


def _load_yaml(text: str) -> object:
    """Load a value; PyYAML fails with a TypeError on the text ``?``."""
    try:
        return get_loader("yaml")(text)
    except TypeError as error:
        raise yaml.YAMLError(str(error)) from error


set_loader(MODE, _load_yaml, (yaml.YAMLError,))


class Parser(ShortErrors, LightningArgumentParser):
    """LightningCLI's parser with errors of one sentence."""

    required = dict.fromkeys(("data", "model"), "A config has it: --config NAME.")
    #: Whether the last layer is parsed; before it, required values may be missing.
    _is_all = True

    def parse(self, layers: Sequence[Layer]) -> Namespace:
        """Parse layers, each laid over those before; all are checked together."""
        config = Namespace()  # type: ignore[no-untyped-call]  # of jsonargparse
        for number, layer in enumerate(layers, 1):
            self._is_all = number == len(layers)
            if isinstance(layer, list):
                config = self.parse_args(layer, namespace=config, defaults=self._is_all)
            else:
                config = self.parse_object(layer, namespace=config, defaults=self._is_all)
        return config

    def validate(self, *args: object, **kwargs: object) -> None:
        """Check types and required values."""
        if self._is_all:
            super().validate(*args, **kwargs)

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
            keys += package.__all__  # also classes that are not imported
        return keys


def subclasses(base: type) -> list[type]:
    """Return a class and its imported subclasses."""
    classes = [base]
    derived: list[type] = base.__subclasses__()
    for class_ in derived:
        classes += subclasses(class_)
    return classes


def add_options(
    parser: LightningArgumentParser, command: str, function: Callable[..., object]
) -> None:
    """Add the options of a run and the options of a command, the parameters of its function."""
    parser.add_function_arguments(run_options, as_group=False)
    if command in OF_RUNS:
        parser.add_function_arguments(checkpoint_option, as_group=False)
    parser.add_function_arguments(function, as_group=False, skip={"recipe", "text"})
    if "text" in inspect.signature(function).parameters:
        help_ = "Text to predict; can be given several times."
        parser.add_argument("--text", action="append", help=help_)


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


def checkpoint_option(ckpt_path: str | None = None) -> None:
    """Name the option of a run that is restored, for the parser.

    Args:
        ckpt_path: Run that is restored with its config: its folder, its name or its checkpoint;
            ``best`` or ``last`` is the checkpoint of the newest run of the config.
    """


def import_classes(*sources: object) -> None:
    """Import the project's classes that are named; jsonargparse finds imported classes only."""
    names = set(re.findall(r"\w+", str(sources)))
    for package in _PACKAGES:
        for name in names.intersection(package.__all__):
            getattr(package, name)


def by_depth(values: Mapping[str, object]) -> list[dict[str, object]]:
    """Return values by dotted key in layers: a class comes before its arguments."""
    layers: dict[int, dict[str, object]] = defaultdict(dict)
    for key, value in values.items():
        depth = sum(key.startswith(f"{other}.") for other in values)
        layers[depth][key] = value
    return [layers[depth] for depth in sorted(layers)]
