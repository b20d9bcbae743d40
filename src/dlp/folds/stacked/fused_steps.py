"""Optimizer steps in one pass over the weights, by torch's fused kernels.

Of a small net an optimizer's bookkeeping takes longer than its arithmetic, and of many nets the
passes over memory do.
"""

from collections.abc import Callable

import torch
from torch.optim import Adam, AdamW, Optimizer, RMSprop


def fuse(optimizer: Optimizer) -> None:
    """Let Adam and AdamW use their fused kernel, unless the user chose how they compute."""
    for group in optimizer.param_groups if type(optimizer) in (Adam, AdamW) else ():
        chosen = group["foreach"], group["fused"], group["capturable"] or None
        if chosen == (None, None, None) and not group["differentiable"]:
            group["fused"] = True


def plain_rmsprop(optimizer: Optimizer) -> Callable[[], None] | None:
    """Return a step of plain RMSprop in one pass over the weights, on the CPU.

    None for another optimizer or device, or a torch without the kernel: ``optimizer.step`` serves.

    It is Adam without its first moment and its corrections for the first steps, for which torch
    has a fused kernel: the moment is the gradient itself, and after so many steps every correction
    is exactly 1. The optimizer must have taken a step before, and its count of steps, which nothing
    reads, stays behind.
    """
    (group,) = optimizer.param_groups
    plain = isinstance(optimizer, RMSprop) and not (
        group["momentum"] or group["centered"] or group["weight_decay"] or group["maximize"]
    )
    (weights,) = group["params"]
    # torch gives the kernel no public name. The public ways take longer, of a step of 4 and of 100
    # Boston nets, in microseconds: the kernel 8 and 166, torch.optim.adam.adam(fused=True) 17 and
    # 180, RMSprop.step 37 and 390; the gradients take 33 and 150. A test looks whether it is there.
    kernel = getattr(torch, "_fused_adam_", None)
    if not plain or kernel is None or weights.device.type != "cpu":
        return None
    steps = torch.tensor(1e9, device=weights.device)

    def step() -> None:
        gradient = weights.grad
        kernel(
            [weights],
            [gradient],
            [gradient],
            [optimizer.state[weights]["square_avg"]],
            [],
            [steps],
            lr=group["lr"],
            beta1=0.0,
            beta2=group["alpha"],
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    return step
