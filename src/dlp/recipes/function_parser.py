"""Parser of the commands that take no config."""

import inspect
from collections.abc import Callable, Sequence

from jsonargparse import ArgumentParser, Namespace

from dlp.recipes.parse_errors import ShortErrors


class FunctionParser(ShortErrors, ArgumentParser):
    """Parser of the parameters of a function; required ones are positional."""

    required = dict.fromkeys(("run", "runs", "model"), "Give the name or the folder of a run.")


def function_options(
    command: str, args: Sequence[str], function: Callable[..., object]
) -> Namespace:
    """Parse the words after a command; return the arguments of its function."""
    description = str(inspect.getdoc(function)).partition("\n\nArgs:")[0]
    parser = FunctionParser(prog=f"dlp {command}", description=description)
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip={"runs"})
    if command == "compare":
        help_ = "Folders of runs or of several runs, or configs."
        parser.add_argument("runs", nargs="+", help=help_)
    options: Namespace = parser.instantiate(parser.parse_args(args))
    return options
