"""Splits: parts are disjoint, cover the rows, and depend on nothing but the seed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import model_selection as sk

from dlp.datamodules import Examples
from dlp.datamodules.splits import Split, time_values
from dlp.errors import InputError

SEEDS = st.one_of(st.none(), st.integers(0, 99))
SIZES = st.one_of(st.none(), st.integers(3, 5), st.floats(0.15, 0.35))
SPLITTERS = [
    sk.KFold(4, shuffle=True, random_state=1),
    sk.StratifiedKFold(3),
    sk.LeaveOneOut(),
]


def keyed(y, groups=None, times=None):
    return Examples(y, y, groups=groups, times=times)


def lists(parts):
    return [rows.tolist() for rows in parts]


def all_folds(rows, num_folds, **arguments):
    """Return the parts of each fold."""
    folds = []
    for fold in range(num_folds):
        split = Split(num_folds=num_folds, fold=fold, **arguments)
        folds.append(split.parts(rows))
    return folds


def num_groups_over_parts(groups, parts):
    """Return the number of groups, a group in two parts counted twice."""
    return sum(len(set(groups[rows])) for rows in parts)


@given(
    way=st.sampled_from(
        ["contiguous", "shuffled", "stratified", "grouped", "grouped, stratified"]
    ),
    count=st.integers(24, 90),
    num_folds=st.integers(2, 4),
    test_size=st.sampled_from([None, 3, 0.15]),
    seed=st.integers(0, 99),
    repeat=st.integers(0, 2),
    generator=st.integers(0, 10**6).map(np.random.default_rng),
)
def test_folds_are_disjoint_cover_the_rows_and_are_pure_in_the_seed(
    way, count, num_folds, test_size, seed, repeat, generator
):
    all_rows = list(range(count))
    y = generator.integers(0, 3, count)
    groups = None
    if "grouped" in way:
        groups = generator.integers(0, 12, count)
    if way == "contiguous":
        seed = None
        repeat = 0
    elif way == "grouped, stratified":
        y = np.arange(count) % 2
        test_size = None
    arguments = {
        "test_size": test_size,
        "seed": seed,
        "repeat": repeat,
        "stratify": "stratified" in way,
    }
    folds = all_folds(keyed(y, groups), num_folds, **arguments)

    again = all_folds(keyed(y, groups), num_folds, **arguments)
    for parts, same_parts in zip(folds, again, strict=True):
        assert lists(parts) == lists(same_parts)

    test = folds[0].test.tolist()
    assert bool(test) == (test_size is not None)
    for parts in folds:
        assert sorted(np.concatenate(parts)) == all_rows
        assert len(parts.train)
        assert parts.test.tolist() == test
        if groups is not None:
            assert num_groups_over_parts(groups, parts) == len(set(groups))

    validated = np.concatenate([parts.val for parts in folds])
    assert sorted(validated.tolist() + test) == all_rows
    sizes = [len(parts.val) for parts in folds]
    assert min(sizes) > 0
    if groups is None:
        assert max(sizes) - min(sizes) <= 1
    if way == "stratified":
        counts = [np.bincount(y[parts.val], minlength=3) for parts in folds]
        assert np.ptp(counts, axis=0).max() <= 1


def num_rows(size, count):
    """Return the number of rows that a size of a part selects."""
    if size is None:
        return 0
    if isinstance(size, float):
        return round(size * count)
    return size


@given(
    count=st.integers(40, 200),
    val_size=SIZES,
    test_size=SIZES,
    train_size=st.none() | st.integers(3, 4),
    seed=SEEDS,
    stratify=st.booleans(),
)
def test_held_out_parts_have_the_size_and_shares_asked_for(
    count, val_size, test_size, train_size, seed, stratify
):
    y = np.arange(count) % 3
    split = Split(val_size, test_size, train_size, seed, stratify)
    parts = split.parts(keyed(y))
    assert lists(parts) == lists(split.parts(keyed(y)))

    num_val = num_rows(val_size, count)
    num_test = num_rows(test_size, count)
    num_train = num_rows(train_size, count)
    if train_size is None:
        num_train = count - num_val - num_test
    assert [len(rows) for rows in parts] == [num_train, num_val, num_test]
    assert len(set(np.concatenate(parts))) == num_train + num_val + num_test
    if stratify:
        for rows in parts:
            counts = np.bincount(y[rows], minlength=3)
            assert np.ptp(counts) <= 2


@given(
    groups=st.lists(st.integers(0, 15), min_size=20, max_size=80).map(np.array),
    size=st.floats(0.1, 0.4),
    seed=SEEDS,
)
def test_held_out_groups_are_whole_and_near_the_size(groups, size, seed):
    groups = np.concatenate([groups, np.arange(8)])  # enough groups for three parts
    parts = Split(size, size, seed=seed).parts(keyed(groups, groups))
    assert num_groups_over_parts(groups, parts) == len(set(groups))
    largest = np.bincount(groups).max()
    for rows in (parts.val, parts.test):
        assert len(rows) > 0
        assert abs(len(rows) - size * len(groups)) <= largest


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("groups", [None, np.arange(80) // 4])
def test_repeats_and_seeds_give_other_folds(stratify, groups):
    rows = keyed(np.arange(80) % 2, groups)
    validated = set()
    for seed in (0, 1):
        for repeat in (0, 1):
            split = Split(seed=seed, stratify=stratify, num_folds=4, repeat=repeat)
            val = split.parts(rows).val
            validated.add(tuple(sorted(val)))
    assert len(validated) == 4


def test_without_a_seed_parts_and_folds_are_contiguous_as_in_the_book():
    parts = Split(3, 2, seed=None).parts(keyed(np.arange(8)))
    assert lists(parts) == [[5, 6, 7], [2, 3, 4], [0, 1]]
    folds = all_folds(keyed(np.arange(10)), 4, seed=None)
    validated = [parts.val.tolist() for parts in folds]
    assert validated == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]


def test_without_a_seed_the_first_rows_of_each_class_are_held_out():
    classes = np.array([0, 0, 0, 1, 0, 1, 0, 0, 1, 0])
    parts = Split(5, None, seed=None, stratify=True).parts(keyed(classes))
    assert sorted(parts.val) == [0, 1, 2, 3, 4]
    assert sorted(parts.train) == [5, 6, 7, 8, 9]


def test_train_size_takes_rows_from_anywhere_in_the_file():
    rows = keyed(np.arange(100), np.arange(100) // 5)
    for split in (Split(num_folds=5), Split(splitter=sk.KFold(5))):
        train = replace(split, train_size=20).parts(rows).train
        assert train.max() > 50
        assert set(train) <= set(split.parts(rows).train)


def test_the_latest_rows_are_tested_and_those_before_them_validate():
    times = np.array([5, 3, 9, 1, 7, 8, 2, 6, 4, 0])
    parts = Split(3, 2, seed=7).parts(keyed(times, times=times))
    assert [times[rows].tolist() for rows in parts] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7],
        [8, 9],
    ]
    few = Split(3, 2, train_size=2).parts(keyed(times, times=times))
    assert times[few.train].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("times", "test_size", "tested"),
    [
        ([0, 1, 2, 3, 3, 3, 3, 4], 2, [7]),  # nearer than five rows
        ([0, 1, 2, 3, 3, 4, 4, 4], 2, [5, 6, 7]),  # no part is empty
        ([0, 1, 1, 1, 1, 1, 1, 1], 1, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_cut_keeps_rows_of_one_time_together(times, test_size, tested):
    parts = Split(None, test_size).parts(keyed(np.arange(8), times=np.array(times)))
    assert parts.test.tolist() == tested


def test_folds_in_time_are_those_of_scikit_learn_for_the_distinct_times():
    times = np.random.default_rng(0).integers(0, 40, 50)
    distinct = np.unique(times)
    folds = all_folds(keyed(times, times=times), 4)
    pairs = sk.TimeSeriesSplit(4).split(distinct)
    for parts, (train, val) in zip(folds, pairs, strict=True):
        train_rows = np.flatnonzero(np.isin(times, distinct[train]))
        val_rows = np.flatnonzero(np.isin(times, distinct[val]))
        assert sorted(parts.train) == train_rows.tolist()
        assert sorted(parts.val) == val_rows.tolist()


@pytest.mark.parametrize(
    ("times", "order"),
    [
        ([3, 1, 2], [1, 2, 0]),
        ([2**53 + 1, 2**53, 0], [2, 1, 0]),  # float64 would take the first two as one
        ([0.5, -1.5, 0.25], [1, 2, 0]),
        (["2020-10-01", "2020-09-30T23:59", "2020-09-30"], [2, 1, 0]),
        (
            ["2020-01-01T00:00+02:00", "2020-01-01T00:00", "2020-01-01T00:00+01:00"],
            [0, 2, 1],
        ),
        (np.array(["2020-10", "2020-09", "2020-11"], "datetime64[M]"), [1, 0, 2]),
    ],
)
def test_times_are_numbers_or_iso_dates(times, order):
    assert np.argsort(time_values(np.asarray(times))).tolist() == order


@pytest.mark.parametrize("splitter", [*SPLITTERS, sk.ShuffleSplit(3, random_state=0)])
@pytest.mark.parametrize("test_size", [None, 5, 0.2])
@pytest.mark.parametrize("seed", [None, 3])
def test_a_splitter_divides_what_the_test_part_leaves(splitter, test_size, seed):
    rows = keyed(np.arange(30) % 3)
    split = Split(test_size=test_size, seed=seed, splitter=splitter)
    test = split.parts(rows).test
    rest = np.setdiff1d(np.arange(30), test)
    pairs = list(splitter.split(rest, rows.targets[rest]))
    for fold, (train, val) in enumerate(pairs[:3]):
        parts = replace(split, fold=fold).parts(rows)
        assert parts.train.tolist() == rest[train].tolist()
        assert parts.val.tolist() == rest[val].tolist()
        assert parts.test.tolist() == test.tolist()


ROWS = keyed(np.arange(30) % 2)
GROUPED = replace(ROWS, groups=np.arange(30) % 4)
TIMED = replace(ROWS, times=np.arange(30))


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (
            ROWS,
            {"val_size": 0.01},
            "val_size=0.01 selects 0 of 30 rows. Give .* that selects 1 to 29",
        ),
        (
            ROWS,
            {"train_size": 25},
            "train_size=25 selects 25 of 30 rows. Give .* that selects 1 to 24",
        ),
        (ROWS, {"num_folds": 4, "fold": 4}, "got num_folds=4 and fold=4"),
        (ROWS, {"seed": -1}, "split_seed: expected 0 or more, got -1"),
        (ROWS, {"num_folds": 31}, "number of rows, 30, got 31"),
        (
            replace(ROWS, targets=np.arange(30)),
            {"stratify": True},
            "leave out stratify",
        ),
        (GROUPED, {"num_folds": 5}, "GroupKFold cannot divide 30 rows"),
        (GROUPED, {"stratify": True}, "stratify and group_column can only"),
        (TIMED, {"stratify": True}, "time_column cannot be combined"),
        (TIMED, {"num_folds": 3, "repeat": 1}, "time_column cannot be combined"),
        (
            replace(TIMED, times=np.zeros(30)),
            {"num_folds": 3},
            "TimeSeriesSplit cannot divide",
        ),
        (ROWS, {"splitter": sk.KFold(3, shuffle=True)}, "Set its random_state"),
        (GROUPED, {"splitter": sk.KFold(4)}, "rows of one group in both"),
        (
            replace(GROUPED, groups=np.zeros(30, int)),
            {},
            "no rows are left to train on",
        ),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(rows, arguments, message):
    with pytest.raises(InputError, match=message):
        Split(**arguments).parts(rows)


def test_rows_without_a_time_are_named():
    with pytest.raises(InputError, match="got nan in row 2"):
        time_values(np.array([1, 2, np.nan]))
    with pytest.raises(InputError, match=r"got 30\.1\.2020 in row 1"):
        time_values(np.array(["2020-01-30", "30.1.2020"], object))
