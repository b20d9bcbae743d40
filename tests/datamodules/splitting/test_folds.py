"""Folds: parts that are what they say in every way of cutting, and nothing that passes between."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import write_image
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from table_examples import houses, table
from text_files import reviews, write_csv

from dlp.cli import main
from dlp.datamodules import (
    ArrayDataModule,
    ImageFolderDataModule,
    Split,
    TableDataModule,
    TextDataModule,
)
from dlp.errors import InputError

PARTS = ("train", "val", "test")


def rows_of(parts):
    return [getattr(parts, name).tolist() for name in PARTS]


def folds_of(num_folds, num_rows, labels=None, groups=None, times=None, **arguments):
    return [
        Split(num_folds=num_folds, fold=fold, **arguments).parts(
            num_rows, labels, groups=groups, times=times
        )
        for fold in range(num_folds)
    ]


# Every way of cutting -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(
    way=st.sampled_from(["contiguous", "shuffled", "stratified", "grouped", "both", "timed"]),
    num_rows=st.integers(24, 90),
    num_folds=st.integers(2, 4),
    test=st.sampled_from([None, 3, 0.15]),
    seed=st.integers(0, 99),
    repeat=st.integers(0, 2),
    random=st.integers(0, 10**6).map(np.random.default_rng),
)
def test_folds_are_disjoint_cover_the_rows_and_depend_on_the_seed_alone(
    way, num_rows, num_folds, test, seed, repeat, random
):
    labels = random.integers(0, 3, num_rows)
    groups = times = None
    if way in ("grouped", "both"):
        groups = random.integers(0, 12, num_rows)
        labels = np.arange(num_rows) % 2  # so that every fold can have each
    if way == "timed":
        times, repeat = random.integers(0, 40, num_rows), 0
    keys = {"labels": labels, "groups": groups, "times": times}
    arguments = {
        "test_size": test,
        "seed": None if way == "contiguous" else seed,
        "stratify": way in ("stratified", "both"),
        "repeat": 0 if way == "contiguous" else repeat,
    }
    folds = folds_of(num_folds, num_rows, **keys, **arguments)
    again = folds_of(num_folds, num_rows, **keys, **arguments)
    assert [rows_of(parts) for parts in folds] == [rows_of(parts) for parts in again]
    for parts in folds:
        train, val, tested = rows_of(parts)
        every = sorted([*train, *val, *tested])
        assert len(set(every)) == len(every)
        assert train
        assert val
        assert parts.test.tolist() == folds[0].test.tolist()
        assert bool(tested) == (test is not None)
        if way != "timed":
            assert every == list(range(num_rows))
        if groups is not None:
            found = [set(groups[rows]) for rows in (train, val, tested)]
            assert sum(map(len, found)) == len(set(groups))
        if times is not None:
            assert times[train].max() < times[val].min()
            assert not tested or times[[*train, *val]].max() < times[tested].min()
    validated = np.concatenate([parts.val for parts in folds])
    assert len(set(validated)) == len(validated)
    if way != "timed":
        assert len(validated) == num_rows - len(folds[0].test)
    if groups is None and times is None:
        sizes = [len(parts.val) for parts in folds]
        assert max(sizes) - min(sizes) <= 1
    if way == "stratified":
        counts = np.array([np.bincount(labels[parts.val], minlength=3) for parts in folds])
        assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_repeats_and_seeds_differ_and_share_the_test_part(stratify, grouped):
    labels, groups = np.arange(80) % 2, np.arange(80) // 4 if grouped else None

    def val_and_test(seed, repeat):
        split = Split(
            test_size=16, seed=seed, stratify=stratify, num_folds=4, fold=1, repeat=repeat
        )
        parts = split.parts(80, labels, groups=groups)
        return sorted(parts.val.tolist()), sorted(parts.test.tolist())

    found = {(seed, repeat): val_and_test(seed, repeat) for seed in (0, 1) for repeat in range(3)}
    assert len({tuple(val) for val, _ in found.values()}) == 6
    for seed in (0, 1):
        assert len({tuple(found[seed, repeat][1]) for repeat in range(3)}) == 1
    assert found[0, 0][1] != found[1, 0][1]


def test_repeats_differ_without_a_seed_too():
    groups = np.arange(60) // 3
    first, second = (
        Split(num_folds=4, repeat=repeat).parts(60, groups=groups).val for repeat in range(2)
    )
    assert first.tolist() != second.tolist()


# Groups -------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    groups=st.lists(st.integers(0, 15), min_size=20, max_size=80).map(np.array),
    val=st.floats(0.1, 0.4),
    test=st.floats(0.1, 0.4),
    seed=st.one_of(st.none(), st.integers(0, 50)),
    stratify=st.booleans(),
)
def test_hold_out_parts_are_whole_groups_near_the_size(groups, val, test, seed, stratify):
    labels = np.arange(len(groups)) % 2
    split = Split(val, test, seed=seed, stratify=stratify)
    if len(np.unique(groups)) < 8:  # too few for three parts, perhaps
        with suppress(InputError):
            split.parts(len(groups), labels, groups=groups)
        return
    parts = split.parts(len(groups), labels, groups=groups)
    train, validated, tested = rows_of(parts)
    assert sorted([*train, *validated, *tested]) == list(range(len(groups)))
    found = [set(groups[rows]) for rows in (train, validated, tested)]
    assert sum(map(len, found)) == len(set(groups))
    assert validated
    assert tested
    if not stratify:
        largest = np.unique(groups, return_counts=True)[1].max()
        assert abs(len(tested) - round(test * len(groups))) <= largest
        assert abs(len(validated) - round(val * len(groups))) <= largest


def test_groups_of_one_row_give_the_exact_sizes_and_those_of_two_rows_both_classes():
    parts = Split(10, 5, seed=3).parts(50, groups=np.arange(50))
    assert [len(rows) for rows in rows_of(parts)] == [35, 10, 5]
    labels = np.repeat([0, 1], [60, 20])
    parts = Split(0.25, seed=3, stratify=True).parts(80, labels, groups=np.arange(80) // 2)
    few, many = np.bincount(labels[parts.val])[[1, 0]]
    assert abs(few - 5) <= 1
    assert abs(many - 15) <= 1


def test_without_a_seed_the_first_groups_come_first():
    groups = np.array(["z", "z", "a", "a", "m", "m", "b", "b"])
    parts = Split(val_size=2, test_size=2).parts(8, groups=groups)
    assert rows_of(parts) == [[4, 5, 6, 7], [2, 3], [0, 1]]


def test_fewer_training_rows_come_from_the_first_groups():
    groups = np.arange(40) // 4
    few = Split(8, train_size=6, seed=0).parts(40, groups=groups)
    more = Split(8, train_size=12, seed=0).parts(40, groups=groups)
    assert set(few.train) < set(more.train)
    assert len(set(groups[few.train])) == 2


def test_more_folds_than_groups_are_refused():
    with pytest.raises(InputError, match="num_folds=5 is more than the 4 groups there are"):
        Split(num_folds=5).parts(40, groups=np.arange(40) % 4)


def test_one_group_cannot_be_divided():
    with pytest.raises(InputError, match="1 groups: whole ones do not make a part of 4 of 40"):
        Split(val_size=4).parts(40, groups=np.zeros(40, int))


# Time ---------------------------------------------------------------------------------------------


def test_the_latest_rows_are_tested_and_those_before_them_validated():
    times = np.array([5, 3, 9, 1, 7, 8, 2, 6, 4, 0])
    parts = Split(val_size=3, test_size=2, seed=7).parts(10, times=times)
    assert [times[rows].tolist() for rows in rows_of(parts)] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7],
        [8, 9],
    ]
    few = Split(val_size=3, test_size=2, train_size=2).parts(10, times=times)
    assert times[few.train].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("times", "test_size", "tested"),
    [
        ([0, 1, 2, 3, 3, 3, 3, 4], 2, [7]),  # nearer than five rows
        ([0, 1, 2, 3, 3, 4, 4, 4], 2, [5, 6, 7]),  # no part is empty
        ([0, 1, 1, 1, 1, 1, 1, 1], 1, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_cut_moves_to_the_nearest_place_that_keeps_one_time_together(times, test_size, tested):
    parts = Split(test_size=test_size).parts(8, times=np.array(times))
    assert parts.test.tolist() == tested


def test_rows_of_one_time_cannot_be_cut():
    with pytest.raises(InputError, match="all 9 rows are of one time"):
        Split(val_size=3).parts(9, times=np.zeros(9))
    with pytest.raises(InputError, match="num_folds=3 in order of time needs 4 stretches"):
        Split(num_folds=3).parts(12, times=np.arange(12) // 6)
    with pytest.raises(InputError, match="num_folds=9 in order of time needs 10 stretches"):
        Split(num_folds=9).parts(9, times=np.arange(9))


def test_folds_in_order_of_time_are_scikit_learns():
    random = np.random.default_rng(0)
    times = random.permutation(50)
    order = np.argsort(times)
    for parts, (train, val) in zip(
        folds_of(4, 50, times=times), TimeSeriesSplit(4).split(order), strict=True
    ):
        assert parts.train.tolist() == order[train].tolist()
        assert parts.val.tolist() == order[val].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stratify": True}, "divided by time and by class"),
        ({"groups": np.arange(10)}, "divided by time and by groups"),
        ({"num_folds": 3, "repeat": 1}, "repeat=1: in order of time there is one way"),
    ],
)
def test_what_time_excludes(arguments, message):
    groups = arguments.pop("groups", None)
    with pytest.raises(InputError, match=message):
        Split(**arguments).parts(10, np.arange(10) % 2, groups=groups, times=np.arange(10))


# Splitters ----------------------------------------------------------------------------------------


class Pairs:
    """A splitter of anybody's own, which gives the pairs it was given."""

    def __init__(self, *pairs):
        self.pairs = pairs

    def split(self, X, y=None, groups=None):  # noqa: N803 - scikit-learn's names
        return iter(self.pairs)


