"""The argument parser of the command line: configs by name, and errors of one sentence."""

import argparse
import builtins
import re
import warnings
from collections.abc import Sequence
from enum import Enum
from typing import Any, NoReturn

import torch
from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined] # public, but re-exported without __all__
from jsonargparse.typing import register_type
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser

from dlp import datamodules, modules
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError, hint_of_yaml, suggestion
from dlp.named_configs import find_config
from dlp.parsing.help_screen import first_screen
from dlp.parsing.known_keys import KnownKeys
from dlp.parsing.short_names import import_public
from dlp.parsing.signatures import Place, descendants, parameters

#: What jsonargparse puts before such a text.
_UNWRITTEN = "Unable to serialize instance "

_LITERALS = re.compile(r"Literal\[([^\]]*)\]")
_TYPES = re.compile(r"Expected an? (?:<class '([\w.]+)'>|([\w.\[\], '|]+))")

#: The keys below which the arguments of a class stand.
ROOTS = {
    "data": Place("data", SupervisedDataModule),
    "model": Place("model", LightningModule),
    "trainer": Place("trainer", Trainer, itself=Trainer),
}

register_type(torch.device)  # so that a run's config.yaml holds `cpu` for it, and can be run again


class NamedConfig(ActionConfigFile):
    """``--config NAME_OR_PATH``: the name of a recipe or variation, or a path."""

    @staticmethod
    def apply_config(parser: Any, cfg: Namespace, dest: str, value: str) -> None:
        """Merge the file that `value` names into `cfg`."""
        if isinstance(value, str):
            value = str(find_config(value))
        ActionConfigFile.apply_config(parser, cfg, dest, value)


