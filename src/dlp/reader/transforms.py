"""Logarithms of targets, for arrays of NumPy and tensors of torch alike."""

from typing import Any, Literal

import numpy as np

TargetTransform = Literal["none", "log", "log1p"]

_INVERSES = {"log": "exp", "log1p": "expm1"}


def transformed(values: Any, transform: TargetTransform, library: Any = np) -> Any:
    """Return transformed values; `library` is ``numpy`` or ``torch``, whose they are."""
    if transform == "none":
        return values
    return getattr(library, transform)(values)


def untransformed(values: Any, transform: TargetTransform, library: Any = np) -> Any:
    """Return the values of which these are the transformed ones."""
    if transform == "none":
        return values
    return getattr(library, _INVERSES[transform])(values)
