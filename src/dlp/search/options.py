"""The options of ``dlp tune`` beside those of a fit."""

from typing import Literal

from lightning.pytorch.cli import LightningArgumentParser

#: Their names; a trial is a fit without them.
SEARCH_OPTIONS = (
    *("space", "trials", "timeout", "sampler", "pruner", "num_folds", "repeats", "storage"),
    *("new", "jobs"),
)


def add_search_options(parser: LightningArgumentParser) -> None:
    """Add them to the parser of a fit."""
    add = parser.add_argument
    add(
        "--space",
        type=str | None,
        default=None,
        help="YAML file of what to search: keys of the config, each with {low:, high:, log:, "
        "step:} or a list of choices. Or the name of one in configs/spaces.",
    )
    add("--trials", type=int, default=50, help="Finished trials of the study in all.")
    add(
        "--timeout",
        type=float | None,
        default=None,
        help="Begin no trial after so many seconds.",
    )
    add(
        "--sampler",
        type=Literal["tpe", "random", "grid"],
        default="tpe",
        help="What draws the values: TPE learns from the trials before; grid takes each "
        "combination once.",
    )
    add(
        "--pruner",
        type=Literal["median", "hyperband", "none"],
        default="median",
        help="What stops a trial that is worse than others were at that epoch (or fold).",
    )
    add(
        "--num_folds",
        type=int | None,
        default=None,
        help="Judge each trial by K-fold validation (default: by the validation part).",
    )
    add("--repeats", type=int, default=1, help="Repetitions of the K folds.")
    add(
        "--storage",
        type=str | None,
        default=None,
        help="URL of a database, such as sqlite:///search.db or postgresql://host/name "
        "(default: study.log in the study's folder).",
    )
    add(
        "--new",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="Start another study, where one of the same config and space is unfinished.",
    )
    add("--jobs", type=int, default=1, help="Processes that share the trials.")
