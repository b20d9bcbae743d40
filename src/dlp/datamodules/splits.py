"""Hold-out and K-fold splits: a split is a small object, its parts are index arrays.

Pure functions of their arguments: no global random state, no Lightning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dlp.errors import InputError

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Row numbers of the three parts of a labelled set; disjoint by construction."""

    train: Indices
    val: Indices
    test: Indices


@dataclass(frozen=True)
class Split:
    """How labelled rows are divided.

    The rows are put in order once (shuffled by `seed`, or left as they come), then cut: the
    first rows are the test part, the next ones the validation part, the rest is trained on. With
    `num_folds`, the validation part is fold number `fold` of what the test part leaves.

    Args:
        val_size: Validation rows: a count, a fraction of all rows, or None to train on everything.
        test_size: Test rows, likewise; None where the set has a test part of its own.
        train_size: Use only so many of the training rows (the first ones in order), likewise.
        seed: Shuffle before any cut; None leaves the rows in the order given.
        stratify: Give every class its share in each part, to within a row; the parts have the
            sizes asked for (needs class labels).
        num_folds: K of K-fold validation; `val_size` is then ignored.
        fold: The fold that validates, from 0.
        repeat: The repetition of a repeated K-fold, from 0: each shuffles anew.
    """

    val_size: int | float | None = None
    test_size: int | float | None = None
    train_size: int | float | None = None
    seed: int | None = None
    stratify: bool = False
    num_folds: int | None = None
    fold: int = 0
    repeat: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked before any data is read."""
        for name in ("val_size", "test_size", "train_size"):
            size = getattr(self, name)
            if isinstance(size, float) and size >= 2 and size.is_integer():
                object.__setattr__(self, name, int(size))  # a command line gives 4000 as 4000.0
            _check_size(name, getattr(self, name))
        if self.num_folds is not None and self.num_folds < 2:
            raise InputError(f"num_folds must be at least 2, got {self.num_folds}.")
        if self.num_folds is not None and not 0 <= self.fold < self.num_folds:
            raise InputError(f"fold must be 0 to {self.num_folds - 1}, got {self.fold}.")
        for name, number in (("repeat", self.repeat), ("split_seed", self.seed or 0)):
            if number < 0:
                raise InputError(f"{name} must be 0 or more, got {number}.")

    def of_sample(self, num_rows: int) -> "Split":
        """Return this split for a trial on `num_rows` of the rows: a count is a quarter at most."""
        most = num_rows // 4

        def few(size: int | float | None) -> int | float | None:
            return min(size, most) if isinstance(size, int) else size

        return replace(
            self,
            val_size=few(self.val_size),
            test_size=few(self.test_size),
            train_size=few(self.train_size),
        )

    def parts(
        self, num_rows: int, labels: Sequence[int] | NDArray[np.int64] | None = None
    ) -> Parts:
        """Return the row numbers of the training, validation and test part.

        Args:
            num_rows: Number of labelled rows.
            labels: The class of each row, (N,); needed by `stratify` alone.

        Raises:
            InputError: The sizes leave no training row, or a fold would be empty.
        """
        groups = self._groups(num_rows, labels)
        ordered = [_shuffled(group, self.seed) for group in groups]
        test, rest = _cut(ordered, _count("test_size", self.test_size, num_rows))
        if self.num_folds is None:
            val, train = _cut(rest, _count("val_size", self.val_size, num_rows))
        else:
            train, val = self._folds(rest)
        if not sum(map(len, train)):
            raise InputError(
                f"val_size={self.val_size} and test_size={self.test_size} leave none of the "
                f"{num_rows} rows to train on. Give smaller counts, or fractions that sum to "
                "less than 1."
            )
        if self.train_size is not None:
            train = self._take(train, num_rows)
        return Parts(_joined(train), _joined(val), _joined(test))

    def _groups(
        self, num_rows: int, labels: Sequence[int] | NDArray[np.int64] | None
    ) -> list[Indices]:
        """Return the rows that are cut together: all of them, or those of each class."""
        if not self.stratify:
            return [np.arange(num_rows)]
        if labels is None:
            raise InputError(
                "stratify=True needs class labels, and this set has none: leave it out."
            )
        classes = np.asarray(labels)
        return [np.flatnonzero(classes == value) for value in np.unique(classes)]

    def _folds(self, groups: list[Indices]) -> tuple[list[Indices], list[Indices]]:
        assert self.num_folds is not None
        train, val = [], []
        total = sum(map(len, groups))
        if total < self.num_folds:
            raise InputError(f"num_folds={self.num_folds} is more than the {total} rows there are.")
        turn = 0  # folds take turns over the classes, so that all differ by one row at most
        for group in groups:
            order = group
            if self.repeat or self.seed is not None:
                entropy = [0 if self.seed is None else self.seed, 1 + self.repeat]
                order = np.random.default_rng(entropy).permutation(group)
            folds = np.array_split(order, self.num_folds)
            chosen = (self.fold - turn) % self.num_folds
            turn += len(order) % self.num_folds
            val.append(folds[chosen])
            train.append(np.concatenate(folds[:chosen] + folds[chosen + 1 :]))
        return train, val

    def _take(self, train: list[Indices], num_rows: int) -> list[Indices]:
        total = sum(map(len, train))
        assert self.train_size is not None
        wanted = _as_count(self.train_size, num_rows)
        if not 1 <= wanted <= total:
            raise InputError(
                f"train_size={self.train_size} asks for {wanted} training rows; the split leaves "
                f"{total}."
            )
        return _cut(train, wanted)[0]


def _check_size(name: str, size: int | float | None) -> None:
    accepted = "a count of rows, a fraction between 0 and 1, or null"
    if size is None:
        return
    if isinstance(size, bool) or not 0 <= size < (1 if isinstance(size, float) else np.inf):
        raise InputError(f"{name} must be {accepted}; got {size}.")


def _as_count(size: int | float, num_rows: int) -> int:
    return round(size * num_rows) if isinstance(size, float) else size


def _count(name: str, size: int | float | None, num_rows: int) -> int:
    """Return how many of all rows a part of `size` has."""
    if size is None:
        return 0
    wanted = _as_count(size, num_rows)
    if wanted > num_rows:
        raise InputError(
            f"{name}={size} is more than the {num_rows} rows there are. Give a smaller count, or a "
            "fraction such as 0.2."
        )
    if size and not wanted:
        raise InputError(
            f"{name}={size} of {num_rows} rows is no row. Give a larger fraction, a count, or null."
        )
    return wanted


def _cut(groups: list[Indices], count: int) -> tuple[list[Indices], list[Indices]]:
    """Return the first rows of each group, `count` in all, and the others.

    The groups share the count by their sizes, with the largest remainders rounded up (Hamilton's
    method): each is within one row of its exact share, and the sum is exact.
    """
    whole = max(sum(map(len, groups)), 1)
    shares = [count * len(group) // whole for group in groups]
    by_remainder = sorted(
        range(len(groups)), key=lambda number: count * len(groups[number]) % whole, reverse=True
    )
    for number in by_remainder[: count - sum(shares)]:
        shares[number] += 1
    pairs = list(zip(groups, shares, strict=True))
    return [group[:share] for group, share in pairs], [group[share:] for group, share in pairs]


def _shuffled(rows: Indices, seed: int | None) -> Indices:
    return rows if seed is None else np.random.default_rng(seed).permutation(rows)


def _joined(groups: list[Indices]) -> Indices:
    return np.concatenate(groups) if groups else np.empty(0, dtype=np.int64)


def keras_order(num_rows: int) -> Indices:
    """Return the order that ``keras.datasets`` shuffles its sets into (legacy seed 113)."""
    order = np.arange(num_rows)
    np.random.RandomState(113).shuffle(order)
    return order
