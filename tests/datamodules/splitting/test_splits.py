from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp.datamodules.splitting.splits import Split, keras_order
from dlp.errors import InputError

SEEDS = st.one_of(st.none(), st.integers(0, 1000))


def whole(parts):
    return np.concatenate([parts.train, parts.val, parts.test])


def folds_of(num_rows, num_folds, labels=None, **arguments):
    return [
        Split(num_folds=num_folds, fold=fold, **arguments).parts(num_rows, labels)
        for fold in range(num_folds)
    ]


@settings(deadline=None)
@given(
    rows=st.integers(10, 200),
    val=st.one_of(st.none(), st.integers(0, 4), st.floats(0.1, 0.4)),
    test=st.one_of(st.none(), st.integers(0, 4), st.floats(0.1, 0.4)),
    seed=SEEDS,
    classes=st.integers(1, 3),
    stratify=st.booleans(),
)
def test_parts_are_disjoint_cover_all_rows_and_depend_on_the_seed_alone(
    rows, val, test, seed, classes, stratify
):
    labels = np.arange(rows) % classes
    split = Split(val, test, seed=seed, stratify=stratify)
    parts = split.parts(rows, labels)
    assert sorted(whole(parts)) == list(range(rows))
    again = split.parts(rows, labels)
    assert all(np.array_equal(getattr(parts, n), getattr(again, n)) for n in vars(parts))
    for size, part in ((val, parts.val), (test, parts.test)):
        wanted = round(size * rows) if isinstance(size, float) else size or 0
        assert len(part) == wanted


def counts(labels, rows):
    return np.bincount(labels[rows], minlength=labels.max() + 1)


@pytest.mark.parametrize(
    ("rows", "arguments", "sizes"),
    [
        (460, {"val_size": 20}, (440, 20, 0)),
        (184, {"val_size": 0.1, "test_size": 0.1}, (148, 18, 18)),
        (460, {"train_size": 100}, (100, 0, 0)),
    ],
)
def test_many_small_classes_share_the_size_that_was_asked_for(rows, arguments, sizes):
    parts = Split(stratify=True, seed=0, **arguments).parts(rows, np.arange(rows) % 46)
    assert (len(parts.train), len(parts.val), len(parts.test)) == sizes


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(0, 9), min_size=10, max_size=150).map(np.array),
    fractions=st.lists(st.floats(0.0, 0.33), min_size=2, max_size=2),
    kept=st.floats(0.01, 1.0),
    seed=SEEDS,
)
def test_stratified_parts_have_the_exact_sizes_and_every_class_its_share(
    labels, fractions, kept, seed
):
    test, val = (int(fraction * len(labels)) for fraction in fractions)
    split = Split(val, test, seed=seed, stratify=True)
    parts = split.parts(len(labels), labels)
    assert sorted(whole(parts)) == list(range(len(labels)))
    train = max(1, int(kept * len(parts.train)))
    few = replace(split, train_size=train).parts(len(labels), labels)
    assert set(few.train) <= set(parts.train)
    every = np.arange(len(labels))
    left = np.setdiff1d(every, parts.test)  # the validation part is shared among these
    for part, size, pool in (
        (parts.test, test, every),
        (parts.val, val, left),
        (few.train, train, parts.train),
    ):
        assert len(part) == size
        exact = size * counts(labels, pool) / len(pool)
        assert (np.abs(counts(labels, part) - exact) < 1).all()


@settings(deadline=None)
@given(
    rows=st.integers(20, 150),
    num_folds=st.integers(2, 7),
    seed=SEEDS,
    repeat=st.integers(0, 3),
    test=st.one_of(st.none(), st.integers(1, 5)),
    data=st.data(),
)
def test_folds_partition_what_the_test_part_leaves_and_differ_by_one_row(
    rows, num_folds, seed, repeat, test, data
):
    stratify = data.draw(st.booleans())
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    folds = folds_of(
        rows, num_folds, labels, test_size=test, seed=seed, repeat=repeat, stratify=stratify
    )
    for parts in folds:
        assert sorted(whole(parts)) == list(range(rows))
        assert np.array_equal(parts.test, folds[0].test)
    validated = np.concatenate([parts.val for parts in folds])
    assert len(set(validated)) == len(validated) == rows - len(folds[0].test)
    sizes = [len(parts.val) for parts in folds]
    assert max(sizes) - min(sizes) <= 1
    if stratify:
        for label in range(4):
            counts = [int((labels[parts.val] == label).sum()) for parts in folds]
            assert max(counts) - min(counts) <= 1


def test_contiguous_folds_without_a_seed_are_the_books():
    for fold, parts in enumerate(folds_of(404, 4)):
        assert np.array_equal(parts.val, np.arange(fold * 101, (fold + 1) * 101))


