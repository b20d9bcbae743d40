"""Lazy exports (PEP 562), so that ``import dlp.modules`` costs nothing until a name is used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, homes: dict[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package whose names live in its submodules.

    Args:
        package: The package's ``__name__``.
        homes: Exported name -> the submodule that defines it.

    Example:
        >>> __getattr__, __dir__ = lazy_exports(__name__, {"Split": "splits"})
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - the name that PEP 562 gives
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    def __dir__() -> list[str]:  # noqa: N807 - the name that PEP 562 gives
        return sorted(homes)

    return __getattr__, __dir__
