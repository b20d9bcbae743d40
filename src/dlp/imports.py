"""Objects that a config names by their import path."""

import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlp.errors import InputError, suggestion, unknown


def imported(kind: str, path: str, known: Iterable[str] = ()) -> Any:
    """Return the object at an import path such as ``torch.nn.functional.l1_loss``.

    Modules in the working directory are found too, whichever way Python was started.

    Args:
        kind: What it is, for messages.
        path: ``package.module.name`` or ``package.module:name``.
        known: The names that are accepted besides import paths: a path of one word is one of
            these, misspelt.

    Raises:
        InputError: It is no import path, or there is no such module or object.
    """
    *modules, name = path.replace(":", ".").split(".")
    choices = list(known)
    if choices and not modules:
        raise unknown(kind, path, choices)
    if not modules or not all(part.isidentifier() for part in (*modules, name)):
        raise InputError(
            f"the {kind} {path!r} is no import path. Accepted: module.name, such as my_code.name "
            "for what my_code.py in the working directory calls name."
        )
    module_name = ".".join(modules)
    try:
        with _working_directory_importable():
            importlib.invalidate_caches()
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"the {kind} {path!r} cannot be imported: {error}. A module must lie in the working "
            f"directory ({Path.cwd()}) or be installed."
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        names = [known for known in dir(module) if not known.startswith("_")]
        raise InputError(
            f"the {kind} {path!r} cannot be imported: {module_name} has no {name!r}."
            f"{suggestion(name, names)}"
        ) from error


def configured(kind: str, value: Any) -> Any:
    """Return the object that a ``class_path`` with ``init_args`` asks for; another value as it is.

    Args:
        kind: What it is, for messages.
        value: Such a mapping, as a config holds it.

    Raises:
        InputError: There is no such class, it has no such argument, or it cannot be made of them.
    """
    given: dict[str, Any] = vars(value) if type(value).__name__ == "Namespace" else value
    if not isinstance(given, dict) or "class_path" not in given:
        return value
    path = str(given["class_path"])
    made = imported(kind, path)
    arguments = given.get("init_args") or {}
    arguments = vars(arguments) if type(arguments).__name__ == "Namespace" else dict(arguments)
    known = inspect.signature(made).parameters
    loose = any(each.kind is each.VAR_KEYWORD for each in known.values())
    for name in arguments:
        if name not in known and not loose:
            raise unknown(f"argument of {path.rpartition('.')[2]}", name, known)
    try:
        return made(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"the {kind} {path} cannot be made: {error}.") from error


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    if folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
