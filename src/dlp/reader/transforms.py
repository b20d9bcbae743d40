"""Logarithms of targets, for arrays of NumPy and tensors of torch alike."""

from types import ModuleType
from typing import Literal, TypeVar

import numpy as np

TargetTransform = Literal["none", "log", "log1p"]
Values = TypeVar("Values")

_INVERSES = {"log": "exp", "log1p": "expm1"}


def transformed(values: Values, transform: TargetTransform, library: ModuleType = np) -> Values:
    """Return transformed values.

    Args:
        values: Array or tensor.
        transform: Logarithm.
        library: Library of the values, ``numpy`` or ``torch``.
    """
    if transform == "none":
        return values
    result: Values = getattr(library, transform)(values)
    return result


def untransformed(values: Values, transform: TargetTransform, library: ModuleType = np) -> Values:
    """Return the values from which `transformed` gave these."""
    if transform == "none":
        return values
    result: Values = getattr(library, _INVERSES[transform])(values)
    return result
