"""The argument parser of the command line: configs by name, and errors of one sentence."""

import inspect
import re
import sys
import warnings
from collections.abc import Iterable
from enum import Enum
from importlib import import_module
from typing import Any, NoReturn

import torch
from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined] # public, but re-exported without __all__
from jsonargparse.typing import register_type
from lightning import Callback, LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dlp.config_files import read_config
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError, suggestion
from dlp.named_configs import find_config

#: What jsonargparse puts before such a text.
_UNWRITTEN = "Unable to serialize instance "

register_type(torch.device)  # so that a run's config.yaml holds `cpu` for it, and can be run again


class NamedConfig(ActionConfigFile):
    """``--config NAME_OR_PATH``: the name of a recipe or variation, or a path."""

    @staticmethod
    def apply_config(parser: Any, cfg: Namespace, dest: str, value: str) -> None:
        """Merge the file that `value` names into `cfg`."""
        if isinstance(value, str):
            try:
                path = find_config(value)
                if not read_config(path):  # what is wrong with the file is said of the file
                    raise InputError(
                        f"{path} is empty: a config holds keys such as data and model."
                    )
                value = str(path)
            except InputError as error:
                raise TypeError(str(error)) from error
        ActionConfigFile.apply_config(parser, cfg, dest, value)


def add_config_option(parser: LightningArgumentParser) -> None:
    """Add ``--config``, to be given once or several times."""
    parser.add_argument(
        "-c",
        "--config",
        action=NamedConfig,
        help="Name of a recipe or variation (see dlp --help), or path of a YAML file. May be given "
        "several times: later ones override.",
    )


class Parser(LightningArgumentParser):
    """A parser that says in one sentence what was wrong."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise a short message as `InputError`; nested parses leave it to jsonargparse."""
        if not self.exit_on_error:
            super().error(message, ex)
        raise InputError(short(message, self.option_names())) from ex

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

    def option_names(self) -> set[str]:
        """Return the name of every option of this parser and its commands, without dashes."""
        names: set[str] = set()
        for action in self._actions:
            names.update(o.removeprefix("--") for o in action.option_strings if o.startswith("--"))
            commands = action.choices if isinstance(action.choices, dict) else {}
            for parser in commands.values():
                if isinstance(parser, Parser):
                    names |= parser.option_names()
        return names


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


def short(message: str, options: Iterable[str]) -> str:
    """Return one sentence for a message of jsonargparse: the key, what was given, what is near.

    Args:
        message: What jsonargparse (4.50 to 4.59) says; anything else comes back as its last words.
        options: The names of all options, for suggestions.
    """
    if re.search(r"option '[\w.]*predict_texts'", message, re.IGNORECASE):
        return (
            "--text is for models of texts, and the data here are none: give --data.predict_path "
            "FILE (an image, a folder, a table)."
        )
    if found := re.search(r"[Uu]nrecognized arguments?: -*([^\s=]+)", message):
        name = found.group(1)
        return f"unknown option --{name}.{suggestion(name, options)}"
    if found := re.search(r"does not accept option '([^']+)'", message):
        name = found.group(1)
        return f"unknown key {name}.{suggestion(name, options)}"
    keys = re.findall(r'Parser key "([\w.]+)"', message)
    key = ".".join(keys)
    if found := re.search(
        r"arguments are required: (?:fit\.|validate\.|test\.|predict\.)?(.+)", message
    ):
        name = ".".join([*keys, found.group(1).split(",")[0].strip()])
        if name in ("model", "data"):
            return f"{name} is missing: give --config NAME, or --{name} CLASS (see dlp --help)."
        return f"{name} is missing: give --{name}, or put it in a config."
    if found := re.search(r"Option '([^']+)' is not accepted", message):
        name = found.group(1)
        return f"unknown key {key}.{name}.{suggestion(name, _arguments(message))}"
    if found := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", message):
        module, name = found.groups()
        near = suggestion(name, dir(sys.modules[module])) if module in sys.modules else ""
        return f"{key}: {module} has no {name!r}.{near}"
    if found := re.search(r"No module named '[^']+'|cannot import name '[^']+'", message):
        return f"{key}: {found.group(0)} (classes are imported from the working directory too)."
    if found := re.search(r"with name (\w+)\. Give the full class path[^:]*: ([^\n]*)", message):
        return f"{key}: several classes are called {found.group(1)}: name one of {found.group(2)}"
    literals = re.findall(r"Literal\[([^\]]*)\]", message)
    accepted = re.findall(r"'([^']+)'", literals[0]) if literals else []
    if found := re.search(r"dot import path string: (\S+)", message):
        name = found.group(1)
        if accepted:
            return (
                f"{key} must be one of {', '.join(accepted)}; got {name!r}."
                f"{suggestion(name, accepted)}"
            )
        return f"{key}: there is no class {name!r}.{suggestion(name, _class_names())}"
    given = re.findall(r"(?:Got|Given) value: (.*)", message)
    given = [re.sub(r"^NestedArg\(key='[^']*', val='?(.*?)'?\)$", r"\1", value) for value in given]
    if given and key and (problem := _missing_class(given[0].strip())):
        return f"{key}: {problem}"
    if given and key:
        types = re.findall(r"Expected an? (?:<class '([\w.]+)'>|([\w.\[\], '|]+))", message)
        names = [one or other for one, other in types]
        wanted = list(dict.fromkeys(n for n in names if "." not in n and n != "NoneType"))
        value = given[0].strip()
        expected = ", ".join(accepted) or " or ".join(wanted) or "another kind of value"
        near = suggestion(value, accepted) if accepted else ""
        return f"{key} must be {expected}; got {value!r}.{near}"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return f"{lines[0]} {lines[-1]}" if len(lines) > 1 else message.strip()


def _arguments(message: str) -> list[str]:
    """Return the arguments of the innermost class that a message names."""
    paths = re.findall(r"class_path[= ]'([\w.]+)'", message)
    if not paths:
        return []
    module, _, name = paths[-1].rpartition(".")
    try:
        return list(inspect.signature(getattr(import_module(module), name)).parameters)
    except (ImportError, AttributeError, ValueError):
        return []


def _missing_class(path: str) -> str:
    """Return what is wrong with an import path whose module is there; empty if it is not that."""
    path = "".join(re.findall(r"^\{'class_path': '([\w.]+)'", path)) or path
    module, _, name = path.rpartition(".")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", path) or module not in sys.modules:
        return ""
    if hasattr(sys.modules[module], name):
        return f"{path} is not of the kind that is wanted here."
    return f"{module} has no {name!r}.{suggestion(name, dir(sys.modules[module]))}"


def _class_names() -> list[str]:
    """Return the short names of the classes a config may name."""
    names: set[str] = set()
    waiting: list[type] = [LightningModule, SupervisedDataModule, Callback, Optimizer, LRScheduler]
    while waiting:
        found = waiting.pop()
        names.add(found.__name__)
        waiting.extend(found.__subclasses__())
    return sorted(names)
