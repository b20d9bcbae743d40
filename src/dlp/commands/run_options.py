"""The options that every command has which builds a recipe."""

from typing import Literal

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from dlp.commands.invocation import Invocation
from dlp.commands.resuming import check_optimizer
from dlp.config_files import read_config
from dlp.directions import Mode
from dlp.errors import InputError
from dlp.runs.record import read_results

#: Arguments of a model that the data know.
FROM_DATA = ("input_shape", "num_outputs", "target_mean", "target_std", "target_transform")


def add_run_options(parser: LightningArgumentParser) -> None:
    """Add the options of a run: its folder, its metric, what follows it."""
    add = parser.add_argument
    add(
        "--run_dir",
        type=str | None,
        default=None,
        help="Folder of the run (default: runs/<config name>/version_N).",
    )
    says = "The metric that says which epoch was best."
    add("--monitor", type=str, default="val_loss", help=says)
    add(
        "--monitor_mode",
        type=Mode | None,
        default=None,
        help="Whether less (min) or more (max) of it is better (default: min for a loss, else what "
        "its torchmetrics object says).",
    )
    add(
        "--test_after_fit",
        type=Literal["best", "last"] | None,
        default=None,
        help="Which checkpoint to test when the fit has ended (default: none).",
    )
    add(
        "--refit",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="Train on everything but the test part, validation rows included, for all epochs, and "
        "test once (where there is a test part).",
    )
    add(
        "--smoothing",
        type=float,
        default=0.0,
        help="Factor of the moving average drawn over the curves, 0 to below 1 (the book: 0.8 "
        "or 0.9).",
    )
    add(
        "--threads",
        type=int | None,
        default=None,
        help="CPU threads of torch while the command runs (default: torch's own choice). Small "
        "models are fastest with 1.",
    )
    add(
        "--baselines",
        type=bool,
        default=False,
        help="Fit a linear model and gradient boosting on the same split, in seconds, and say "
        "which is better.",
    )
    add(
        "--output",
        type=str | None,
        default=None,
        help="The .csv or .parquet that predict writes (default: a CSV in the run's folder, "
        "predictions.csv, or predictions_NAME.csv for an input NAME).",
    )
    add(
        "--init_from",
        type=str | None,
        default=None,
        help="Start from the weights of another run: a checkpoint, a run's folder, or the name "
        "of its config.",
    )


def add_text_option(parser: LightningArgumentParser) -> None:
    """Add ``--text`` to the help of predict; `resolve` makes ``predict_texts`` of it."""
    parser.add_argument(
        "--text",
        type=str | None,
        default=None,
        help="A text to predict, of a model of texts; may be given several times. It is printed, "
        "and written where --output says.",
    )


def check_run_options(settings: Namespace, invocation: Invocation) -> None:
    """Refuse what cannot be done with a run, before any data are read.

    Raises:
        InputError: An option is out of range, or does not go with the run or the command.
    """
    if settings.get("ckpt_path"):
        raise InputError("ckpt_path belongs on the command line, not in a config.")
    if not 0 <= settings.smoothing < 1:
        raise InputError(f"smoothing must be 0 to below 1, got {settings.smoothing}.")
    run = invocation.run
    if run is not None:
        read_results(run.folder)  # said before the work, if they are damaged
    if invocation.command == "fit" and run is not None:
        known = read_config(run.config).get("monitor", "val_loss")
        if (given := settings.monitor) != known:
            raise InputError(
                f"{run.folder} goes by {known}: its best epoch by {given} was not kept. Leave "
                f"--monitor {given} out, or train a new run with it."
            )
        check_optimizer(settings, run)
