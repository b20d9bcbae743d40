"""Objects that a config names by their import path."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from dlp.errors import InputError, unknown


def imported(kind: str, path: str, known: Iterable[str]) -> Any:
    """Return the object at an import path such as ``torch.nn.functional.l1_loss``.

    Args:
        kind: What it is, for messages.
        path: The path; without a dot it is a misspelt name.
        known: The names that are accepted besides import paths.

    Raises:
        InputError: There is no such name, or no such object.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise unknown(kind, path, known)
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"the {kind} {path!r} cannot be imported: {error}.") from error
