"""Objects that a config names by their import path."""

import importlib
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
