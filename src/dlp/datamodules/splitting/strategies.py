"""The ways rows are cut into parts: shuffled, by whole groups, by time, by anybody's splitter."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dlp.errors import InputError

Indices = NDArray[np.int64]


@runtime_checkable
class Splitter(Protocol):
    """What scikit-learn's splitters are, and anything that does as they do."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:  # noqa: N803 - scikit-learn's name
        """Yield the positions of training and validation rows of each fold, (n,) and (m,)."""
        ...


class Cut(Protocol):
    """How rows are put in order and cut."""

    def order(self, num_rows: int, seed: int | None) -> Indices:
        """Return the numbers of all rows in the order that `first` and `fold` take them."""
        ...

    def first(self, rows: Indices, count: int) -> tuple[Indices, Indices]:
        """Return a part of `count` rows, and the others."""
        ...

    def fold(
        self, rows: Indices, num_folds: int, fold: int, entropy: list[int] | None
    ) -> tuple[Indices, Indices]:
        """Return the training and the validation rows of a fold; None does not shuffle."""
        ...

    def fewer(self, rows: Indices, count: int) -> Indices:
        """Return `count` of the training rows."""
        ...


@dataclass(frozen=True)
class ByRow(Cut):
    """Row by row, each class by itself.

    Args:
        strata: The class of each row, (N,), where every part is to have its share; else zeros.
    """

    strata: NDArray[Any]

    def order(self, num_rows: int, seed: int | None) -> Indices:
        """Return the rows of each class in turn, each shuffled by `seed`."""
        strata = self._strata(np.arange(num_rows))
        if seed is None:
            return _joined(strata)
        return _joined([np.random.default_rng(seed).permutation(rows) for rows in strata])

    def first(self, rows: Indices, count: int) -> tuple[Indices, Indices]:
        """Return the first rows of each class, `count` in all, and the others."""
        strata = self._strata(rows)
        pairs = list(zip(strata, _shares([len(rows) for rows in strata], count), strict=True))
        taken = _joined([rows[:share] for rows, share in pairs])
        return taken, _joined([rows[share:] for rows, share in pairs])

    def fold(
        self, rows: Indices, num_folds: int, fold: int, entropy: list[int] | None
    ) -> tuple[Indices, Indices]:
        """Return a fold that differs from the others by a row at most, in each class too."""
        if len(rows) < num_folds:
            raise InputError(f"num_folds={num_folds} is more than the {len(rows)} rows there are.")
        train, val = [], []
        turn = 0  # folds take turns over the classes, so that all differ by one row at most
        for stratum in self._strata(rows):
            shuffled = stratum
            if entropy is not None:
                shuffled = np.random.default_rng(entropy).permutation(stratum)
            folds = np.array_split(shuffled, num_folds)
            chosen = (fold - turn) % num_folds
            turn += len(stratum) % num_folds
            val.append(folds[chosen])
            train.append(_joined(folds[:chosen] + folds[chosen + 1 :]))
        return _joined(train), _joined(val)

    def fewer(self, rows: Indices, count: int) -> Indices:
        """Return the first rows of each class."""
        return self.first(rows, count)[0]

    def _strata(self, rows: Indices) -> list[Indices]:
        strata = self.strata[rows]
        return [rows[strata == value] for value in np.unique(strata)]


