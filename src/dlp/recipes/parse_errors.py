"""jsonargparse's messages on one line: the key, the reason, the most similar name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pydoc import locate
from typing import Any, ClassVar, NoReturn

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
#: Lines of a message around its reasons.
_FRAME = re.compile(
    r"Parser key|Type |Does not|Subtypes|Errors|Given|Problem|Expected a (path|<class 'None)|$"
)
#: Pattern of a message -> next step.
_ADVICE = {
    r"OpenUnitInterval": "Give a share between 0 and 1, such as 0.9.",
    r"ClosedUnitInterval": "Give a number from 0 to 1, such as 0.9.",
    r"Option 'class_path'": "Arguments beside class_path belong below init_args.",
    r"Expected a <class '(collections.abc.Sequence|list)'": "A list is one word, such as [9,9].",
    r"required: .*\b(data|model)\b": "A config has it: --config NAME.",
    r"unrecognized arguments: (?!--\w)": "A key has two dashes, as in --config NAME.",
    r"Expected a <class 'str'>(.|\n)*: <class 'bool'>": "Put yes, no, on and off in quotes.",
    r"class_path[ =]'(lightning.Lightning|typing)": "Give a class before, by --config NAME.",
}
_NAME = re.compile(r"(?:ption '|arguments: --|path string: | attribute )([\w.-]+)")


class ShortErrors:
    """Mixin of a parser whose errors are one sentence."""

    advice: ClassVar[Mapping[str, str]] = _ADVICE

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an `InputError`."""
        if not self.exit_on_error:  # type: ignore[attr-defined]  # a parser within the parser
            super().error(message, ex)  # type: ignore[misc]  # of the other base class
        raise InputError(one_sentence(message, self.keys(), self.advice)) from ex

    def keys(self) -> list[str]:
        """Return the keys of all options."""
        keys = []
        for action in self._actions:  # type: ignore[attr-defined]  # of argparse's parser
            keys += [name[2:] for name in action.option_strings if name.startswith("--")]
        return keys


class FunctionParser(ShortErrors, ArgumentParser):
    """Parser of a command that takes no config."""

    advice = {r"required: (run|runs|model)\b": "Give the name or the folder of a run."} | _ADVICE


def one_sentence(message: str, keys: Sequence[str], advice: Mapping[str, str] = _ADVICE) -> str:
    """Return key and reason of a message of jsonargparse, with the next step."""
    key = ".".join(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message)))
    lines = [line.rpartition("class: ")[2].strip(" -") for line in message.splitlines()]
    reason = " or ".join(line for line in dict.fromkeys(lines) if not _FRAME.match(line))
    reason = reason.partition(". Got value")[0].replace(" or Expected", " or").rstrip(".")
    sentence = re.sub(r"(a )?<class '(?:\w+\.)*(\w+)'>|a typing\.", r"\2", reason)
    if key:
        sentence = f"{key}: {sentence}"
    value = re.search(r"value: (?!Nested|Namespace)(.*?)(?:\. Got value|$)", message, re.M)
    if value:
        sentence += f"; got {value[1]!r}"
    for pattern, step in advice.items():
        if re.search(pattern, message):
            return f"{sentence}. {step}"
    choices = []
    if "Literal" in reason:
        choices = re.findall(r"'(\w+)'", reason)
    name = _NAME.search(reason) or (choices and value)
    if not name:
        return f"{sentence}."
    classes = re.findall(r"class_path[ =]'([\w.]+)'", message)
    accepted = [f"{key}.{argument}" for path in classes[-1:] for argument in arguments(path)]
    others = [other for other in keys if other != f"{key}.{name[1]}"]  # of classes not chosen
    return f"{sentence}.{near(name[1], choices or accepted + others)}"


def near(word: str, names: Iterable[str]) -> str:
    """Return `` Did you mean x?`` for a name whose last word is the same, a synonym or similar."""
    word = word.rpartition(".")[2].replace("-", "_").lower()
    table = {name.rpartition(".")[2].lower(): name for name in reversed(list(names))}
    matches = get_close_matches(_SYNONYMS.get(word, word), table, 1, 0.75)
    return f" Did you mean {table[matches[0]]}?" if matches else ""


@cache
def arguments(class_: type | str) -> dict[str, Any]:
    """Return the arguments of a class, given by itself or its import path, with their defaults."""
    kind = locate(class_) if isinstance(class_, str) else class_
    if not isinstance(kind, type):
        return {}
    parser = ArgumentParser()
    parser.add_class_arguments(kind, fail_untyped=False)
    defaults = vars(parser.get_defaults())
    defaults.pop("params", None)  # of an optimizer
    return defaults
