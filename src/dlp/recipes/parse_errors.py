"""Errors of jsonargparse on one line: the key, the reason, the next step or most similar name."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pydoc import locate
from typing import ClassVar, NoReturn

from jsonargparse import ArgumentParser

from dlp.errors import InputError

#: Names of other libraries -> keys of this one.
_SYNONYMS = {
    "epochs": "max_epochs",
    "learning_rate": "lr",
    "seed": "seed_everything",
    "validation_split": "val_size",
    "folds": "num_folds",
}
#: Expected type -> next step.
_STEPS = {
    "OpenUnitInterval": "Give a share between 0 and 1, such as 0.9.",
    "ClosedUnitInterval": "Give a number from 0 to 1, such as 0.9.",
    "list": "A list is one word, such as [9,9].",
    "Sequence": "A list is one word, such as [9,9].",
}
_KEY = re.compile(r'Parser key "([\w.]+)":?\s*')
#: Type in a message, whose name says enough.
_CLASS = re.compile(r"(a )?<class '(?:\w+\.)*(\w+)'>|a typing\.")
_QUOTED = re.compile(r"'([\w.]+)'")


class ShortErrors:
    """Mixin of a parser whose errors are one sentence."""

    #: Required option -> next step if it is missing.
    required: ClassVar[Mapping[str, str]] = {}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an `InputError`."""
        if not self.exit_on_error:  # type: ignore[attr-defined]  # a parser within the parser
            super().error(message, ex)  # type: ignore[misc]  # of the other base class
        raise InputError(one_sentence(message, ex, self.keys(), self.required)) from ex

    def keys(self) -> list[str]:
        """Return the keys of all options."""
        keys = []
        for action in self._actions:  # type: ignore[attr-defined]  # of argparse's parser
            keys += [name[2:] for name in action.option_strings if name.startswith("--")]
        return keys


def one_sentence(
    message: str, error: Exception | None, keys: Sequence[str], required: Mapping[str, str]
) -> str:
    """Return key and reason of an error of jsonargparse, with the next step.

    The reason is the innermost cause, in jsonargparse's words. Of the words around it these are
    read: the key, the value, and what the value may be instead. If a release has other words there,
    the sentence says less.

    Args:
        message: Message of the error.
        error: Error; None for one of argparse, whose message is all there is.
        keys: Accepted keys and names of classes.
        required: Required option -> next step if it is missing.
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
    """Yield the messages of the causes of an error, the innermost last."""
    while error is not None:
        yield str(error)
        error = error.__cause__


def _alternatives(union: str) -> str:
    """Return what a value of several types may be; empty for a value of one type.

    Types are left out where more is known, such as of a class that is not found.
    """
    _, _, errors = union.partition("Errors:\n")
    lines = [line.strip(" -") for line in errors.partition("Given value")[0].splitlines()]
    reasons = [line for line in lines if line and "NoneType" not in line and line[-1] != ":"]
    others = [line for line in reasons if not line.startswith("Expected a <class")]
    return " or ".join(dict.fromkeys(others or reasons)).replace(" or Expected", " or")


def _step_for_value(value: str, reason: str, keys: Sequence[str]) -> str:
    """Return the most similar choice or class for a value, or how a text is written."""
    if value in ("True", "False") and re.search(r"\bstr\b", reason):
        return "Put yes, no, on and off in quotes."
    choices = _QUOTED.findall(reason)
    return near(value, choices or [key for key in keys if key[0].isupper()])


def _step_for_name(
    message: str, key: str, reason: str, keys: Sequence[str], required: Mapping[str, str]
) -> str:
    """Return the most similar key for a name that is not accepted, or where it belongs."""
    quoted = _QUOTED.findall(reason)
    last = re.findall(r": ([\w.-]+)", reason)
    name = (last or quoted or [""])[-1]
    if "required" in reason:
        return required.get(name, "")
    if name == "class_path":
        return "Arguments of a class belong below init_args, not next to class_path."
    if message.startswith("unrecognized") and not name.startswith("-"):
        return "A key has two dashes, as in --config NAME."
    if last and quoted:
        return near(name, quoted)
    accepted: list[str] = []
    for path in re.findall(r"class_path[ =]'([\w.]+)'", message)[-1:]:
        if path.startswith(("lightning.Lightning", "typing.")):  # a base class
            return "Give a class before, by --config NAME."
        accepted = [f"{key}.{argument}" for argument in arguments(path)]
    others = [other for other in keys if other != f"{key}.{name}"]  # of classes not chosen
    return near(name, accepted + others)


def near(word: str, names: Iterable[str]) -> str:
    """Return ``Did you mean x?`` for a name whose last word is the same, a synonym or similar."""
    word = word.rpartition(".")[2].strip("-").replace("-", "_").lower()
    table = {name.rpartition(".")[2].lower(): name for name in reversed(list(names))}
    matches = get_close_matches(_SYNONYMS.get(word, word), table, 1, 0.75)
    return f"Did you mean {table[matches[0]]}?" if matches else ""


@cache
def arguments(class_: type | str) -> dict[str, object]:
    """Return the arguments of a class, given by itself or its import path, with their defaults."""
    kind = locate(class_) if isinstance(class_, str) else class_
    if not isinstance(kind, type):
        return {}
    parser = ArgumentParser()
    parser.add_class_arguments(kind, fail_untyped=False)
    defaults = vars(parser.get_defaults())
    defaults.pop("params", None)  # of an optimizer
    return defaults