@settings(deadline=None)
@given(
    splitter=st.sampled_from(
        [
            KFold(3),
            KFold(4, shuffle=True, random_state=1),
            StratifiedKFold(3),
            ShuffleSplit(3, random_state=0),
            RepeatedKFold(n_splits=2, n_repeats=2, random_state=0),
            LeaveOneOut(),
        ]
    ),
    num_rows=st.integers(24, 50),
    test=st.sampled_from([None, 5, 0.2]),
    seed=st.one_of(st.none(), st.integers(0, 9)),
)
def test_a_splitter_gives_its_own_pairs_of_what_the_test_part_leaves(
    splitter, num_rows, test, seed
):
    labels = np.arange(num_rows) % 3
    split = Split(test_size=test, seed=seed, splitter=splitter)
    tested = split.parts(num_rows, labels).test
    left = np.setdiff1d(np.arange(num_rows), tested)
    expected = list(splitter.split(left, labels[left]))
    assert split.num_splits(num_rows, labels) == len(expected)
    for fold, (train, val) in enumerate(expected[:4]):
        parts = replace(split, fold=fold).parts(num_rows, labels)
        assert rows_of(parts) == [left[train].tolist(), left[val].tolist(), tested.tolist()]


def test_a_splitter_sees_row_numbers_targets_and_groups():
    seen = {}

    class Looks:
        def split(self, X, y=None, groups=None):  # noqa: N803 - scikit-learn's names
            seen.update(X=X, y=y, groups=groups)
            yield [0, 1], [2, 3]

    groups = np.array([0, 0, 1, 1, 2, 2])
    targets = np.arange(6.0)
    parts = Split(test_size=2, splitter=Looks()).parts(6, targets=targets, groups=groups)
    assert rows_of(parts) == [[2, 3], [4, 5], [0, 1]]
    assert seen["X"].tolist() == [[2], [3], [4], [5]]
    assert seen["y"].tolist() == [2, 3, 4, 5]
    assert seen["groups"].tolist() == [1, 1, 2, 2]


