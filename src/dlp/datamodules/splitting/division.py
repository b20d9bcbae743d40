"""The division of labelled rows into parts, by all that is known of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.examples import Examples
from dlp.datamodules.splitting.splits import Parts, Split
from dlp.datamodules.targets import TargetEncoder


def divide(split: Split, labelled: Examples, encoder: TargetEncoder, trial: bool) -> Parts:
    """Return the parts of labelled rows.

    Args:
        split: The parts asked for; a validation part of the set's own takes the place of
            `val_size`, unless folds are made or the split says otherwise.
        labelled: The rows.
        encoder: What their targets mean.
        trial: Whether they are a sample, so that counts are to be smaller.
    """
    labels, targets = class_of_each(encoder, labelled.targets)
    rows = len(targets)
    own = 0 if split.makes_folds or not split.own_val else labelled.num_val
    split = replace(split, val_size=None) if own else split
    split = split.of_sample(rows - own) if trial else split
    parts = split.parts(
        rows - own,
        None if labels is None else labels[: rows - own],
        targets=targets[: rows - own],
        groups=labelled.groups,
        times=labelled.times,
    )
    return replace(parts, val=np.arange(rows - own, rows)) if own else parts


def num_splits(split: Split, labelled: Examples, encoder: TargetEncoder) -> int:
    """Return how many folds a split makes of labelled rows; 1 for a hold-out."""
    labels, targets = class_of_each(encoder, labelled.targets)
    return split.num_splits(
        len(targets), labels, targets=targets, groups=labelled.groups, times=labelled.times
    )


def class_of_each(
    encoder: TargetEncoder, values: NDArray[Any] | None
) -> tuple[NDArray[np.int64] | None, NDArray[Any]]:
    """Return the class of each row, (N,), where rows have one, and the encoded targets."""
    assert values is not None
    encoded = encoder.encode(values)
    if not encoder.is_classification:
        return None, encoded
    return (encoded.argmax(axis=1) if encoded.ndim == 2 else encoded), encoded


def report_shared_groups(
    labelled: Examples, test: Examples | None, report: Callable[[str, str], None]
) -> None:
    """Say so if groups of a test part of its own stand in the labelled rows too.

    Args:
        labelled: The labelled rows outside it.
        test: The test part; None where there is none.
        report: Takes a name for the kind of message, and the message.
    """
    if test is None or test.groups is None or labelled.groups is None:
        return
    shared = len(np.intersect1d(test.groups.astype(np.str_), labelled.groups.astype(np.str_)))
    if shared:
        report("groups", f"{shared:,} groups of the test part are also trained or validated on")
