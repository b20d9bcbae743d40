import hashlib
import itertools

import numpy as np
import pytest

from dlp.datamodules.splits import Split
from dlp.datamodules.splitting.pairs import Splitter
from dlp.datamodules.splitting.strategies import Folds, HoldOut, RowKeys

LABELS = np.array([0, 1, 1, 2, 0, 2, 1, 0, 1, 0, 2, 1])
GROUPS = np.array([5, 3, 5, 3, 2, 2, 9, 9, 1, 1, 4, 4])
TIMES = np.array([7, 1, 1, 9, 3, 3, 4, 8, 5, 5, 6, 2])


@pytest.mark.parametrize(
    ("strata", "groups", "times"),
    [
        (None, None, None),
        (LABELS, None, None),
        (None, GROUPS, None),
        (LABELS, GROUPS, None),
        (None, None, TIMES),
    ],
)
def test_every_strategy_is_a_splitter_and_shares_the_rows_out(strata, groups, times):
    keys = RowKeys(strata, groups, times)
    rows = keys.order(12, seed=1)
    for splitter in (keys.hold_out(3), keys.folds(3, [0, 1])):
        assert isinstance(splitter, Splitter)
        train, held_out = keys.pair(splitter, 0, rows)
        assert len(held_out)
        assert not set(train) & set(held_out)
        assert set(train) | set(held_out) <= set(rows)


def test_folds_of_our_own_may_be_given_as_a_persons():
    for fold in range(3):
        ours = Split(num_folds=3, fold=fold).parts(12, LABELS)
        given = Split(splitter=Folds(3, None), fold=fold).parts(12, None)
        assert ours.val.tolist() == given.val.tolist()
        assert ours.train.tolist() == given.train.tolist()


def test_rows_held_out_are_the_first_of_each_class():
    ((train, held_out),) = HoldOut(6).split(LABELS, LABELS)
    assert held_out.tolist() == [0, 4, 1, 2, 6, 3]
    assert train.tolist() == [7, 9, 8, 11, 5, 10]


def test_saved_runs_keep_their_rows():
    """The hash is that of earlier versions: a change would mix trained and tested rows."""
    found = hashlib.sha256()
    sizes = (
        {"val_size": 0.25},
        {"val_size": 4, "test_size": 3},
        {"num_folds": 3, "fold": 1},
        {"num_folds": 3, "fold": 2, "repeat": 1, "test_size": 0.1},
        {"val_size": 2, "train_size": 5},
    )
    for size, seed, stratify in itertools.product(sizes, (None, 0, 5), (False, True)):
        for keys in ({}, {"times": TIMES}, {"groups": GROUPS}):
            by_time, makes_folds = "times" in keys, "num_folds" in size
            if by_time and (stratify or "repeat" in size):
                continue
            if "groups" in keys and makes_folds:  # scikit-learn's
                continue
            parts = Split(seed=seed, stratify=stratify, **size).parts(12, LABELS, **keys)
            for rows in (parts.train, parts.val, parts.test):
                found.update(rows.astype(np.int64).tobytes() + b"|")
    assert found.hexdigest() == "bd59afb5df9509e1761407d3a29eac48d00cf2ab0a3bd1e545a56dc599955499"