def test_a_splitter_sees_rows_in_the_order_of_time():
    times = np.array([3, 1, 2, 0, 5, 4])
    parts = Split(splitter=TimeSeriesSplit(2), fold=1).parts(6, times=times)
    assert times[parts.train].tolist() == [0, 1, 2, 3]
    assert times[parts.val].tolist() == [4, 5]


def test_group_splitters_get_the_groups():
    groups = np.arange(30) // 3
    parts = Split(splitter=GroupKFold(5), fold=2).parts(30, groups=groups)
    assert not set(groups[parts.train]) & set(groups[parts.val])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "gives 0 pairs; there is no fold 0"),
        ([([0, 1], [])], "has float64 .* as validation rows"),
        ([([0, 1], [True, False])], "has bool .* as validation rows"),
        ([([0, 12], [2])], "the training row 12; row numbers are 0 to 11"),
        ([([0, 1], [-1])], "the validation row -1; row numbers are 0 to 11"),
        ([([0, 1, 1], [2])], "repeats training rows"),
        ([([0, 1], [1, 2])], "has 1 rows in both parts"),
        ([(1, 2, 3)], "Pairs cannot split these 12 rows"),
    ],
)
def test_what_is_no_pair_of_parts_is_refused(pairs, message):
    with pytest.raises(InputError, match=message):
        Split(splitter=Pairs(*pairs)).parts(12)


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (KFold(3, shuffle=True), "gives other rows each time it is asked: set its random_state"),
        (KFold(3, shuffle=True, random_state=np.random.RandomState(0)), "gives other rows"),
        (KFold(40), "KFold cannot split these 30 rows: Cannot have number of splits"),
        (GroupKFold(3), "GroupKFold cannot split these 30 rows: The 'groups' parameter"),
    ],
)
def test_splitters_that_cannot_be_used(splitter, message):
    state = np.random.get_state()
    with pytest.raises(InputError, match=message):
        Split(splitter=splitter).parts(30)
    np.random.set_state(state)


