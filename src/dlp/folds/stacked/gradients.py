"""Gradients of the activations and of the built-in losses, written out: they need no graph.

Autograd on the same batched products (leaves that are views of one tensor) took 2.7, 2.2 and 2.0
times as long a step of 4, 40 and 100 Boston nets (medians of 5 rounds in turns, one thread, torch
2.13). Written out such a step takes 30, 130 and 300 microseconds.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.modules.losses import LossFunction, mae_of_sigmoid, mse_of_sigmoid, mse_of_softmax

_aten = torch.ops.aten


class ActivationGradient(NamedTuple):
    """A function and its gradient.

    Args:
        forward: From the sums to the activations, which it writes into the second argument and
            returns.
        backward: From the gradient with respect to the activations, the sums and the activations
            to the gradient with respect to the sums.
    """

    forward: Callable[[Tensor, Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]


#: The layers of `networks.ACTIVATIONS`, with autograd's own formulas. Some are copied, since not
#: every kernel writes into memory with gaps (GELU's of torch 2.13 does not heed them).
ACTIVATION_GRADIENTS: dict[type[nn.Module], ActivationGradient] = {
    nn.ReLU: ActivationGradient(
        lambda z, out: torch.clamp_min(z, 0, out=out),
        lambda g, z, a: _aten.threshold_backward.default(g, a, 0),
    ),
    nn.Tanh: ActivationGradient(
        lambda z, out: torch.tanh(z, out=out), lambda g, z, a: _aten.tanh_backward.default(g, a)
    ),
    nn.Sigmoid: ActivationGradient(
        lambda z, out: torch.sigmoid(z, out=out),
        lambda g, z, a: _aten.sigmoid_backward.default(g, a),
    ),
    nn.LeakyReLU: ActivationGradient(
        lambda z, out: out.copy_(F.leaky_relu(z)),
        lambda g, z, a: _aten.leaky_relu_backward.default(g, z, 0.01, False),
    ),
    nn.ELU: ActivationGradient(
        lambda z, out: out.copy_(F.elu(z)),
        lambda g, z, a: _aten.elu_backward.default(g, 1, 1, 1, False, z),
    ),
    nn.GELU: ActivationGradient(
        lambda z, out: out.copy_(F.gelu(z)),
        lambda g, z, a: _aten.gelu_backward.default(g, z),
    ),
    nn.SiLU: ActivationGradient(
        lambda z, out: out.copy_(F.silu(z)),
        lambda g, z, a: _aten.silu_backward.default(g, z),
    ),
    nn.Identity: ActivationGradient(lambda z, out: out.copy_(z), lambda g, z, a: g),
}


class LossGradient(NamedTuple):
    """The gradient of each net's mean loss with respect to the logits, but for a constant.

    Args:
        of_sum: From logits and targets, both (F, B, C), to the gradient of the sum, divided by
            `factor`; in memory of its own.
        factor: See `of_sum`.
        over_rows: Whether the mean is over rows alone, and not over all numbers.
    """

    of_sum: Callable[[Tensor, Tensor], Tensor]
    factor: float = 1.0
    over_rows: bool = False

    def scale(self, rows: int, columns: int) -> float:
        """Return by what `of_sum` is multiplied for batches of (F, rows, columns) logits."""
        return self.factor / (rows if self.over_rows else rows * columns)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.softmax(logits, -1).mul_(targets.sum(-1, keepdim=True)).sub_(targets)


def _sigmoid_difference(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.sigmoid(logits).sub_(targets)


def _mse_of_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    values = torch.sigmoid(logits)
    return torch.sub(values, targets).mul_(values).mul_(1 - values)


def _mae_of_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    values = torch.sigmoid(logits)
    return torch.sub(values, targets).sign_().mul_(values).mul_(1 - values)


def _mse_of_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    values = torch.softmax(logits, -1)
    difference = torch.sub(values, targets)
    return difference.sub_((difference * values).sum(-1, keepdim=True)).mul_(values)


#: Every built-in loss -> its gradient.
LOSS_GRADIENTS: dict[LossFunction, LossGradient] = {
    F.cross_entropy: LossGradient(_cross_entropy, over_rows=True),
    F.binary_cross_entropy_with_logits: LossGradient(_sigmoid_difference),
    F.mse_loss: LossGradient(torch.sub, 2),
    F.l1_loss: LossGradient(lambda z, t: torch.sub(z, t).sign_()),
    F.huber_loss: LossGradient(lambda z, t: torch.sub(z, t).clamp_(-1, 1)),
    mse_of_sigmoid: LossGradient(_mse_of_sigmoid, 2),
    mae_of_sigmoid: LossGradient(_mae_of_sigmoid),
    mse_of_softmax: LossGradient(_mse_of_softmax, 2),
}
