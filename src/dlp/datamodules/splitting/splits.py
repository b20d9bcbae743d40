"""Hold-out and K-fold splits: a split is a small object, its parts are index arrays.

Pure functions of their arguments: no global random state, no Lightning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.splitting.pairs import Indices as Indices
from dlp.datamodules.splitting.pairs import Splitter as Splitter
from dlp.datamodules.splitting.pairs import checked_pair, last_pair
from dlp.datamodules.splitting.strategies import RowKeys
from dlp.errors import InputError


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
    `num_folds` or a `splitter`, the validation part is fold number `fold` of what the test part
    leaves.

    Rows that are grouped are cut by whole groups, nearest to the sizes asked for. Rows that have
    times are put in their order, never shuffled: the last ones are the test part, those before
    them the validation part, and every fold validates on later rows than it trains on. See `parts`.

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
        splitter: Gives the folds instead of `num_folds`, such as scikit-learn's splitters: pair
            number `fold` of those it gives.
        own_val: Validate on the validation part of the set's own, where it has one; else its rows
            are divided with the others.
    """

    val_size: int | float | None = None
    test_size: int | float | None = None
    train_size: int | float | None = None
    seed: int | None = None
    stratify: bool = False
    num_folds: int | None = None
    fold: int = 0
    repeat: int = 0
    splitter: Splitter | None = None
    own_val: bool = True

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
        for name in ("fold", "repeat", "seed"):
            if (getattr(self, name) or 0) < 0:
                argument = "split_seed" if name == "seed" else name
                raise InputError(f"{argument} must be 0 or more, got {getattr(self, name)}.")
        if self.splitter is not None:
            self._check_splitter()

    def _check_splitter(self) -> None:
        name = type(self.splitter).__name__
        if isinstance(self.splitter, type) or not isinstance(self.splitter, Splitter):
            raise InputError(
                f"splitter must be an object with a method split(X, y, groups), such as "
                f"scikit-learn's KFold(5); got {self.splitter!r}."
            )
        if self.num_folds is not None:
            raise InputError(f"give num_folds={self.num_folds} or the splitter {name}, not both.")
        if self.repeat:
            raise InputError(
                f"repeat={self.repeat} with a splitter: {name} gives the same folds every time. "
                "Use one that repeats by itself, such as RepeatedKFold."
            )

    @property
    def makes_folds(self) -> bool:
        """Whether the validation part is one of several folds."""
        return self.num_folds is not None or self.splitter is not None

    def num_own(self, num_val: int) -> int:
        """Return how many of the last `num_val` rows, a validation part of the set's own, validate.

        All or none: where folds are made, or by `own_val`, they are divided as the others are.
        """
        return 0 if self.makes_folds or not self.own_val else num_val

    def refit(self) -> "Split":
        """Return the split that trains on all that the test part leaves, and validates on none."""
        return Split(
            test_size=self.test_size, seed=self.seed, stratify=self.stratify, own_val=False
        )

    def check(self, grouped: bool, ordered: bool) -> None:
        """Check that the split can be made of rows that are grouped, or ordered by time.

        Raises:
            InputError: Two of groups, times and classes would decide, or nothing is to repeat.
        """
        if ordered and (grouped or self.stratify):
            other = "by groups" if grouped else "by class (stratify: true)"
            raise InputError(f"rows cannot be divided by time and {other}: choose one.")
        if ordered and self.repeat:
            raise InputError(
                f"repeat={self.repeat}: in order of time there is one way to make the folds, and "
                "nothing to repeat."
            )

    def of_sample(self, num_rows: int) -> "Split":
        """Return this split for a trial on `num_rows` of the rows.

        A count is a quarter at most; a splitter, which may know the rows, gives way to a quarter.
        """
        most = num_rows // 4

        def few(size: int | float | None) -> int | float | None:
            return min(size, most) if isinstance(size, int) else size

        known = self.splitter is not None
        return replace(
            self,
            splitter=None,
            fold=0 if known else self.fold,
            val_size=0.25 if known else few(self.val_size),
            test_size=few(self.test_size),
            train_size=few(self.train_size),
        )

    def parts(
        self,
        num_rows: int,
        labels: Sequence[int] | NDArray[np.int64] | None = None,
        *,
        targets: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
        times: NDArray[Any] | None = None,
        num_val: int = 0,
    ) -> Parts:
        """Return the row numbers of the training, validation and test part.

        Args:
            num_rows: Number of labelled rows, N.
            labels: The class of each row, (N,); needed by `stratify` alone.
            targets: What a splitter takes for y, (N,) or (N, T); by default `labels`.
            groups: The group of each row, (N,): none stands in two parts.
            times: The time of each row, numbers (N,): parts follow each other in time.
            num_val: The last so many rows are a validation part of the set's own; see `num_own`.

        Raises:
            InputError: The sizes leave no training row, or a fold would be empty; rows cannot be
                divided in this way (see `check`); or the splitter does not give pairs of parts.
        """
        if own := self.num_own(num_val):
            told = {"labels": labels, "targets": targets, "groups": groups, "times": times}
            first: dict[str, Any] = {
                name: values[:-own] for name, values in told.items() if values is not None
            }
            others = replace(self, val_size=None).parts(num_rows - own, **first)
            return replace(others, val=np.arange(num_rows - own, num_rows))
        num_test = _count("test_size", self.test_size, num_rows)
        num_val = 0 if self.makes_folds else _count("val_size", self.val_size, num_rows)
        if num_test + num_val >= num_rows:
            raise InputError(
                f"val_size={self.val_size} and test_size={self.test_size} leave none of the "
                f"{num_rows} rows to train on. Give smaller counts, or fractions that sum to "
                "less than 1."
            )
        self.check(groups is not None, times is not None)
        if self.stratify and labels is None:
            raise InputError(
                "stratify=True needs class labels, and this set has none: leave it out."
            )
        keys = RowKeys(np.asarray(labels) if self.stratify else None, groups, times)
        rest, test = keys.pair(keys.hold_out(num_test), 0, keys.order(num_rows, self.seed))
        if self.splitter is not None:
            rows = rest if times is not None else np.sort(rest)
            y = labels if targets is None else targets
            train, val = checked_pair(self.splitter, self.fold, rows, y, groups)
        elif self.num_folds is not None:
            shuffled = self.repeat or self.seed is not None
            entropy = [self.seed or 0, 1 + self.repeat] if shuffled else None
            train, val = keys.pair(keys.folds(self.num_folds, entropy), self.fold, rest)
            if not len(val):
                raise InputError(
                    f"fold {self.fold} has no row: the groups cannot be shared out by class. Take "
                    "fewer folds, or leave stratify out."
                )
        else:
            train, val = keys.pair(keys.hold_out(num_val), 0, rest)
        if self.train_size is not None:
            wanted = _as_count(self.train_size, num_rows)
            if not 1 <= wanted <= len(train):
                raise InputError(
                    f"train_size={self.train_size} asks for {wanted} training rows; the split "
                    f"leaves {len(train)}."
                )
            train = keys.fewer(train, wanted)
        return Parts(train, val, test)

    def num_splits(
        self,
        num_rows: int,
        labels: Sequence[int] | NDArray[np.int64] | None = None,
        *,
        targets: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
        times: NDArray[Any] | None = None,
    ) -> int:
        """Return how many folds there are: 1 for a hold-out split. The arguments are `parts`'."""
        if self.splitter is None:
            return self.num_folds or 1
        rest = self.refit().parts(num_rows, labels, groups=groups, times=times).train
        rows = rest if times is not None else np.sort(rest)
        return last_pair(self.splitter, rows, labels if targets is None else targets, groups)[0]


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


def keras_order(num_rows: int) -> Indices:
    """Return the order that ``keras.datasets`` shuffles its sets into (legacy seed 113)."""
    order = np.arange(num_rows)
    np.random.RandomState(113).shuffle(order)
    return order
