"""jsonargparse's messages in one sentence: the key, the accepted values, the next step."""

import ast
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from pydoc import locate
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from dlp.errors import InputError
from dlp.lightning_cli.configs import recipes

_KINDS = {
    "Sequence": "a list as one word, such as [9,9]",
    "list": "a list as one word, such as [9,9]",
    "dict": "a dictionary as one word, such as '{sep: ;}'",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
}
#: Names of other libraries -> keys of this one.
_SYNONYMS = {
    "epochs": "max_epochs",
    "learning_rate": "lr",
    "layers": "hidden",
    "seed": "seed_everything",
    "gpus": "devices",
    "device": "accelerator",
    "folds": "num_folds",
    "output_dir": "run_dir",
    "validation_split": "val_size",
    "resume": "ckpt_path",
}
#: Lines of a message around the reason.
_FRAME = re.compile(
    r"Parser key|Does not val|Subtypes|Errors|Given|Problem|Expected a (path|<class 'NoneType'>)|$"
)


class ShortErrors:
    """Mixin of a parser whose errors are one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an `InputError`."""
        if not self.exit_on_error:  # type: ignore[attr-defined]  # a parser within the parser
            super().error(message, ex)  # type: ignore[misc]  # of the other base class
        raise InputError(one_sentence(message, self.keys())) from ex

    def keys(self) -> list[str]:
        """Return the keys of all options, those of the subcommand included."""
        keys: list[str] = []
        for action in self._actions:  # type: ignore[attr-defined]  # of argparse's parser
            keys += [name[2:] for name in action.option_strings if name.startswith("--")]
            for parser in action.choices.values() if isinstance(action.choices, dict) else ():
                keys += parser.keys()
        return keys


class FunctionParser(ShortErrors, ArgumentParser):
    """Parser of a command that takes no config."""


def one_sentence(message: str, keys: Sequence[str]) -> str:
    """Return a message of jsonargparse 4.50 to 4.59 as a sentence, any other on one line."""
    key = ".".join(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message)))
    values = re.findall(r"(?:Got|Given) value: (.*?)(?:\. Got value|$)", message, re.M)
    value = next((v for v in values if not v.startswith(("NestedArg", "Namespace"))), "")
    if match := re.search(r"[Uu]nrecognized arguments: (--(?= |$)|(?!--)\S+)", message):
        is_config = match[1].endswith(".yaml") or match[1] in recipes()
        hint = "A key has two dashes, as in --config NAME; a list is one word, [9,9]."
        hint = f"Give a config by --config {match[1]}." if is_config else hint
        return f"{match[1]!r} belongs to no key. {hint}"
    if match := re.search(r"(?:[Oo]ption '|[Uu]nrecognized arguments: (?:--)?)([\w.-]+)", message):
        return _unknown_key(match[1], key, message, keys)
    if match := re.search(r"required: ([\w., ]+)", message):
        names = re.sub(r"\w+\.(?=(data|model)\b)", "", match[1])  # fit.model
        is_of_config = "config" in keys and names.startswith(("data", "model"))
        name = ".".join(filter(None, [key, names]))
        return f"{name} is missing.{' A config has it: --config NAME.' * is_of_config}"
    if match := re.search(r"Literal\[([^\]]*)\]", message):
        choices = [*map(str, ast.literal_eval(f"[{match[1]}]"))]
        return f"{key} takes {', '.join(choices)}; got {value!r}.{near(value, choices)}"
    if match := re.search(
        r"(?:dot import path string: |No [\w.]+ attribute )(\w+)$", message, re.M
    ):
        return f"{key}: unknown class {match[1]!r}.{near(match[1], _class_names())}"
    kinds = [k.rpartition(".")[2] for k in re.findall(r"Expected an? <class '([\w.]+)'>", message)]
    kinds = [_KINDS.get(kind, kind) for kind in dict.fromkeys(kinds) if kind != "NoneType"]
    if key and kinds:
        is_word = value in ("True", "False") and _KINDS["str"] in kinds
        hint = " YAML reads yes, no, on and off so; put the word in quotes." if is_word else ""
        return f"{key} takes {' or '.join(kinds)}; got {value!r}.{hint}"
    lines = (line.strip(" -") for line in message.splitlines())
    reason = next((line for line in lines if not _FRAME.match(line)), message).rstrip(".")
    return f"{f'{key}: ' if key else ''}{reason}{f'; got {value}' if value else ''}."


def _unknown_key(name: str, key: str, message: str, keys: Sequence[str]) -> str:
    if name == "class_path":
        return f"{key}: arguments beside class_path belong below init_args."
    classes = re.findall(r"class_path[ =]'([\w.]+)'", message)
    named_group = re.search(r"Group '(\w+)'", message)
    prefix = key or (named_group[1] if named_group else "")
    typed = f"{prefix}.{name}" if prefix else name
    accepted = [f"{key}.{argument}" for path in classes[-1:] for argument in arguments(path)]
    others = [key for key in keys if key != typed]  # of classes that are not chosen
    tail = near(name, accepted, others) or (f" Accepted: {', '.join(accepted)}." * bool(accepted))
    group = prefix or name.partition(".")[0]
    if not tail and group.startswith(("data", "model")):
        tail = f" Give a class before, by --config NAME or --{group} CLASS."
    return f"unknown key {typed}.{tail}"


def near(word: str, *pools: Iterable[str]) -> str:
    """Return `` Did you mean x?``: the same last word elsewhere, a synonym, or a similar word."""
    word = word.rpartition(".")[2].replace("-", "_").lower()
    tables = [{n.rpartition(".")[2].lower(): n for n in reversed([*pool])} for pool in pools]
    for table in tables:
        for candidate in (word, _SYNONYMS.get(word)):
            if candidate in table:
                return f" Did you mean {table[candidate]}?"
    for table in tables:
        if matches := get_close_matches(word, table, 1, 0.75):
            return f" Did you mean {table[matches[0]]}?"
    return ""


@cache
def arguments(class_: type | str) -> dict[str, Any]:
    """Return the arguments of a class, given by itself or its import path, with their defaults."""
    kind = locate(class_) if isinstance(class_, str) else class_
    if not isinstance(kind, type):
        return {}
    parser = ArgumentParser()
    parser.add_class_arguments(kind, fail_untyped=False)
    defaults = vars(parser.get_defaults())
    return {name: value for name, value in defaults.items() if name != "params"}  # of an optimizer


def subclasses(*bases: type) -> list[type]:
    """Return some classes and those derived from them, as far as they are imported."""
    derived = [class_ for base in bases for class_ in subclasses(*base.__subclasses__())]
    return [*bases, *derived]


def _class_names() -> list[str]:
    import torch
    from lightning import Callback, LightningDataModule, LightningModule

    bases = (Callback, LightningDataModule, LightningModule, torch.optim.Optimizer)
    return [class_.__name__ for class_ in subclasses(*bases)]