class Parser(LightningArgumentParser):
    """A parser that says in one sentence what was wrong.

    Attributes:
        linked: Keys that other keys give.
        required: Keys at which a class must be named.
        unheeded: Options that configs may hold and the command does not take: the help leaves them
            out.
        known: The keys of the words that were parsed last.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.linked, self.required = frozenset[str](), frozenset[str]()
        self.unheeded = frozenset[str]()
        self.known: KnownKeys | None = None
        super().__init__(*args, **kwargs)

    @property
    def options(self) -> dict[str, argparse.Action]:
        """Each option's name, without dashes -> its action: argparse has no public list of them."""
        return {
            name.removeprefix("--"): action
            for action in self._actions
            for name in action.option_strings
            if name.startswith("--")
        }

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise a short message as `InputError`; nested parses leave it to jsonargparse."""
        if not self.exit_on_error:
            super().error(message, ex)
        raise InputError(value_error(message, self.known)) from ex

    def parse_string(self, content: str, *args: Any, **kwargs: Any) -> Namespace:  # likewise
        """Parse a config; jsonargparse would take ``trainer:`` alone for a text."""
        parsed: Namespace = super().parse_string(f"{content}\n#", *args, **kwargs)
        return parsed

    def dump(self, *args: Any, **kwargs: Any) -> str:  # the signature it overrides
        """Return a config as YAML that can be read again.

        jsonargparse takes a text for an object that it cannot write where a callable may stand
        too, as in Lightning's ``ModelPruning(pruning_fn="l1_unstructured")``. What has been parsed
        is valid: to check it again takes a seventh of the time of a short command.
        """
        kwargs.setdefault("skip_validation", True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", rf"\s*{_UNWRITTEN}")
            return str(super().dump(*args, **kwargs)).replace(_UNWRITTEN, "")

    def _show_help(self, keys: Sequence[str], words: Sequence[str]) -> NoReturn:
        """Print the first screen of the help, or all of it where that is asked for; and exit."""
        import_public()
        options = self.options
        for name in self.unheeded:  # not sooner: jsonargparse would leave them out of configs too
            options[name].help = argparse.SUPPRESS
        after = [word for one, word in zip(words, [*words[1:], ""], strict=True) if one == "--help"]
        asks_all = "--help=all" in words or "all" in after
        if asks_all or not keys:
            self.print_help()
        else:
            public = {"data": dir(datamodules), "model": dir(modules)}
            classes = {
                key: sorted(
                    {kind.__name__ for kind in descendants(ROOTS[key].classes)} & {*public[key]}
                )
                for key in keys
            }
            print(first_screen(self.prog.replace(" [options]", ""), options, classes))
        raise SystemExit(0)

    def parse_args(  # type: ignore[override] # argparse's has an overload more
        self,
        args: Sequence[str] | None = None,
        namespace: Namespace | None = None,
        env: bool | None = None,
        defaults: bool = True,
        **kwargs: Any,
    ) -> Namespace:
        """Parse the words of a command, whose keys are checked first.

        Raises:
            InputError: A key, a class or a value is none that is accepted.
        """
        options = self.options
        words = [] if args is None else [*args]
        roots = {key: place for key, place in ROOTS.items() if key in options}
        if "config" in options and {"-h", "--help", "--help=all"} & {*words}:
            self._show_help([key for key in ("data", "model") if key in roots], words)
        if asks := any(re.match(r"--[^=]*\.help(=|$)", word) for word in words):
            import_public()
        if "config" in options and not asks:
            counts = {
                name: 0 if name == "print_config" else action.nargs
                for name, action in options.items()
                if name != "print_shtab"
            }
            self.known = KnownKeys(counts, roots, self.linked)
            self.known.read(words, {} if namespace is None else namespace.as_dict())
            self.known.check(self.required)
        parsed = super().parse_args(args, namespace, env, defaults, **kwargs)
        for key, place in roots.items():
            given = {} if parsed[key] is None else vars(parsed[key])
            if place.itself is not None and parameters(place.itself).keys() - given:
                usual = vars(self.get_defaults()[key])  # an empty key in a config has dropped them
                parsed[key] = Namespace(**{**usual, **given})  # type: ignore[no-untyped-call] # jsonargparse's
        return parsed


def as_texts(value: Any) -> Any:
    """Return a config with members of text enumerations as texts, which alone YAML can hold.

    Such a member is the default of Lightning's ``Timer(interval=...)``.
    """
    if isinstance(value, Namespace):
        for key, item in vars(value).items():
            setattr(value, key, as_texts(item))
    elif isinstance(value, list):
        value[:] = map(as_texts, value)
    elif isinstance(value, Enum) and isinstance(value, str):
        return str(value.value)
    return value


def value_error(message: str, known: KnownKeys | None) -> str:
    """Return one sentence for what jsonargparse says of a value: its key, what is wanted and given.

    Keys, classes and what is missing are checked before (`known_keys`). What is wanted is read from
    the signature; where no signature says it, from the message.

    Args:
        message: What jsonargparse (4.50 to 4.59) says; anything else comes back as its last words.
        known: What is known of the keys.
    """
    key = ".".join(re.findall(r'Parser key "([\w.]+)"', message))
    values = re.findall(r"(?:Got|Given) value: (.*)", message)
    if not key or not values:
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        return f"{lines[0]} {lines[-1]}" if len(lines) > 1 else message.strip()
    place = None if known is None else known.place_of(key)
    value = values[0].strip() if known is None else known.given.get(key, values[0].strip())
    kinds = [] if place is None else place.wanted
    if not kinds:
        kinds = [
            word.strip("' ") for found in _LITERALS.findall(message) for word in found.split(",")
        ]
    if not kinds:
        types = [one or other for one, other in _TYPES.findall(message)]
        kinds = [name for name in dict.fromkeys(types) if "." not in name and name != "NoneType"]
    expected = " or ".join(kinds) or "another kind of value"
    if len(kinds) > 2:
        expected = f"one of {', '.join(kinds)}"
    below = [] if known is None else [one for one in known.given if one.startswith(f"{key}.")]
    if str(value) in kinds and below:
        return f"{below[0]} is no key: {key} is {value!r}, and only a class holds keys."
    texts = [kind for kind in kinds if not hasattr(builtins, kind)]
    said = f"{key} must be {expected}; got {value!r}.{suggestion(str(value), texts)}"
    return said + (hint_of_yaml(value) if {"str", "a list of str"} & {*kinds} else "")
