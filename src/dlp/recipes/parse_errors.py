"""Shorten jsonargparse's errors to one line: the key, the reason, and advice or a similar name."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pydoc import locate
from typing import ClassVar, NoReturn

from jsonargparse import ArgumentParser

from dlp.errors import InputError

#: Names that other libraries use -> keys of this project.
_SYNONYMS = {
    "epochs": "max_epochs",
    "learning_rate": "lr",
    "seed": "seed_everything",
    "validation_split": "val_size",
    "folds": "num_folds",
}
#: Expected type -> advice.
_STEPS = {
    "OpenUnitInterval": "Give a number between 0 and 1, such as 0.9.",
    "ClosedUnitInterval": "Give a number from 0 to 1, such as 0.9.",
    "list": "Write a list as one word without spaces, such as [9,9].",
    "Sequence": "Write a list as one word without spaces, such as [9,9].",
}
_KEY = re.compile(r'Parser key "([\w.]+)":?\s*')
#: Type in a message, which is shortened to its name.
_CLASS = re.compile(r"(a )?<class '(?:\w+\.)*(\w+)'>|a typing\.")
_QUOTED = re.compile(r"'([\w.]+)'")


class ShortErrors:
    """Mixin for a parser whose errors are one sentence long."""

    #: Required option -> advice if it is missing.
    required: ClassVar[Mapping[str, str]] = {}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the error as an `InputError`."""
        if not self.exit_on_error:  # type: ignore[attr-defined]  # a nested parser
            super().error(message, ex)  # type: ignore[misc]  # from the other base class
        raise InputError(one_sentence(message, ex, self.keys(), self.required)) from ex

    def keys(self) -> list[str]:
        """Return the keys of all options."""
        keys = []
        for action in self._actions:  # type: ignore[attr-defined]  # from argparse
            keys += [name[2:] for name in action.option_strings if name.startswith("--")]
        return keys


def one_sentence(
    message: str, error: Exception | None, keys: Sequence[str], required: Mapping[str, str]
) -> str:
    """Return the key and the reason of an error of jsonargparse, followed by advice.

    The reason is the message of the innermost cause, in jsonargparse's words. The key, the value
    and the accepted values are taken from the messages around it. If a future release words those
    messages differently, the sentence becomes shorter but stays true.

    Args:
        message: Message of the error.
        error: Error. None for an error of argparse, which has only a message.
        keys: Accepted keys and class names.
        required: Required option -> advice if it is missing.
    """
    *_, parent, innermost = ["", message, *_causes(error)]
    key = ".".join(dict.fromkeys(_KEY.findall(message)))
    reason, _, value = _KEY.sub("", innermost).partition(". Got value: ")
    if reason.startswith("Expected"):
        reason = _alternatives(parent) or reason
    reason = _CLASS.sub(r"\2", reason).rstrip(".")
    sentence = f"{key}: {reason}" if key else reason
    if value and ": " not in reason:
        sentence += f"; got {value!r}"
        step = _step_for_value(value, reason, keys)
    else:
        step = _step_for_name(message, key, reason, keys, required)
    type_, _, _ = parent.partition("\n")  # such as ClosedUnitInterval
    for word in re.findall(r"\w+", f"{reason} {type_}"):
        step = step or _STEPS.get(word, "")
    return f"{sentence}. {step}".rstrip()


def _causes(error: BaseException | None) -> Iterator[str]:
    """Yield the messages of an error and of its causes, the innermost cause last."""
    while error is not None:
        yield str(error)
        error = error.__cause__


def _alternatives(union: str) -> str:
    """Return what is accepted for a union type. The result is empty for other types.

    Expected types are left out if another reason is given, such as a class that is not found.
    """
    _, _, errors = union.partition("Errors:\n")
    lines = [line.strip(" -") for line in errors.partition("Given value")[0].splitlines()]
    reasons = [line for line in lines if line and "NoneType" not in line and line[-1] != ":"]
    others = [line for line in reasons if not line.startswith("Expected a <class")]
    return " or ".join(dict.fromkeys(others or reasons)).replace(" or Expected", " or")


def _step_for_value(value: str, reason: str, keys: Sequence[str]) -> str:
    """Return the most similar choice or class for a value, or advice on writing a text."""
    if value in ("True", "False") and re.search(r"\bstr\b", reason):
        return "YAML reads yes, no, on and off as True or False. Put quotes around them."
    choices = _QUOTED.findall(reason)
    return near(value, choices or [key for key in keys if key[0].isupper()])


def _step_for_name(
    message: str, key: str, reason: str, keys: Sequence[str], required: Mapping[str, str]
) -> str:
    """Return advice for a name that is not accepted: a similar key, or where the name belongs."""
    quoted = _QUOTED.findall(reason)
    last = re.findall(r": ([\w.-]+)", reason)
    name = (last or quoted or [""])[-1]
    if "required" in reason:
        return required.get(name, "")
    if name == "class_path":
        return "Arguments of a class belong below init_args, not next to class_path."
    if message.startswith("unrecognized") and not name.startswith("-"):
        return "An option begins with two dashes, as in --config NAME."
    if last and quoted:
        return near(name, quoted)
    accepted: list[str] = []
    for path in re.findall(r"class_path[ =]'([\w.]+)'", message)[-1:]:
        if path.startswith(("lightning.Lightning", "typing.")):  # a base class
            return "Name a class first, with --config NAME."
        accepted = [f"{key}.{argument}" for argument in arguments(path)]
    others = [other for other in keys if other != f"{key}.{name}"]  # a key of another class
    return near(name, accepted + others)


def near(word: str, names: Iterable[str]) -> str:
    """Return ``Did you mean x?`` with the name whose last part is most similar.

    The result is empty if no name is similar.

    Args:
        word: Name that is not accepted. Synonyms that other libraries use are recognised.
        names: Accepted names.
    """
    word = word.rpartition(".")[2].strip("-").replace("-", "_").lower()
    table = {name.rpartition(".")[2].lower(): name for name in reversed(list(names))}
    matches = get_close_matches(_SYNONYMS.get(word, word), table, 1, 0.75)
    return f"Did you mean {table[matches[0]]}?" if matches else ""


@cache
def arguments(class_: type | str) -> dict[str, object]:
    """Return the defaults of a class's arguments by name.

    Args:
        class_: Class, or its import path.
    """
    kind = locate(class_) if isinstance(class_, str) else class_
    if not isinstance(kind, type):
        return {}
    parser = ArgumentParser()
    parser.add_class_arguments(kind, fail_untyped=False)
    defaults = vars(parser.get_defaults())
    defaults.pop("params", None)  # the parameters of an optimizer
    return defaults
