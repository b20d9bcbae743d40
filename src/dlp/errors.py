"""The errors a user can mend: what was given, what is accepted, what to do.

The command line prints these as one short message with exit status 2; anything else is a bug of
ours and keeps its traceback.
"""

import dis
import inspect
from collections.abc import Iterable
from difflib import get_close_matches

#: The packages that check their settings where they use them, long after these were given.
_CHECK_LATE = ("lightning.", "torch.optim.")


class InputError(ValueError):
    """Something the user gave cannot be used."""


class MissingInputError(InputError, FileNotFoundError):
    """A file, column or checkpoint the user named is not there."""

    def __str__(self) -> str:
        """Return the sentence alone (an OSError would print its arguments as a tuple)."""
        return str(self.args[0])


def input_error(error: BaseException | None) -> InputError | None:
    """Return the error of the user's input behind `error`: the parser wraps what a class raises."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


def absent_package(error: BaseException | None) -> str | None:
    """Return what a library says of a package it needs, if that is behind `error`.

    A library that looks for an extra package says in a sentence how to install it. A failed import
    statement, which names the module, is another matter.
    """
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name is None:
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def refusal(error: BaseException) -> str | None:
    """Return what Lightning or an optimizer says of a setting, if it is what has raised `error`.

    It is known by the place that raised it, whatever its words: a model's errors, and ours, are
    raised elsewhere. What fails there unforeseen, such as a sum of tensors of two sizes, is a bug;
    but a division by 0 says the numbers that were given.
    """
    if (trace := error.__traceback__) is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    if not frame.f_globals.get("__name__", "").startswith(_CHECK_LATE):
        return None
    owner = frame.f_locals.get("self")
    if not isinstance(error, ZeroDivisionError) or owner is None:
        foreseen = dis.opname[frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
        known = foreseen and isinstance(error, ValueError | RuntimeError)
        return str(error).strip() if known else None
    given = {name: getattr(owner, name, None) for name in inspect.signature(type(owner)).parameters}
    numbers = [f"{name} {value}" for name, value in given.items() if isinstance(value, int | float)]
    return f"{type(owner).__name__} cannot do with {', '.join(numbers)}: {error}."


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest of `choices`, or an empty string."""
    names = {choice.lower(): choice for choice in choices}
    near = get_close_matches(name.lower(), list(names), n=1, cutoff=0.6)
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def hint_of_yaml(value: object) -> str:
    """Return a sentence, after a space, for true or false where a text is wanted; else nothing."""
    values = value if isinstance(value, list) else [value]
    if not any(isinstance(one, bool) for one in values):
        return ""
    return " YAML reads yes, no, on and off as true or false: put such a name in quotes, 'yes'."


def unknown(kind: str, name: str, choices: Iterable[str]) -> InputError:
    """Return the error for a name that is not one of `choices`, with the nearest one."""
    known = list(choices)
    return InputError(
        f"unknown {kind} {name!r}.{suggestion(name, known)} Accepted: {', '.join(known)}."
    )
