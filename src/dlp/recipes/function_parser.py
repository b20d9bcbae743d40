"""Parser for the commands that take no config."""

import inspect
from collections.abc import Callable, Sequence

from jsonargparse import ArgumentParser, Namespace

from dlp.recipes.parse_errors import ShortErrors


class FunctionParser(ShortErrors, ArgumentParser):
    """Parser for the parameters of a function. Required parameters are positional arguments."""

    required = dict.fromkeys(("run", "runs", "model"), "Give the name or the folder of a run.")


def function_options(
    command: str, args: Sequence[str], function: Callable[..., object]
) -> Namespace:
    """Parse the words after a command and return the arguments for its function."""
    description = str(inspect.getdoc(function)).partition("\n\nArgs:")[0]
    parser = FunctionParser(prog=f"dlp {command}", description=description)
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip={"runs"})
    if command == "compare":
        help_ = "Folders of runs, folders that contain several runs, or configs."
        parser.add_argument("runs", nargs="+", help=help_)
    options: Namespace = parser.instantiate(parser.parse_args(args))
    return options