class ByGroup(Cut):
    """By whole groups: none stands in two parts.

    Args:
        groups: The group of each row, (N,).
        strata: The class of each row, (N,), where every part is to have about its share.
    """

    def __init__(self, groups: NDArray[Any], strata: NDArray[Any] | None) -> None:
        self.groups = _numbered(groups)[1]
        self.strata = strata

    def order(self, num_rows: int, seed: int | None) -> Indices:
        """Return the rows group by group, the groups shuffled by `seed`."""
        place = np.arange(self.groups.max(initial=-1) + 1)
        if seed is not None:
            place = np.random.default_rng(seed).permutation(place)
        return np.argsort(place[self.groups], kind="stable")

    def first(self, rows: Indices, count: int) -> tuple[Indices, Indices]:
        """Return whole groups, in all as near to `count` rows (of each class) as one pass gets."""
        if not count:
            return rows[:0], rows
        order, groups = _numbered(self.groups[rows])
        strata = np.zeros(len(rows), int) if self.strata is None else self.strata[rows]
        counts = np.zeros((len(order), len(np.unique(strata))))
        np.add.at(counts, (groups, np.unique(strata, return_inverse=True)[1]), 1)
        lacking = counts.sum(axis=0) * count / len(rows)
        # The first that brings the part nearer goes in; the nearest one where none does.
        taken = np.zeros(len(order), dtype=np.bool_)
        for number, group in enumerate(counts):
            if np.square(lacking - group).sum() < np.square(lacking).sum():
                taken[number] = True
                lacking = lacking - group
        if not taken.any():
            taken[np.square(counts - lacking).sum(axis=1).argmin()] = True
        if taken.all():
            raise InputError(
                f"the rows are of {len(order)} groups: whole ones do not make a part of {count} "
                f"of {len(rows)} rows and leave others. Ask for another size."
            )
        return rows[taken[groups]], rows[~taken[groups]]

    def fold(
        self, rows: Indices, num_folds: int, fold: int, entropy: list[int] | None
    ) -> tuple[Indices, Indices]:
        """Return a fold of scikit-learn's GroupKFold or StratifiedGroupKFold."""
        from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

        groups = self.groups[rows]
        if (found := len(np.unique(groups))) < num_folds:
            raise InputError(f"num_folds={num_folds} is more than the {found} groups there are.")
        shuffle = entropy is not None
        state = int(np.random.default_rng(entropy).integers(2**32)) if shuffle else None
        kind = GroupKFold if self.strata is None else StratifiedGroupKFold
        folds = kind(num_folds, shuffle=shuffle, random_state=state)
        strata = None if self.strata is None else self.strata[rows]
        train, val = _nth_pair(folds, fold, rows, strata, groups)
        if not len(val):
            raise InputError(
                f"fold {fold} has no row: the groups cannot be shared out by class. Take fewer "
                "folds, or leave stratify out."
            )
        return rows[train], rows[val]

    def fewer(self, rows: Indices, count: int) -> Indices:
        """Return the rows of the first groups; the last one of them may be cut."""
        strata = np.zeros(len(self.groups), int) if self.strata is None else self.strata
        return ByRow(strata).fewer(rows, count)


@dataclass(frozen=True)
class ByTime(Cut):
    """By time: the last rows make up a part, and rows of one time stay together.

    Args:
        times: The time of each row, numbers (N,).
    """

    times: NDArray[Any]

    def order(self, num_rows: int, seed: int | None) -> Indices:
        """Return the rows from the earliest to the latest; `seed` plays no role."""
        return np.argsort(self.times, kind="stable")

    def first(self, rows: Indices, count: int) -> tuple[Indices, Indices]:
        """Return the last rows, about `count`, and those before them."""
        if not count:
            return rows[:0], rows
        cut = self._moved(rows, len(rows) - count)
        return rows[cut:], rows[:cut]

    def fold(
        self, rows: Indices, num_folds: int, fold: int, entropy: list[int] | None
    ) -> tuple[Indices, Indices]:
        """Return a fold of scikit-learn's TimeSeriesSplit, the earlier rows and the next ones."""
        from sklearn.model_selection import TimeSeriesSplit

        few = InputError(
            f"num_folds={num_folds} in order of time needs {num_folds + 1} stretches of the "
            f"{len(rows)} rows, none of which splits rows of one time: take fewer folds."
        )
        if len(rows) <= num_folds:
            raise few
        every = [
            (self._moved(rows, int(val[0])), self._moved(rows, int(val[-1]) + 1))
            for _, val in TimeSeriesSplit(num_folds).split(rows)
        ]
        if any(start == end for start, end in every):
            raise few
        start, end = every[fold]
        return rows[:start], rows[start:end]

    def fewer(self, rows: Indices, count: int) -> Indices:
        """Return the latest rows."""
        return rows[len(rows) - count :]

    def _moved(self, rows: Indices, cut: int) -> int:
        """Return the place nearest to `cut` that has no rows of one time on both sides.

        The ends are such places for a cut at the end alone: no part is to be empty.
        """
        if cut == len(rows):
            return cut
        times = self.times[rows]
        places = np.flatnonzero(times[1:] != times[:-1]) + 1
        if not len(places):
            raise InputError(f"all {len(rows)} rows are of one time: there is no place to cut.")
        return int(places[np.abs(places - cut).argmin()])


