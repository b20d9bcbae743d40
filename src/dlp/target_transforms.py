"""What values are trained on instead of themselves: logarithms, for targets that are skewed."""

from typing import Literal

from torch import Tensor

TargetTransform = Literal["none", "log", "log1p"]


def transformed(values: Tensor, transform: TargetTransform) -> Tensor:
    """Return what is trained on: the values, ``log(y)`` or ``log(1 + y)``."""
    if transform == "none":
        return values
    return values.log() if transform == "log" else values.log1p()


def restored(values: Tensor, transform: TargetTransform) -> Tensor:
    """Return the values of which `transformed` gave these."""
    if transform == "none":
        return values
    return values.exp() if transform == "log" else values.expm1()


def lowest(transform: TargetTransform) -> float:
    """Return the number above which every value must lie."""
    return {"none": float("-inf"), "log": 0.0, "log1p": -1.0}[transform]