def test_a_splitter_may_not_part_groups():
    with pytest.raises(InputError, match="has 1 groups in both parts"):
        Split(splitter=KFold(4)).parts(20, groups=np.arange(20) // 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"splitter": KFold}, "must be an object with a method split"),
        ({"splitter": 5}, "must be an object with a method split"),
        ({"splitter": KFold(3), "num_folds": 3}, "num_folds=3 or the splitter KFold, not both"),
        ({"splitter": KFold(3), "repeat": 1}, "repeat=1 with a splitter"),
        ({"splitter": KFold(3), "fold": -1}, "fold must be 0 or more"),
    ],
)
def test_impossible_splitters_are_refused_before_any_data(arguments, message):
    with pytest.raises(InputError, match=message):
        Split(**arguments)


# Another split for the same object ----------------------------------------------------------------


class Learner:
    """Features that learn; a part that was seen before would show."""

    def __init__(self):
        self.shown = []

    def fit(self, frame):
        self.shown.append(len(frame))
        self.mean = float(frame["area"].mean())

    def transform(self, frame):
        return frame.assign(gap=frame["area"] - self.mean, fits=len(self.shown))


def holes(rows=40):
    frame = houses(rows)
    frame["kind"] = np.array(["a", "b", "c", "d", None] * 8)[
        np.random.default_rng(1).permutation(rows)
    ]
    frame.loc[[0, 7, 11, 30], "area"] = np.nan
    return frame


@pytest.fixture(scope="module")
def houses_csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "houses.csv"
    holes().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def reviews_csv(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("texts") / "reviews.csv", reviews())


def learned(data):
    """Return the state of a DataModule, but for how it was built."""
    return {name: value for name, value in data.state_dict().items() if name != "arguments"}


def everything(data):
    """Return all that a fit on the current split brings."""
    torch.manual_seed(5)
    data.setup("fit")
    found = [learned(data), str(data), data.num_rows, data.num_splits]
    found += [data.input_shape, data.num_outputs, data.class_names, data.target_summary]
    found += [data.target_mean, data.target_std, "val_dataloader" in vars(data)]
    parts, _ = data.labelled_rows()
    for name in PARTS:
        if not len(getattr(parts, name)):
            continue
        loader = data.loader(name)
        found.append(getattr(parts, name).tolist())
        for inputs, targets in loader:
            if not isinstance(inputs, torch.Tensor):
                inputs = inputs.to_dense(data.input_shape[0])
            found.append((inputs.tolist(), targets.tolist()))
    return found


SIZES = st.sampled_from([None, 8])
SEEDS = st.sampled_from([None, 0, 1])
THIRDS = st.integers(0, 2)
SPLITS = st.one_of(
    st.builds(Split, test_size=SIZES, val_size=st.sampled_from([None, 9]), seed=SEEDS),
    st.builds(
        Split,
        test_size=SIZES,
        seed=SEEDS,
        num_folds=st.just(3),
        fold=THIRDS,
        repeat=st.integers(0, 1),
    ),
    st.builds(Split, test_size=SIZES, seed=SEEDS, splitter=st.just(KFold(3)), fold=THIRDS),
)


def in_turn(make, splits):
    """Yield everything of one object with these splits in turn, and of a new one with each."""
    data = make()
    for split in splits:
        data.resplit(split)
        fresh = make()
        fresh.resplit(split)
        yield everything(data), everything(fresh)


@settings(deadline=None, max_examples=5)
@given(splits=st.lists(SPLITS, min_size=2, max_size=3))
@pytest.mark.parametrize(
    "arguments",
    [
        {"missing": "median", "missing_indicator": True, "target_scaling": "standard"},
        {"missing": "mean", "scaling": "minmax", "features": Learner},
    ],
)
def test_a_table_with_another_split_is_as_new(houses_csv, arguments, splits):
    for again, new in in_turn(lambda: table(houses_csv, **arguments), splits):
        assert again == new


@settings(deadline=None, max_examples=8)
@given(splits=st.lists(SPLITS, min_size=2, max_size=3))
def test_texts_with_another_split_are_as_new(reviews_csv, splits):
    make = partial(TextDataModule, reviews_csv, num_words=30, encoding="tfidf")
    for again, new in in_turn(make, splits):
        assert again == new


@settings(deadline=None, max_examples=20)
@given(splits=st.lists(SPLITS, min_size=2, max_size=4))
def test_arrays_with_another_split_are_as_new(splits):
    x, y = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
    for again, new in in_turn(lambda: ArrayDataModule(x, y, scaling="standard"), splits):
        assert again == new


def test_the_constructor_and_resplit_say_the_same(houses_csv):
    arguments = {"missing": "zero", "val_size": None, "test_size": 8, "split_seed": 3}
    data = table(houses_csv, missing="zero")
    data.fit()
    data.resplit(Split(test_size=8, seed=3, num_folds=4, fold=2, repeat=1))
    assert everything(data) == everything(
        table(houses_csv, **arguments, num_folds=4, fold=2, repeat=1)
    )


