"""What heads ask of the first batches of a run, said in sentences."""

from torch import Tensor

from dlp.errors import InputError


def check_width(logits: Tensor, targets: Tensor, width: int) -> None:
    """Raise `InputError` unless logits are (N, width) and there are N targets."""
    if logits.ndim != 2 or logits.shape[1] != width:
        raise InputError(
            f"the network gives {tuple(logits.shape)}, and the head takes (N, {width}): set the "
            "width of its last layer."
        )
    if len(logits) != len(targets):
        raise InputError(f"the batch has {len(logits)} inputs and {len(targets)} targets.")


def check_columns(targets: Tensor, columns: int, head: str) -> None:
    """Raise `InputError` unless targets are (N, columns), or (N,) for one column."""
    if targets.numel() != len(targets) * columns:
        raise InputError(
            f"{head} has {columns} outputs, and the targets have shape {tuple(targets.shape)}."
        )


def check_range(targets: Tensor, top: int, accepted: str) -> None:
    """Raise an `InputError` that begins with `accepted` unless targets lie in [0, top]."""
    if not targets.numel():
        return
    low, high = targets.min().item(), targets.max().item()
    if not (low >= 0 and high <= top):
        raise InputError(f"{accepted}; these go from {low:.4g} to {high:.4g}.")


def check_whole(targets: Tensor) -> None:
    """Raise `InputError` unless all class numbers are whole."""
    if targets.is_floating_point() and (targets % 1 != 0).any():
        raise InputError(
            "head: softmax takes whole class numbers, got values such as "
            f"{targets[targets % 1 != 0][0].item():.4g}. For values use head: regression."
        )
