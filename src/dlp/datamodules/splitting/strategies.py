"""The ways rows are divided: every one is a splitter as scikit-learn's, ``split(X, y, groups)``.

What `Split` asks for is made of those here: rows, whole groups or rows in order of time, held out
once or in folds. A person's own splitter stands beside them. What each is told of the rows comes
in the same way: ``y`` is the class of each row where every part is to have its share, ``groups``
what keeps rows together (of rows in order of time: their times).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.splitting.pairs import Indices, Splitter, last_pair
from dlp.errors import InputError

#: Positions of training and of held-out rows, (n,) and (m,).
Pairs = Iterator[tuple[Indices, Indices]]


class RowKeys:
    """What rows are divided by, and which splitters go with it.

    Args:
        strata: The class of each row, (N,), where every part is to have its share.
        groups: The group of each row, (N,), where none may stand in two parts.
        times: The time of each row, numbers (N,), where parts follow each other in time.
    """

    def __init__(
        self, strata: NDArray[Any] | None, groups: NDArray[Any] | None, times: NDArray[Any] | None
    ) -> None:
        self.strata = strata
        self.groups = None if groups is None else _numbered(groups)
        self.times = times

    def order(self, num_rows: int, seed: int | None) -> Indices:
        """Return the numbers of all rows in the order in which they are divided.

        Args:
            num_rows: Number of rows, N.
            seed: Shuffles the rows of each class, or the groups; plays no role for times.
        """
        if self.times is not None:
            return np.argsort(self.times, kind="stable")
        if self.groups is not None:
            place = np.arange(self.groups.max(initial=-1) + 1)
            if seed is not None:
                place = np.random.default_rng(seed).permutation(place)
            return np.argsort(place[self.groups], kind="stable")
        return np.concatenate(_rows_by_class(num_rows, self.strata, seed))

    def hold_out(self, count: int) -> Splitter:
        """Return what holds out about `count` rows."""
        if self.times is not None:
            return TimeHoldOut(count)
        return HoldOut(count) if self.groups is None else GroupHoldOut(count)

    def folds(self, num_folds: int, entropy: list[int] | None) -> Splitter:
        """Return what makes folds, shuffled by `entropy` unless they follow in time."""
        if self.times is not None:
            return TimeFolds(num_folds)
        return (Folds if self.groups is None else GroupFolds)(num_folds, entropy)

    def pair(self, splitter: Splitter, number: int, rows: Indices) -> tuple[Indices, Indices]:
        """Return the training and the held-out rows of pair `number` of these rows."""
        together = self.groups if self.times is None else self.times
        _, (train, held_out) = last_pair(splitter, rows, self.strata, together, most=number + 1)
        return rows[train], rows[held_out]

    def fewer(self, rows: Indices, count: int) -> Indices:
        """Return `count` of the rows to train on: the latest, or the first ones of each class."""
        if self.times is not None:
            return rows[len(rows) - count :]
        return self.pair(HoldOut(count), 0, rows)[1]


# Row by row, each class by itself -----------------------------------------------------------------


@dataclass(frozen=True)
class HoldOut:
    """The first rows of each class are held out, `count` in all."""

    count: int

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: N803 - scikit-learn's
        """Yield the one pair."""
        classes = _rows_by_class(len(X), y, None)
        shares = _shares([len(rows) for rows in classes], self.count)
        pairs = list(zip(classes, shares, strict=True))
        held_out = np.concatenate([rows[:share] for rows, share in pairs])
        yield np.concatenate([rows[share:] for rows, share in pairs]), held_out


@dataclass(frozen=True)
class Folds:
    """Folds that differ by a row at most, in each class too.

    Args:
        num_folds: How many.
        entropy: Seeds of the shuffle; None does not shuffle.
    """

    num_folds: int
    entropy: list[int] | None

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: N803 - scikit-learn's
        """Yield each fold."""
        if len(X) < self.num_folds:
            raise InputError(
                f"num_folds={self.num_folds} is more than the {len(X)} rows there are."
            )
        classes = _rows_by_class(len(X), y, self.entropy)
        pieces = [np.array_split(rows, self.num_folds) for rows in classes]
        # Folds take turns over the classes, so that all differ by one row at most.
        turns = np.cumsum([0] + [len(rows) for rows in classes])
        for fold in range(self.num_folds):
            train, val = [], []
            for turn, folds in zip(turns, pieces, strict=False):
                chosen = (fold - turn) % self.num_folds
                val.append(folds[chosen])
                train += folds[:chosen] + folds[chosen + 1 :]
            yield np.concatenate(train), np.concatenate(val)


# By whole groups: none stands in two parts --------------------------------------------------------


@dataclass(frozen=True)
class GroupHoldOut:
    """Whole groups are held out, as near to `count` rows (of each class) as one pass gets."""

    count: int

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: N803 - scikit-learn's
        """Yield the one pair."""
        if not self.count:
            yield np.arange(len(X)), np.arange(0)
            return
        groups = _numbered(groups)
        strata = np.zeros(len(X), int) if y is None else y
        counts = np.zeros((groups.max() + 1, len(np.unique(strata))))
        np.add.at(counts, (groups, np.unique(strata, return_inverse=True)[1]), 1)
        lacking = counts.sum(axis=0) * self.count / len(X)
        # The first that brings the part nearer goes in; the nearest one where none does.
        taken = np.zeros(len(counts), dtype=np.bool_)
        for number, group in enumerate(counts):
            if np.square(lacking - group).sum() < np.square(lacking).sum():
                taken[number] = True
                lacking = lacking - group
        if not taken.any():
            taken[np.square(counts - lacking).sum(axis=1).argmin()] = True
        if taken.all():
            raise InputError(
                f"the rows are of {len(counts)} groups: whole ones do not make a part of "
                f"{self.count} of {len(X)} rows and leave others. Ask for another size."
            )
        yield np.flatnonzero(~taken[groups]), np.flatnonzero(taken[groups])


@dataclass(frozen=True)
class GroupFolds:
    """The folds of scikit-learn's GroupKFold; of StratifiedGroupKFold where there are classes.

    Args:
        num_folds: How many.
        entropy: Seeds of the shuffle; None does not shuffle.
    """

    num_folds: int
    entropy: list[int] | None

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: N803 - scikit-learn's
        """Yield each fold."""
        from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

        if (found := len(np.unique(groups))) < self.num_folds:
            raise InputError(
                f"num_folds={self.num_folds} is more than the {found} groups there are."
            )
        shuffle = self.entropy is not None
        state = int(np.random.default_rng(self.entropy).integers(2**32)) if shuffle else None
        kind = GroupKFold if y is None else StratifiedGroupKFold
        folds = kind(self.num_folds, shuffle=shuffle, random_state=state)
        yield from folds.split(X, y, groups)


# In order of time: rows of one time stay together -------------------------------------------------


@dataclass(frozen=True)
class TimeHoldOut:
    """The last rows are held out, about `count`."""

    count: int

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: N803 - scikit-learn's
        """Yield the one pair; `groups` are the times, in order."""
        cut = _moved(groups, len(X) - self.count)
        yield np.arange(cut), np.arange(cut, len(X))


@dataclass(frozen=True)
class TimeFolds:
    """The folds of scikit-learn's TimeSeriesSplit: the earlier rows, and the next ones."""

    num_folds: int

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: N803 - scikit-learn's
        """Yield each fold; `groups` are the times, in order."""
        from sklearn.model_selection import TimeSeriesSplit

        few = InputError(
            f"num_folds={self.num_folds} in order of time needs {self.num_folds + 1} stretches of "
            f"the {len(X)} rows, none of which splits rows of one time: take fewer folds."
        )
        if len(X) <= self.num_folds:
            raise few
        ends = [
            (_moved(groups, int(val[0])), _moved(groups, int(val[-1]) + 1))
            for _, val in TimeSeriesSplit(self.num_folds).split(X)
        ]
        if any(start == end for start, end in ends):
            raise few
        for start, end in ends:
            yield np.arange(start), np.arange(start, end)


# --------------------------------------------------------------------------------------------------


def _rows_by_class(num_rows: int, y: Any, seed: int | list[int] | None) -> list[Indices]:
    """Return the positions of the rows of each class, shuffled; without classes, of all rows."""
    classes = [np.arange(num_rows)]
    if y is not None:
        classes = [np.flatnonzero(y == value) for value in np.unique(y)]
    if seed is None:
        return classes
    return [np.random.default_rng(seed).permutation(rows) for rows in classes]


def _moved(times: NDArray[Any], cut: int) -> int:
    """Return the place nearest to `cut` that has no rows of one time on both sides.

    The ends are such places for a cut at the end alone: no part is to be empty.
    """
    if cut == len(times):
        return cut
    places = np.flatnonzero(times[1:] != times[:-1]) + 1
    if not len(places):
        raise InputError(f"all {len(times)} rows are of one time: there is no place to cut.")
    return int(places[np.abs(places - cut).argmin()])


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


def _numbered(groups: NDArray[Any]) -> Indices:
    """Return the number of each row's group, (N,), counted in order of appearance."""
    values, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    place = np.empty(len(values), np.int64)
    place[by_appearance] = np.arange(len(values))
    return place[inverse]