def test_rows_are_read_once(houses_csv, monkeypatch):
    data = table(houses_csv, missing="zero")
    data.fit()
    monkeypatch.setattr(data, "load_train", None)
    data.resplit(Split(num_folds=4))
    assert len(data.examples("val").targets) == 10


def test_nothing_of_a_checkpoint_of_other_data_stays(tmp_path, houses_csv):
    other = tmp_path / "other.csv"
    holes().drop(columns=["rooms"]).assign(area=1.0).to_csv(other, index=False)
    saved = table(other, missing="median", scaling="none").state_dict()
    data = table(houses_csv, missing="mean")
    data.load_state_dict(saved)
    assert "rooms" not in data.feature_names
    split = Split(num_folds=3)
    data.resplit(split)
    fresh = table(houses_csv, missing="mean")
    fresh.resplit(split)
    assert everything(data) == everything(fresh)
    assert "rooms" in data.feature_names


def test_encoding_and_class_names_of_a_checkpoint_do_not_stay(tmp_path, reviews_csv):
    relabelled = [(text, f"very {label}") for text, label in reviews()]
    saved = TextDataModule(
        write_csv(tmp_path / "b.csv", relabelled), encoding="tfidf", num_words=20
    ).state_dict()
    data = TextDataModule(reviews_csv, num_words=30)
    data.load_state_dict(saved)
    assert data.encoding == "tfidf"
    as_new_data = TextDataModule(reviews_csv, num_words=30)
    for module in (data, as_new_data):
        module.resplit(Split(num_folds=3))
    assert data.encoding == "multi_hot"
    assert everything(data) == everything(as_new_data)


def test_resuming_a_fold_keeps_its_own_order_and_goes_on_as_new():
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    data = ArrayDataModule(x, y)
    data.resplit(Split(num_folds=4, fold=0))
    saved = everything(data)[0]
    data.resplit(Split(num_folds=4, fold=0))
    torch.manual_seed(77)
    data.setup("fit")
    data.load_state_dict(saved)
    assert learned(data) == saved
    data.resplit(Split(num_folds=4, fold=1))
    fresh = ArrayDataModule(x, y, num_folds=4, fold=1, split_seed=None)
    assert everything(data)[0] == everything(fresh)[0]


def test_messages_are_said_once_for_all_folds(capsys):
    x = np.repeat(np.arange(20.0)[:, None], 2, axis=0)
    y = np.arange(40) % 2
    data = ArrayDataModule(x, y, num_folds=4)
    for repeat in range(2):
        for fold in range(4):
            data.resplit(Split(num_folds=4, fold=fold, repeat=repeat, seed=0))
            data.fit()
    assert capsys.readouterr().out.count("exact duplicates across parts") == 1


def test_a_test_part_of_its_own_excludes_test_size():
    x, y = np.arange(20.0)[:, None], np.arange(20) % 2
    data = ArrayDataModule(x, y, x_test=x + 0.5, y_test=y)
    assert data.num_rows == 20
    data.resplit(Split(test_size=5))
    with pytest.raises(InputError, match="has a test part of its own: leave test_size out"):
        data.fit()


def test_a_test_part_of_its_own_stays_over_folds():
    x, y = np.arange(20.0)[:, None], np.arange(20) % 2
    data = ArrayDataModule(x, y, x_test=x + 0.5, y_test=y)
    for fold in range(4):
        data.resplit(Split(num_folds=4, fold=fold, seed=0))
        assert np.array_equal(data.examples("test").rows, x + 0.5)


def test_refit_trains_on_all_but_the_test_part():
    x, y = np.arange(40.0)[:, None], np.arange(40) % 2
    data = ArrayDataModule(x, y, test_size=8, stratify=True, num_folds=4, fold=1)
    tested = data.examples("test").rows.tolist()
    assert data.num_rows == 32
    data.resplit(data.split.refit())
    data.setup("fit")
    assert len(data.examples("train").targets) == 32
    assert data.examples("test").rows.tolist() == tested
    with pytest.raises(InputError, match="there is no validation part"):
        data.val_dataloader()
    data.resplit(Split(test_size=8, seed=0, num_folds=4))
    data.setup("fit")
    assert len(data.val_dataloader().inputs) == 8


def test_refit_trains_on_a_validation_folder_too(tmp_path):
    for number in range(12):
        part = "train" if number < 8 else "val"
        write_image(tmp_path / part / "ab"[number % 2] / f"{number}.png", number)
    data = ImageFolderDataModule(tmp_path, image_size=8)
    assert len(data.examples("val").targets) == 4
    data.resplit(data.split.refit())
    assert len(data.examples("train").targets) == 12