# Anybody's splitter -------------------------------------------------------------------------------


def splitter_fold(
    splitter: Splitter,
    fold: int,
    rows: Indices,
    targets: NDArray[Any] | None,
    groups: NDArray[Any] | None,
) -> tuple[Indices, Indices]:
    """Return the training and the validation rows of pair number `fold` of a splitter.

    Args:
        splitter: Is called with ``X`` = `rows` as (n, 1), and the targets and groups of these.
        fold: The number of the pair, from 0.
        rows: The rows to divide, (n,).
        targets: Class or value of each of all rows, (N,) or (N, T).
        groups: The group of each of all rows, (N,).

    Raises:
        InputError: There are fewer pairs, or it is no pair of parts; or it is another one when
            asked again.
    """
    name = type(splitter).__name__
    y = None if targets is None else targets[rows]
    part_groups = None if groups is None else groups[rows]
    pair, again = (_nth_pair(splitter, fold, rows, y, part_groups) for _ in range(2))
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


def count_pairs(
    splitter: Splitter, rows: Indices, targets: NDArray[Any] | None, groups: NDArray[Any] | None
) -> int:
    """Return how many pairs a splitter gives; the arguments are those of `splitter_fold`."""
    y = None if targets is None else targets[rows]
    return _walk(splitter, rows, y, None if groups is None else groups[rows], None)[0]


def _nth_pair(
    splitter: Splitter, number: int, rows: Indices, y: Any, groups: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    count, pair = _walk(splitter, rows, y, groups, number + 1)
    if count <= number:
        raise InputError(
            f"the splitter {type(splitter).__name__} gives {count} pairs; there is no fold "
            f"{number} (counted from 0)."
        )
    return pair


def _walk(
    splitter: Splitter, rows: Indices, y: Any, groups: Any, most: int | None
) -> tuple[int, tuple[NDArray[Any], NDArray[Any]]]:
    """Return the number of pairs, looking at no more than `most` of them, and the last pair."""
    count, pair = 0, (rows[:0], rows[:0])
    try:
        with warnings.catch_warnings():  # of groups that are ignored, or classes with few rows
            warnings.simplefilter("ignore", UserWarning)
            for train, val in islice(splitter.split(rows[:, None], y, groups), most):
                count, pair = count + 1, (np.asarray(train), np.asarray(val))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{type(splitter).__name__} cannot split these {len(rows)} rows: {error}"
        ) from error
    return count, pair


# --------------------------------------------------------------------------------------------------


def _shares(sizes: list[int], count: int) -> list[int]:
    """Return how many of `count` each of several sets gets, by their sizes.

    The largest remainders are rounded up (Hamilton's method): each is within one row of its exact
    share, and the sum is exact.
    """
    whole = max(sum(sizes), 1)
    shares = [count * size // whole for size in sizes]
    by_remainder = sorted(
        range(len(sizes)), key=lambda number: count * sizes[number] % whole, reverse=True
    )
    for number in by_remainder[: count - sum(shares)]:
        shares[number] += 1
    return shares


def _numbered(groups: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct groups in order of appearance, and the place of each row's in them."""
    values, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    place = np.empty(len(values), np.int64)
    place[by_appearance] = np.arange(len(values))
    return values[by_appearance], place[inverse]


def _joined(parts: list[Indices]) -> Indices:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
