"""The book's optimizer."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class KerasRMSprop(torch.optim.RMSprop):
    """RMSprop with the defaults of the book's Keras, which differ from torch's.

    Keras 2.0.8 steps by ``lr * g / (sqrt(v) + eps)`` with a decay of 0.9 and a learning rate of
    0.001; torch's formula is the same, its defaults are 0.99 and 0.01.

    Args:
        params: The parameters, or groups of them.
        lr: Learning rate.
        alpha: Decay of the running mean of squared gradients (Keras: rho).
        eps: Added to its root.
        weight_decay: Coupled L2 penalty: adds ``weight_decay * w`` to the gradient.
        momentum: Momentum of the step.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        alpha: float = 0.9,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(params, lr, alpha, eps, weight_decay, momentum)