def test_learn_from_all_is_the_books_leak():
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40.0)
    data = ArrayDataModule(x, y, num_folds=4, scaling="standard")
    data.learn_from_all = True
    means = []
    for fold in range(4):
        data.resplit(Split(num_folds=4, fold=fold))
        data.fit()
        means.append(data.fit().inputs)
        assert data.target_summary["mean"] == [data.examples("train").targets.mean()]
    assert all(state == means[0] for state in means)
    assert np.allclose(means[0]["mean"], x.mean(axis=0), atol=1e-6)
    data.learn_from_all = False
    data.resplit(Split(num_folds=4))
    data.fit()
    assert data.fit().inputs != means[0]


# What the targets are like ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "arguments", "expected"),
    [
        (np.array(["a", "a", "a", "b"]), {}, {"frequencies": [0.75, 0.25]}),
        (np.eye(2)[[0, 0, 1, 0]], {}, {"frequencies": [0.75, 0.25]}),
        (np.array([[1, 1], [0, 1], [0, 1], [1, 1]]), {}, {"frequencies": [0.5, 1.0]}),
        (np.array([1.5, 2, 3, 9.5]), {}, {"mean": [4.0], "median": [2.5]}),
        (
            np.array([[1.5, 0], [2, 0], [3, 0], [9.5, 8]]),
            {},
            {"mean": [4.0, 2.0], "median": [2.5, 0.0]},
        ),
    ],
)
def test_the_summary_of_the_targets_goes_into_the_checkpoint(y, arguments, expected):
    x = np.arange(len(y), dtype=float)[:, None]
    data = ArrayDataModule(x, y, val_size=None, **arguments)
    assert data.target_summary == expected
    restored = ArrayDataModule(x + 1, y[::-1], val_size=1)
    restored.load_state_dict(data.state_dict())
    assert restored.target_summary == expected


def test_the_summary_is_of_the_training_part_in_its_own_unit(houses_csv):
    data = table(houses_csv, missing="zero", target_scaling="standard", val_size=0.5)
    prices = data.examples("train").targets
    assert data.target_summary["mean"] == pytest.approx([prices.mean()])
    assert data.target_summary["median"] == pytest.approx([np.median(prices)])


def test_an_older_checkpoint_has_no_summary():
    x, y = np.arange(20.0)[:, None], np.arange(20) % 2
    state = ArrayDataModule(x, y).state_dict()
    del state["target_summary"]
    restored = ArrayDataModule(x, y)
    restored.load_state_dict(state)
    assert restored.target_summary is None


# Columns that say what belongs together, and what came first --------------------------------------


def keyed(rows=40):
    frame = houses(rows)
    frame["owner"] = [f"owner {number // 4}" for number in range(rows)]
    frame["sold"] = pd.date_range("2020-01-30", periods=rows).strftime("%Y-%m-%d")[
        np.random.default_rng(2).permutation(rows)
    ]
    return frame


def of_part(data, part, values):
    """Return what stands in `values` for the rows of a part."""
    parts, _ = data.labelled_rows()
    return np.asarray(values)[getattr(parts, part)]


def keyed_data(kind, tmp_path, frame=None, **arguments):
    """Return the DataModule of a kind, of the rows of `keyed` (or `frame`)."""
    frame = keyed() if frame is None else frame
    if kind == "table":
        frame.to_csv(tmp_path / "houses.csv", index=False)
        ignored = [name for name in ("owner", "sold") if name not in arguments.values()]
        return table(tmp_path / "houses.csv", **{"drop_columns": ["id", *ignored], **arguments})
    if kind == "text":
        texts = frame.assign(text=[text for text, _ in reviews(len(frame))])
        texts.to_csv(tmp_path / "texts.csv", index=False)
        return TextDataModule(str(tmp_path / "texts.csv"), label_column="city", **arguments)
    if kind == "images":
        for number in range(len(frame)):
            write_image(tmp_path / f"{number}.png", number)
        images = frame.assign(image=[f"{number}.png" for number in range(len(frame))])
        images.to_csv(tmp_path / "images.csv", index=False)
        return ImageFolderDataModule(
            tmp_path / "images.csv", target="city", image_size=8, **arguments
        )
    names = {"group_column": "groups", "time_column": "times"}
    keys = {names[name]: frame[arguments.pop(name)] for name in names if name in arguments}
    return ArrayDataModule(frame[["area"]].to_numpy(), frame["price"], **keys, **arguments)


KINDS = ["table", "text", "images", "arrays"]


@pytest.mark.parametrize("kind", KINDS)
def test_groups_stay_together(kind, tmp_path):
    data = keyed_data(kind, tmp_path, group_column="owner", test_size=8, val_size=8)
    found = [set(of_part(data, part, keyed()["owner"])) for part in PARTS]
    assert [len(owners) for owners in found] == [6, 2, 2]
    assert len(set().union(*found)) == 10
    for fold in range(4):
        data.resplit(Split(test_size=8, seed=0, num_folds=4, fold=fold, repeat=1))
        owners = [set(of_part(data, part, keyed()["owner"])) for part in PARTS]
        assert [len(some) for some in owners] == [6, 2, 2]
        assert len(set().union(*owners)) == 10
        assert owners[2] == found[2]


