"""What heads ask of the first batches of a run, said in sentences."""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dlp.console import say
from dlp.errors import InputError


def checked_number(name: str, given: int) -> int:
    """Return `given` as a whole number of 1 or more.

    Raises:
        InputError: It is not such a number.
    """
    try:
        number = operator.index(given)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{name} must be a whole number of 1 or more, got {given!r}.")
    return number


def checked_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of one row.

    Raises:
        InputError: It is not a sequence of positive whole numbers.
    """
    try:
        return tuple(checked_number("each side", side) for side in input_shape)
    except (TypeError, InputError) as error:
        raise InputError(
            "input_shape must be the shape of one row, such as (20,) for 20 columns or (3, 150, "
            f"150) for images; got {input_shape!r}."
        ) from error


def checked_batch(batch: object) -> tuple[Any, Tensor]:
    """Return inputs and targets of a batch.

    Raises:
        InputError: It is not a pair, or its targets are not a tensor.
    """
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    given = f" of {len(batch)}" if isinstance(batch, tuple | list | dict) else ""
    raise InputError(
        f"the loader gives a {type(batch).__name__}{given}, and a batch must be a pair (inputs, "
        "targets), the targets a tensor; several inputs go into a tuple or dict of their own: "
        "((a, b), targets)."
    )


def checked_logits(logits: object) -> Tensor:
    """Return what a network gave; raise `InputError` unless it is a tensor."""
    if isinstance(logits, Tensor):
        return logits
    raise InputError(
        f"the network gives a {type(logits).__name__}, and the head takes a tensor of logits "
        "(N, L) alone: let its forward return that, or wrap it in a module that does."
    )


def check_images(
    images: Tensor, taker: str, channels: int, size: tuple[int, ...] | None = None
) -> None:
    """Raise `InputError` unless `images` are floats (N, channels, *size); None is any size."""
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] != channels or size not in (None, shape[2:]):
        height, width = size or ("height", "width")
        raise InputError(
            f"{taker} takes images (N, {channels}, {height}, {width}), got {shape}."
            f"{layout_hint(shape, channels)}"
        )
    if not images.is_floating_point():
        raise InputError(
            f"{taker} takes float images in [0, 1], got {images.dtype}: use images.float() / 255."
        )


def layout_hint(shape: tuple[int, ...], channels: int) -> str:
    """Return how a batch becomes (N, channels, height, width), as a sentence; or nothing."""
    if len(shape) == 4 and shape[3] == channels:
        return " This batch has its channels last: use images.permute(0, 3, 1, 2)."
    if len(shape) == 4 and (shape[1], channels) == (1, 3):
        return " Grey images: use images.expand(-1, 3, -1, -1)."
    if len(shape) == 3 and channels == 1:
        return " This batch has no channel axis: use images.unsqueeze(1)."
    return " One image: use images.unsqueeze(0)." if len(shape) == 3 else ""


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


def check_scaling(head: nn.Module, data: object) -> None:
    """Compare how a head and a DataModule standardise targets.

    Args:
        head: Of a model.
        data: The Trainer's DataModule, or None; it may have `target_scaling`, `target_mean` and
            `target_std`.

    Raises:
        InputError: The data standardises its targets, and the head knows nothing of it.
    """
    if getattr(data, "target_scaling", None) != "standard":
        return
    names = ("mean", "std")
    theirs = torch.tensor([getattr(data, f"target_{name}") for name in names])
    found = [getattr(head, name, None) for name in names]
    buffers = [each.cpu() for each in found if isinstance(each, Tensor)]
    ours = torch.stack(buffers) if len(buffers) == len(names) else None
    mean, std = theirs.tolist()
    if ours is not None and ours.shape == theirs.shape and torch.allclose(ours, theirs, 1e-4):
        return
    if ours is None or (not ours[0].any() and bool((ours[1] == 1).all())):
        raise InputError(
            f"target_scaling: standard standardises the targets (mean {mean}, deviation {std}), "
            "and the model was made without these numbers: give it head: regression with "
            "target_mean=data.target_mean and target_std=data.target_std."
        )
    say(
        f"warning: the model standardises targets by mean {ours[0].tolist()} and deviation "
        f"{ours[1].tolist()}, its own or its checkpoint's; the training part has {mean} and {std}"
    )


def say_what_is_lost(precision: str, prediction: str) -> None:
    """Say what a Trainer's precision takes from an optimizer, and from targets that are values.

    Args:
        precision: As Lightning writes it. The ``-true`` ones of 16 bits convert whole batches,
            targets included, before a model sees them, and so are the optimizer's numbers.
        prediction: What the head predicts: ``probabilities`` or ``values``.
    """
    instead = precision.replace("true", "mixed")
    if precision == "16-true":
        say(
            "warning: precision 16-true holds the optimizer's squared gradients and its eps in 16 "
            f"bits, where small ones are 0: losses may become nan; {instead} keeps them"
        )
    lost = {"16-true": "none beyond 65,504", "bf16-true": "some 3 significant digits"}
    if prediction == "values" and precision in lost:
        say(
            f"warning: precision {precision} holds the targets too in 16 bits ({lost[precision]}): "
            f"{instead} leaves them as they are"
        )
