"""Losses by name, import path, class or function; each takes (logits, prepared targets)."""

from collections.abc import Callable
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor

from dlp.errors import InputError
from dlp.imports import configured, imported

Loss = str | Callable[..., Any]
LossFunction = Callable[[Tensor, Tensor], Tensor]
Losses = dict[str, LossFunction]


def mse_of_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error of probabilities, of (N, C) and (N, C)."""
    return F.mse_loss(logits.sigmoid(), targets)


def mae_of_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute error of probabilities, of (N, C) and (N, C)."""
    return F.l1_loss(logits.sigmoid(), targets)


def mse_of_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error of probabilities, of (N, C) and (N,) or (N, C)."""
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1]).to(logits)
    return F.mse_loss(logits.softmax(1), targets)


def make_loss(loss: Loss | None, known: Losses) -> LossFunction:
    """Return the loss of a name of `known` (None: the first), an import path or a callable.

    A class is made without arguments.

    Raises:
        InputError: No such name or object, or it cannot be called.
    """
    if loss is None:
        return next(iter(known.values()))
    if isinstance(loss, str):
        loss = known[loss] if loss in known else cast(Loss, imported("loss", loss, known))
    loss = configured("loss", loss)
    if not callable(loss):
        raise InputError(
            f"the loss {loss!r} cannot be called. Accepted: {', '.join(known)}, an import path, "
            "or a function (logits, targets)."
        )
    return cast(LossFunction, loss() if isinstance(loss, type) else loss)