@pytest.mark.parametrize("kind", KINDS)
def test_parts_follow_each_other_in_time(kind, tmp_path):
    data = keyed_data(kind, tmp_path, time_column="sold", test_size=8, val_size=8)
    train, val, test = (of_part(data, part, keyed()["sold"]) for part in PARTS)
    assert [len(train), len(val), len(test)] == [24, 8, 8]
    assert max(train) < min(val) <= max(val) < min(test)
    with pytest.raises(InputError, match="repeat=1: in order of time"):
        data.resplit(Split(num_folds=4, repeat=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("column", "argument", "cell", "message"),
    [
        ("owner", "group_column", None, "is missing in .* \\(1 rows in all\\)"),
        ("sold", "time_column", None, "is missing in .* \\(1 rows in all\\)"),
        ("sold", "time_column", "30.1.2020", "dates, but '30.1.2020'|neither a number nor a date"),
    ],
)
def test_a_bad_cell_is_named(kind, column, argument, cell, message, tmp_path):
    frame = keyed()
    frame.loc[3, column] = cell
    with pytest.raises(InputError, match=message) as raised:
        keyed_data(kind, tmp_path, frame, **{argument: column}).fit()
    where = "row 3 (counted from 0)" if kind == "arrays" else "line 5 of the file"
    assert where in str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group_column": "owner", "time_column": "sold"}, "by time and by groups"),
        ({"stratify": True, "time_column": "sold"}, "by time and by class"),
    ],
)
def test_what_excludes_each_other_is_said_before_any_row_is_read(
    kind, arguments, message, tmp_path
):
    with pytest.raises(InputError, match=message):
        keyed_data(kind, tmp_path, **arguments)


@pytest.mark.parametrize("kind", ["table", "text", "images"])
@pytest.mark.parametrize("argument", ["group_column", "time_column"])
def test_a_misspelt_column_gets_a_suggestion(kind, argument, tmp_path):
    with pytest.raises(InputError, match=f"{argument}.*no column 'ower'. Did you mean 'owner'"):
        keyed_data(kind, tmp_path, **{argument: "ower"}).fit()


@pytest.mark.parametrize("kind", ["table", "text", "images"])
@pytest.mark.parametrize("argument", ["group_column", "time_column"])
def test_the_target_is_neither_group_nor_time(kind, argument, tmp_path):
    column = "price" if kind == "table" else "city"
    with pytest.raises(InputError, match=f"{column!r} is the .*; it cannot be .*{argument}"):
        keyed_data(kind, tmp_path, **{argument: column})


def test_groups_and_times_are_no_inputs_of_a_table_unless_a_time_is_listed(tmp_path):
    data = keyed_data("table", tmp_path, group_column="owner", drop_columns=["id", "sold"])
    assert not any("owner" in name for name in data.feature_names)
    frame = keyed().assign(sold=np.arange(40))
    data = keyed_data("table", tmp_path, frame, time_column="sold")
    assert "sold" not in data.feature_names
    frame.to_csv(tmp_path / "numbers.csv", index=False)
    listed = TableDataModule(
        tmp_path / "numbers.csv",
        "price",
        time_column="sold",
        numeric_columns=["sold", "area"],
        categorical_columns=["city"],
    )
    assert listed.feature_names[:2] == ["sold", "area"]
    with pytest.raises(InputError, match="'owner' is the group_column and listed as an input"):
        keyed_data("table", tmp_path, group_column="owner", categorical_columns=["owner"])


def test_new_rows_to_predict_need_neither_group_nor_time(tmp_path):
    data = keyed_data("table", tmp_path, group_column="owner", drop_columns=["id", "sold"])
    new = houses(5, seed=9).drop(columns=["id", "price"])
    new.to_csv(tmp_path / "new.csv", index=False)
    data.predict_path = tmp_path / "new.csv"
    assert len(data.predict_dataloader().inputs) == 5


@pytest.mark.parametrize("kind", ["table", "text"])
@pytest.mark.parametrize("grouped", [True, False])
def test_groups_shared_with_a_test_table_are_counted(kind, grouped, tmp_path, capsys):
    frame = keyed(8).assign(text=[f"{text} again" for text, _ in reviews(8)])
    frame.drop(columns=[] if grouped else "owner").to_csv(tmp_path / "test.csv", index=False)
    arguments = {"drop_columns": ["id", "sold"]} if kind == "table" else {}
    keys = {"group_column": "owner", "test_path": str(tmp_path / "test.csv")}
    data = keyed_data(kind, tmp_path, **keys, **arguments)
    data.fit()
    message = "2 groups of the test part are also trained or validated on"
    assert (message in capsys.readouterr().out) == grouped


