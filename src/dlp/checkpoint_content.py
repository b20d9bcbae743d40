"""What a checkpoint holds, and objects that are made again from one."""

import inspect
import os
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlp.errors import InputError, MissingInputError


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a checkpoint.

    Raises:
        MissingInputError: There is no such file.
        InputError: It is damaged, or no checkpoint of Lightning.
    """
    if not Path(path).is_file():
        raise MissingInputError(f"there is no checkpoint {path}.")
    try:
        read: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not {"state_dict", "pytorch-lightning_version"} <= read.keys():
            raise KeyError("state_dict")
    except Exception as error:  # torch and pickle fail on a damaged file in many ways
        raise InputError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}): it is damaged, "
            "or no checkpoint of this project."
        ) from error
    return read


def data_states(checkpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the name of the DataModule -> what it had learned, of a checkpoint's run."""
    return {
        name: value
        for name, value in checkpoint.items()
        if isinstance(value, dict) and {"inputs", "targets", "input_shape"} <= value.keys()
    }


def missing_arguments(init: Callable[..., None], given: Container[str]) -> list[str]:
    """Return the arguments without a default that an ``__init__`` still needs."""
    return [
        name
        for name, parameter in list(inspect.signature(init).parameters.items())[1:]
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in given
    ]


def plain(value: Any) -> Any:
    """Return NumPy numbers and arrays, and paths, as Python's values; anything else as it is."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def is_plain(value: Any) -> bool:
    """Whether ``torch.load(weights_only=True)`` takes `value`."""
    if isinstance(value, list | tuple | set):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, bool | int | float | str)
