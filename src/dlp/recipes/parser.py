"""Parser for the commands that take a config: keys, options of a run, and short class names."""

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

#: Commands that can continue a run or use its model.
OF_RUNS = ("fit", "validate", "test", "predict")
#: Attributes of a DataModule that are passed to the module as arguments.
SIZES = ("input_shape", "num_outputs", "target_mean", "target_std", "target_transform")
#: Content of a config, words of a command line, or values by dotted key.
Layer = dict[str, object] | list[str]
#: Packages whose classes can be given by their short names.
_PACKAGES = (datamodules, modules, callbacks)
#: Parser mode of this project. Other parsers in the same process keep their own mode.
MODE = "dlp"


def _load_yaml(text: str) -> object:
    """Load a YAML value. PyYAML raises a TypeError for the text ``?``."""
    try:
        return get_loader("yaml")(text)
    except TypeError as error:
        raise yaml.YAMLError(str(error)) from error


set_loader(MODE, _load_yaml, (yaml.YAMLError,))


class Parser(ShortErrors, LightningArgumentParser):
    """LightningCLI's parser, whose errors are one sentence long."""

    required = dict.fromkeys(("data", "model"), "Give a config that contains it: --config NAME.")
    #: Whether the last layer is being parsed. Before that, required values may be missing.
    _is_all = True

    def parse(self, layers: Sequence[Layer]) -> Namespace:
        """Parse layers in order and check the result. A later layer overrides the earlier ones."""
        config = Namespace()  # type: ignore[no-untyped-call]  # jsonargparse has no types
        for number, layer in enumerate(layers, 1):
            self._is_all = number == len(layers)
            if isinstance(layer, list):
                config = self.parse_args(layer, namespace=config, defaults=self._is_all)
            else:
                config = self.parse_object(layer, namespace=config, defaults=self._is_all)
        return config

    def validate(self, *args: object, **kwargs: object) -> None:
        """Check types and required values once the last layer has been parsed."""
        if self._is_all:
            super().validate(*args, **kwargs)

    def keys(self) -> list[str]:
        """Return the keys of all options and of all imported classes, and the class names."""
        keys = super().keys()
        for class_ in subclasses(SupervisedDataModule):
            keys += [f"data.{name}" for name in arguments(class_)]
        for class_ in subclasses(SupervisedModule):
            keys += [f"model.{name}" for name in arguments(class_) if name not in SIZES]
        keys.append("model.optimizer.lr")
        for base in (Callback, LightningDataModule, LightningModule, Optimizer):
            keys += [class_.__name__ for class_ in subclasses(base)]
        for package in _PACKAGES:
            keys += package.__all__  # including classes that have not been imported
        return keys


def subclasses(base: type) -> list[type]:
    """Return a class and all of its imported subclasses."""
    classes = [base]
    derived: list[type] = base.__subclasses__()
    for class_ in derived:
        classes += subclasses(class_)
    return classes


def add_options(
    parser: LightningArgumentParser, command: str, function: Callable[..., object]
) -> None:
    """Add the options of a run, and the parameters of a command's function as further options."""
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
    """Declare the options of a run for the parser.

    Args:
        run_dir: Folder of the run. It must be new or empty.
        monitor: Metric that decides which epoch is the best.
        test_after_fit: Checkpoint to test after a fit.
        refit: Whether to train on all rows except the test set.
        init_from: Config or path of a run whose weights are the initial weights.
        baselines: Whether to fit simple models for comparison.
        ensemble: Number of networks whose predictions are averaged.
        threads: Number of CPU threads that torch uses while the command runs, or in Python the
            recipe's Trainer. By default it is one thread for dense nets on a CPU with at most 256
            units per layer, which is fastest, and otherwise torch's own number.
        compile: Whether to compile the model with ``torch.compile``.
        smoothing: Factor of the moving average in the curves, from 0 (no smoothing) to 1.
    """


def checkpoint_option(ckpt_path: str | None = None) -> None:
    """Declare the option that identifies the run to restore, for the parser.

    Args:
        ckpt_path: Run to restore together with its config, given by its folder, its name or its
            checkpoint. ``best`` or ``last`` takes this checkpoint of the newest run of the config
            in ``--config``.
    """


def import_classes(*sources: object) -> None:
    """Import the classes of dlp that are named, because jsonargparse only finds imported ones."""
    names = set(re.findall(r"\w+", str(sources)))
    for package in _PACKAGES:
        for name in names.intersection(package.__all__):
            getattr(package, name)


def by_depth(values: Mapping[str, object]) -> list[dict[str, object]]:
    """Split values by dotted key into layers, so that a class comes before its arguments."""
    layers: dict[int, dict[str, object]] = defaultdict(dict)
    for key, value in values.items():
        depth = sum(key.startswith(f"{other}.") for other in values)
        layers[depth][key] = value
    return [layers[depth] for depth in sorted(layers)]