def test_each_repeat_shuffles_anew_and_keeps_the_test_part():
    first, second, third = (
        Split(test_size=20, seed=0, num_folds=4, repeat=repeat).parts(100) for repeat in range(3)
    )
    assert not np.array_equal(first.val, second.val)
    assert not np.array_equal(second.val, third.val)
    assert np.array_equal(first.test, second.test)
    unseeded = [Split(num_folds=4, repeat=repeat).parts(100).val for repeat in range(2)]
    assert not np.array_equal(*unseeded)


def test_a_seed_shuffles_and_none_keeps_the_order_with_validation_first():
    ordered = Split(val_size=10, test_size=5).parts(30)
    assert ordered.test.tolist() == list(range(5))
    assert ordered.val.tolist() == list(range(5, 15))
    assert ordered.train.tolist() == list(range(15, 30))
    assert Split(val_size=10, seed=0).parts(30).val.tolist() != list(range(10))
    assert not np.array_equal(
        Split(val_size=10, seed=0).parts(30).val, Split(val_size=10, seed=1).parts(30).val
    )


def test_the_split_leaves_the_global_generator_alone():
    np.random.seed(7)
    state = np.random.get_state()[1].copy()
    Split(0.2, 0.1, seed=3).parts(50)
    keras_order(50)
    assert np.array_equal(np.random.get_state()[1], state)


def test_train_size_takes_the_first_rows_and_grows_by_adding():
    few = Split(0.2, train_size=10, seed=0).parts(100)
    more = Split(0.2, train_size=0.4, seed=0).parts(100)
    assert len(few.train) == 10
    assert len(more.train) == 40
    assert set(few.train) < set(more.train)
    assert np.array_equal(few.val, more.val)


def test_keras_order_is_the_order_of_its_sets():
    assert keras_order(506)[:5].tolist() == [22, 202, 368, 335, 461]
    assert keras_order(11228)[:5].tolist() == [1341, 4427, 5095, 2044, 3024]


@pytest.mark.parametrize("name", ["val_size", "test_size", "train_size"])
@pytest.mark.parametrize("size", [-1, -0.2, 1.0, 1.5, True, float("nan")])
def test_impossible_sizes_are_refused_before_any_data(name, size):
    with pytest.raises(InputError, match=f"{name} must be a count of rows, a fraction"):
        Split(**{name: size})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val_size": 11}, "val_size=11 is more than the 10 rows"),
        ({"val_size": 10}, "leave none of the 10 rows to train on"),
        ({"val_size": 0.5, "test_size": 0.5}, "leave none of the 10 rows to train on"),
        ({"val_size": 0.01}, "val_size=0.01 of 10 rows is no row"),
        ({"train_size": 11}, "asks for 11 training rows; the split leaves 10"),
        ({"train_size": 0}, "asks for 0 training rows"),
        ({"num_folds": 11}, "num_folds=11 is more than the 10 rows"),
        ({"stratify": True}, "needs class labels"),
    ],
)
def test_sizes_the_data_cannot_give(arguments, message):
    with pytest.raises(InputError, match=message):
        Split(**arguments).parts(10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_folds": 1}, "num_folds must be at least 2, got 1"),
        ({"num_folds": 4, "fold": 4}, "fold must be 0 to 3, got 4"),
        ({"num_folds": 4, "fold": -1}, "fold must be 0 to 3, got -1"),
        ({"repeat": -1}, "repeat must be 0 or more"),
        ({"seed": -3}, "split_seed must be 0 or more, got -3"),
    ],
)
def test_impossible_folds_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Split(**arguments)


def test_a_whole_float_is_a_count():
    """A command line hands over 4 as 4.0 where the default is None."""
    assert Split(test_size=4.0, train_size=5.0) == Split(test_size=4, train_size=5)


@pytest.mark.parametrize("key", ["groups", "times"])
def test_a_validation_part_of_the_sets_own_is_not_trained_on_whatever_decides(key):
    keys = np.arange(12) // 2
    parts = Split(val_size=0.5).parts(12, num_val=4, **{key: keys})
    assert sorted(parts.train.tolist()) == [*range(8)]
    assert parts.val.tolist() == [8, 9, 10, 11]


def test_folds_and_a_refit_divide_a_validation_part_of_the_sets_own_with_the_others():
    assert Split(num_folds=3).num_own(4) == 0
    assert Split(own_val=False).num_own(4) == 0
    assert len(Split(own_val=False).parts(12, num_val=4).train) == 12


def test_splits_have_their_public_name():
    from dlp.datamodules import splits

    assert splits.Split is Split
    assert splits.keras_order is keras_order
