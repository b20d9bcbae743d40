"""The contract of readers: rows as people have them become arrays of NumPy."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

#: What an encoder learned of its rows, plain values by name.
Spec = Mapping[str, Any]


class Reader(ABC):
    """Reader of rows as people have them; it returns arrays of NumPy with N rows each.

    A page asks for a row in a `form`: ``columns``, ``text``, ``file`` or ``json``.

    Args:
        spec: `Encoder.spec` of the rows.
    """

    form = "json"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @abstractmethod
    def __call__(self, rows: Any) -> list[Any]:
        """Encode rows."""

    def fields(self) -> list[dict[str, Any]]:
        """Return name, kind, typical cell, categories, ... of each column."""
        return []
