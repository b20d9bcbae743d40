"""The book's optimizer."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class KerasRMSprop(torch.optim.RMSprop):
    """RMSprop with the defaults of the book's Keras, which differ from torch's.

    Keras 2.0.8 steps by ``lr * g / (sqrt(v) + eps)`` with a decay of 0.9 and a learning rate of
    0.001; torch's formula is the same, its defaults are 0.99 and 0.01.

    Every default is None, so that a config which names another optimizer takes over none of them.

    Args:
        params: The parameters, or groups of them.
        lr: Learning rate; None is Keras's 0.001.
        alpha: Decay of the running mean of squared gradients (Keras: rho); None is Keras's 0.9.
        eps: Added to its root; None is Keras's 1e-8.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | None = None,
        alpha: float | None = None,
        eps: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=1e-3 if lr is None else lr,
            alpha=0.9 if alpha is None else alpha,
            eps=1e-8 if eps is None else eps,
        )
