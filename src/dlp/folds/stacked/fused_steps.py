"""Optimizer steps in one pass over the weights, by torch's fused kernels.

Of a small net an optimizer's bookkeeping takes longer than its arithmetic, and of many nets the
passes over memory do.
"""

from collections.abc import Callable

from torch.optim import Adam, AdamW, Optimizer, RMSprop

from dlp.modules.optimizers import KerasRMSprop, fused_step, is_plain


def fuse(optimizer: Optimizer) -> None:
    """Let Adam and AdamW use their fused kernel, unless the user chose how they compute."""
    for group in optimizer.param_groups if type(optimizer) in (Adam, AdamW) else ():
        chosen = group["foreach"], group["fused"], group["capturable"] or None
        if chosen == (None, None, None) and not group["differentiable"]:
            group["fused"] = True


def plain_rmsprop(optimizer: Optimizer) -> Callable[[], None] | None:
    """Return a step of plain RMSprop of one tensor of weights, without any bookkeeping.

    None where `fused_step` does not serve: ``optimizer.step`` does. The optimizer must have taken a
    step before this one, and its count of steps, which nothing reads, stays behind. The gradient
    must stay the tensor that it is now.
    """
    (group,) = optimizer.param_groups
    (weights,) = group["params"]
    if type(optimizer) not in (RMSprop, KerasRMSprop) or not is_plain(group):
        return None
    return fused_step([weights], [optimizer.state[weights]["square_avg"]], group)
