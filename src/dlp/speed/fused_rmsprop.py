"""RMSprop's step by torch's fused Adam, one pass over the weights: 2 to 4 times as fast on the CPU.

Stacked folds take 35 % less CPU time and a convnet's step 7 %; a fit of Reuters gains nothing.

Adam without its first moment and bias corrections is RMSprop. The public ``torch.optim.adam.adam``
checks and groups its arguments in each call: 240 instead of 140 us a stacked step. Proposal for
upstream: ``RMSprop(fused=True)``.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

#: Number of steps after which Adam's bias corrections are exactly 1.
_LATE_STEP = torch.tensor(1e9)


def can_fuse(weight: Tensor) -> bool:
    """Return True for a weight on the CPU without gaps in memory."""
    is_dense = torch.empty_like(weight).stride() == weight.stride()
    return is_dense and weight.device.type == "cpu"


def fused_step(
    weights: list[Tensor],
    gradients: list[Any],
    averages: list[Tensor],
    options: Mapping[str, Any],
) -> None:
    """Update weights and their running averages of squared gradients, which lie as the weights."""
    torch._fused_adam_(
        weights,
        gradients,
        gradients,
        averages,
        [],
        [_LATE_STEP] * len(weights),
        lr=options["lr"],
        beta1=0.0,
        beta2=options["alpha"],
        eps=options["eps"],
        weight_decay=options["weight_decay"],
        amsgrad=False,
        maximize=False,
    )


def laid_out_as(weight: Tensor, tensor: Tensor) -> Tensor:
    """Return a tensor with the strides of the weight; the fused kernel ignores strides."""
    if tensor.stride() == weight.stride():
        return tensor
    return torch.empty_like(weight).copy_(tensor)


def fused_update(optimizer: Optimizer) -> bool:
    """Update all weights that have a gradient; return False where the kernel cannot."""
    for group in optimizer.param_groups:
        if not all(map(can_fuse, group["params"])):
            return False
    for group in optimizer.param_groups:
        views = []
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = optimizer.state[weight]
            if not state:
                state["step"] = torch.zeros(())
                state["square_avg"] = torch.zeros_like(weight)
            # The one of a checkpoint may be laid out in another way.
            state["square_avg"] = laid_out_as(weight, state["square_avg"])
            gradient = laid_out_as(weight, weight.grad)
            # As flat tensors, in the order of memory, they take a third of a step.
            shape = (weight.numel(),)
            tensors = (weight, gradient, state["square_avg"])
            views.append([tensor.as_strided(shape, (1,)) for tensor in tensors])
        if views:
            params, gradients, averages = map(list, zip(*views, strict=True))
            fused_step(params, gradients, averages, group)
    return True
