"""The JSON files of a run: a number that is none (NaN, infinite) is null there, and NaN here."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dlp.errors import InputError
from dlp.files import write_text


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file of a run holds; an empty dict where there is none.

    Raises:
        InputError: It is damaged.
    """
    if not path.exists():
        return {}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or no UTF-8
        raise InputError(
            f"{path} is damaged ({error}): put back a copy, or delete it; its run can be tested "
            "and reported again from its checkpoints."
        ) from error
    if not isinstance(read, dict):
        raise InputError(f"{path} is damaged: it holds no numbers by name. Delete it.")
    return read


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file of a run, atomically; NaN and infinite numbers become ``null``."""
    write_text(path, json.dumps(with_nulls(content), indent=1, allow_nan=False) + "\n")


def from_nulls(values: Iterable[float | None]) -> list[float]:
    """Return numbers as they were measured: NaN for each ``null``."""
    return [math.nan if value is None else float(value) for value in values]


def with_nulls(value: Any) -> Any:
    """Return plain values as JSON has them: None for each number that is NaN or infinite."""
    if isinstance(value, dict):
        return {name: with_nulls(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_nulls(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
