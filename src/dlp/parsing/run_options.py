"""The options of a run beside its data, model and trainer; and how options become a dataclass."""

from collections.abc import Container
from dataclasses import Field, dataclass, fields
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from docstring_parser import parse
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from dlp.directions import Mode
from dlp.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Options = TypeVar("_Options", bound="DataclassInstance")

_TRAINING = ("fit", "crossval", "tune")
_OF_A_RUN = ("fit", "validate", "test", "predict")
#: Option of a run -> the commands that take it, where not all do. Configs may hold any of them.
_TAKEN_BY = {
    "ckpt_path": _OF_A_RUN,
    "run_dir": (*_OF_A_RUN, "crossval", "tune"),
    "monitor": _TRAINING,
    "monitor_mode": _TRAINING,
    "test_after_fit": ("fit", "tune"),
    "refit": ("fit", "crossval"),
    "smoothing": _TRAINING,
    "baselines": ("fit", "validate", "test", "crossval"),
    "output": ("predict", "visualize"),
    "init_from": ("fit", "tune"),
}


@dataclass(frozen=True)
class RunOptions:
    """What a run is judged by, what follows it, and where its files go.

    Args:
        ckpt_path: The checkpoint to go on from (fit) or to use: a .ckpt file, a run's folder, best
            or last (default: of the newest run of the config; a fit starts anew).
        run_dir: Folder of the run (default: runs/<config name>/version_N).
        monitor: The metric that says which epoch was best.
        monitor_mode: Whether less (min) or more (max) of it is better (default: min for a loss,
            else what its torchmetrics object says).
        test_after_fit: Which checkpoint to test when the fit has ended (default: none).
        refit: Train on everything but the test part, validation rows included, for all epochs, and
            test once (where there is a test part).
        smoothing: Factor of the moving average drawn over the curves, 0 to below 1 (the book: 0.8
            or 0.9).
        threads: CPU threads of torch while the command runs (default: torch's own choice). Small
            models are fastest with 1.
        baselines: Fit a linear model and gradient boosting on the same split, in seconds, and say
            which is better.
        output: The .csv or .parquet that predict writes (default: a CSV in the run's folder,
            predictions.csv, or predictions_NAME.csv for an input NAME).
        init_from: Start from the weights of another run: a checkpoint, a run's folder, or the name
            of its config.

    Raises:
        InputError: `smoothing` is out of range, or a config names a checkpoint.
    """

    ckpt_path: str | None = None
    run_dir: str | None = None
    monitor: str = "val_loss"
    monitor_mode: Mode | None = None
    test_after_fit: Literal["best", "last"] | None = None
    refit: bool = False
    smoothing: float = 0.0
    threads: int | None = None
    baselines: bool = False
    output: str | None = None
    init_from: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.ckpt_path is not None:  # a command takes it out of what it is given
            raise InputError("ckpt_path belongs on the command line, not in a config.")
        if not 0 <= self.smoothing < 1:
            raise InputError(f"smoothing must be 0 to below 1, got {self.smoothing}.")

    @property
    def directions(self) -> dict[str, Mode]:
        """The metric whose direction was given -> that."""
        return {} if self.monitor_mode is None else {self.monitor: self.monitor_mode}


def takes(command: str, option: str) -> bool:
    """Whether a command heeds an option of a run; a command without a name is any."""
    name = command.partition(" ")[0]  # visualize, of whatever kind
    return not name or name in _TAKEN_BY.get(option, (name,))


def check_taken(
    command: str, typed: Container[str], config: Namespace, own: Container[str]
) -> None:
    """Refuse options of a run that a command has no use for.

    Args:
        command: The command.
        typed: The options that were typed; those that take back what a config says are right.
        config: The parsed config.
        own: The options that the command has of its own.

    Raises:
        InputError: There is one.
    """
    for field in fields(RunOptions):
        name = field.name
        if takes(command, name) or name not in typed or name in own:
            continue
        if config[name] != field.default:
            others = " and ".join(f"dlp {other}" for other in _TAKEN_BY[name])
            raise InputError(f"--{name} is for {others}; dlp {command} has no use for it.")


def add_options(
    parser: LightningArgumentParser,
    kind: "type[DataclassInstance]",
    without: frozenset[str] = frozenset(),
) -> frozenset[str]:
    """Add each field of a dataclass to a parser as an option; the docstrings are their help.

    A list takes several words; where something else is accepted too, it is one word, as YAML has
    it. In a field's metadata, ``option`` is its name on the command line where that is no name for
    Python, and ``also`` a second one.

    Args:
        parser: The parser.
        kind: The dataclass. ``--flag`` alone is true.
        without: Names to leave out, since the parser has them.

    Returns:
        The names of the fields.
    """
    helps = {
        one.arg_name: one.description
        for base in kind.__mro__
        for one in parse(base.__doc__ or "").params
    }
    hints = get_type_hints(kind)
    for field in fields(kind):
        if field.name in without:
            continue
        more: dict[str, Any] = {"type": hints[field.name], "help": helps[field.name]}
        if more["type"] is bool:
            more |= {"nargs": "?", "const": True}
        accepted = [one for one in get_args(more["type"]) if one is not NoneType]
        if len(accepted) == 1 and get_origin(accepted[0]) is list:
            more |= {"nargs": "+", "type": get_args(accepted[0])[0]}
        names = [_option(field), *filter(None, [field.metadata.get("also")])]
        parser.add_argument(*(f"--{name}" for name in names), default=field.default, **more)
    return frozenset(field.name for field in fields(kind))


def read_options(kind: type[_Options], config: Namespace) -> _Options:
    """Return the values of a dataclass's options in a parsed config."""
    return kind(**{field.name: config[_option(field)] for field in fields(kind)})


def _option(field: "Field[Any]") -> str:
    name: str = field.metadata.get("option", field.name)
    return name
