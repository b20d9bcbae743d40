"""What a splitter is, and the pairs of parts that it gives."""

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dlp.errors import InputError

Indices = NDArray[np.int64]


@runtime_checkable
class Splitter(Protocol):
    """What scikit-learn's splitters are, and anything that does as they do."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:  # noqa: N803 - scikit-learn's name
        """Yield the positions of training and validation rows of each fold, (n,) and (m,)."""
        ...


def last_pair(
    splitter: Splitter,
    rows: Indices,
    y: ArrayLike | None,
    groups: NDArray[Any] | None,
    most: int | None = None,
) -> tuple[int, tuple[NDArray[Any], NDArray[Any]]]:
    """Return how many pairs a splitter gives, looking at no more than `most`, and the last of them.

    Args:
        splitter: Is called with ``X`` = `rows` as (n, 1), and the `y` and `groups` of these.
        rows: The rows to divide, (n,).
        y: Class or value of each of all rows, (N,) or (N, T).
        groups: The group of each of all rows, (N,).
        most: Stop there.

    Returns:
        The places in `rows` of the training and the held-out rows.

    Raises:
        InputError: The splitter fails.
    """
    part_y = None if y is None else np.asarray(y)[rows]
    part_groups = None if groups is None else groups[rows]
    count, pair = 0, (rows[:0], rows[:0])
    try:
        with warnings.catch_warnings():  # of groups that are ignored, or classes with few rows
            warnings.simplefilter("ignore", UserWarning)
            pairs = splitter.split(rows[:, None], part_y, part_groups)
            for train, held_out in islice(pairs, most):
                count, pair = count + 1, (np.asarray(train), np.asarray(held_out))
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{type(splitter).__name__} cannot split these {len(rows)} rows: {error}"
        ) from error
    return count, pair


def checked_pair(
    splitter: Splitter, fold: int, rows: Indices, y: ArrayLike | None, groups: NDArray[Any] | None
) -> tuple[Indices, Indices]:
    """Return the rows of a pair of a person's own splitter; the arguments are as in `last_pair`.

    Raises:
        InputError: There are fewer pairs, or it is no pair of parts; or it is another one when
            asked again.
    """
    name = type(splitter).__name__
    (count, pair), (_, again) = (
        last_pair(splitter, rows, y, groups, most=fold + 1) for _ in range(2)
    )
    if count <= fold:
        raise InputError(
            f"the splitter {name} gives {count} pairs; there is no fold {fold} (counted from 0)."
        )
    if not all(map(np.array_equal, pair, again)):
        raise InputError(
            f"the splitter {name} gives other rows each time it is asked: set its random_state to "
            "a number."
        )
    for what, part in zip(("training", "validation"), pair, strict=True):
        if part.ndim != 1 or not len(part) or part.dtype.kind not in "iu":
            raise InputError(
                f"pair {fold} of the splitter {name} has {part.dtype} {part.shape} as {what} rows; "
                "it must be a list of one or more row numbers."
            )
        if part.min() < 0 or part.max() >= len(rows):
            raise InputError(
                f"pair {fold} of the splitter {name} has the {what} row "
                f"{part.min() if part.min() < 0 else part.max()}; row numbers are 0 to "
                f"{len(rows) - 1}: of the rows that the test part leaves."
            )
        if len(np.unique(part)) < len(part):
            raise InputError(
                f"pair {fold} of the splitter {name} repeats {what} rows; give each once."
            )
    train, val = (rows[part] for part in pair)
    if shared := len(np.intersect1d(train, val)):
        raise InputError(
            f"pair {fold} of the splitter {name} has {shared} rows in both parts: validation rows "
            "must not be trained on."
        )
    if groups is not None and len(shared_groups := np.intersect1d(groups[train], groups[val])):
        raise InputError(
            f"pair {fold} of the splitter {name} has {len(shared_groups)} groups in both parts: "
            "use one that keeps groups whole, such as scikit-learn's GroupShuffleSplit."
        )
    return train, val