def test_groups_of_a_test_part_cut_from_the_table_are_in_no_other(tmp_path, capsys):
    data = keyed_data(
        "table", tmp_path, group_column="owner", drop_columns=["id", "sold"], test_size=0.2
    )
    data.fit()
    assert "groups of the test part" not in capsys.readouterr().out


def test_a_test_table_needs_no_group(tmp_path, capsys):
    keyed(8).drop(columns="owner").to_csv(tmp_path / "test.csv", index=False)
    data = keyed_data(
        "table",
        tmp_path,
        group_column="owner",
        drop_columns=["id", "sold"],
        test_path=tmp_path / "test.csv",
    )
    assert len(data.examples("test").targets) == 8


def test_a_folder_of_classes_has_no_columns(tmp_path):
    with pytest.raises(InputError, match="group_column names a column of a table"):
        ImageFolderDataModule(tmp_path, group_column="patient")


@pytest.mark.parametrize(
    ("times", "order"),
    [
        ([3, 1, 2], [1, 2, 0]),
        ([0.5, -1.5, 0.25], [1, 2, 0]),
        (["2020-10-01", "2020-09-30T23:59", "2020-09-30"], [2, 1, 0]),
        (["2020-01-01T00:00+02:00", "2020-01-01T00:00", "2020-01-01T00:00+01:00"], [0, 2, 1]),
        (np.array(["2020-10", "2020-09", "2020-11"], "datetime64[M]"), [1, 0, 2]),
        (torch.tensor([2, 0, 1]), [1, 2, 0]),
        (["10", "9", "8"], [2, 1, 0]),
    ],
)
def test_what_times_may_be(times, order):
    x, y = np.arange(3.0)[:, None], np.array([0.5, 1.5, 2.5])
    data = ArrayDataModule(x, y, times=times, val_size=None)
    assert data.examples("train").rows[:, 0].tolist() == order


@pytest.mark.parametrize("name", ["groups", "times"])
def test_keys_of_arrays_must_be_one_a_row(name):
    x, y = np.arange(4.0)[:, None], np.arange(4) % 2
    with pytest.raises(InputError, match=rf"{name} has shape \(3,\).*each of the 4 rows"):
        ArrayDataModule(x, y, **{name: [1, 2, 3]})


def test_cached_texts_keep_groups_and_times(tmp_path):
    for argument, column in (("group_column", "owner"), ("time_column", "sold")):
        first = keyed_data("text", tmp_path, test_size=8, **{argument: column})
        second = keyed_data("text", tmp_path, test_size=8, **{argument: column})
        assert rows_of(first.labelled_rows()[0]) == rows_of(second.labelled_rows()[0])
        plain = keyed_data("text", tmp_path, test_size=8)
        assert rows_of(plain.labelled_rows()[0]) != rows_of(first.labelled_rows()[0])


@pytest.mark.parametrize(
    "keys", [{"group_column": "owner", "num_folds": 4, "fold": 1}, {"time_column": "sold"}]
)
@pytest.mark.usefixtures("undrawn_figures")
def test_the_columns_come_back_from_the_config_of_a_run(keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = keyed_data("table", tmp_path, **keys)
    arguments = {"path": "houses.csv", "target": "price", "drop_columns": data.drop_columns, **keys}
    config = {
        "data": {"class_path": "TableDataModule", "init_args": arguments},
        "model": {"class_path": "DenseModule", "init_args": {"head": "regression", "hidden": [2]}},
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "logger": False},
    }
    (tmp_path / "houses.yaml").write_text(yaml.safe_dump(config))
    main(["fit", "--config", "houses.yaml"])
    main(["fit", "--config", "runs/houses/version_0/config.yaml"])
    states = []
    for version in range(2):
        run = tmp_path / "runs" / "houses" / f"version_{version}"
        saved = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
        assert {name: saved[name] for name in keys} == keys
        checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        states.append(checkpoint["TableDataModule"])
    assert states[0] == states[1]
    data.fit()
    assert states[0]["inputs"] == data.fit().inputs
    assert states[0]["target_summary"] == data.target_summary


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keys", [{"group_column": "owner"}, {"time_column": "sold"}])
def test_a_trial_knows_groups_and_times_and_takes_a_splitter_for_a_hold_out(kind, keys, tmp_path):
    data = keyed_data(kind, tmp_path, **keys, test_size=8)
    data.dry_run = True
    data.fit()
    assert data.num_rows == 32
    data.resplit(Split(test_size=8, splitter=Pairs(([0], [1])), fold=3))
    assert len(data.examples("val").targets) in range(8, 13)
