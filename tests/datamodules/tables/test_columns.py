import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
)

from dlp.datamodules import TableDataModule, TableEncoder
from dlp.datamodules.tables.rows import TableRows
from dlp.datamodules.tables.stored import StoredTable
from dlp.reader.scale import Scale
from dlp.reader.tokens import tokenise

pytestmark = [
    pytest.mark.filterwarnings("ignore:column .* unseen in training"),
    pytest.mark.filterwarnings("ignore:constant in training"),
]

RANDOM = np.random.default_rng(0)
SKEWED = np.exp(RANDOM.normal(size=300))
NUMBERS = st.lists(
    st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=3, max_size=60
)
TRAIN = pd.DataFrame(
    {
        "x": SKEWED[:200],
        "y": RANDOM.integers(0, 9, 200),
        "c": ["a", "b", "NA", "d"] * 50,
    }
)
NEW = pd.DataFrame(
    {"x": SKEWED[200:] * 2, "y": RANDOM.integers(0, 20, 100), "c": ["b", "a"] * 50}
)
NOTES = st.lists(st.text("ab -,", max_size=8), min_size=3, max_size=20)


def holes(frame, share=0.2):
    frame = frame.astype({"x": float, "y": float, "c": object})
    return frame.mask(np.random.default_rng(1).random(frame.shape) < share)


def encode(train, new, **arguments):
    """Return names and matrix of new rows, the same from a data frame and from dictionaries."""
    encoder = TableEncoder(**arguments)
    encoder.fit(train)
    matrix = encoder.transform(new)
    np.testing.assert_array_equal(encoder.transform(TableRows(new).raw()), matrix)
    return encoder.column_names, matrix


@settings(max_examples=10)
@given(NUMBERS, NUMBERS)
def test_quantiles_are_those_of_scikit_learn_inside_the_column(train, new):
    train = np.unique(train)
    inside = np.array(new)[(new > train[0]) & (new < train[-1])]
    assume(len(train) > 1)
    assume(len(inside))
    reference = QuantileTransformer(
        n_quantiles=len(train), output_distribution="normal"
    )
    reference.fit(train[:, None])
    expected = reference.transform(inside[:, None])[:, 0].clip(-3.0902, 3.0902)
    scale = Scale.fit(train, "error", "quantile", 0)
    frame = pd.DataFrame({"x": train})
    new_frame = pd.DataFrame({"x": inside})
    _, result = encode(frame, new_frame, scaling="quantile")
    result = result[:, 0] * scale.scale + scale.shift
    np.testing.assert_allclose(
        result, expected, atol=0.05
    )  # a step between two quantiles


@settings(max_examples=20)
@given(NOTES, NOTES)
def test_words_of_a_text_are_columns_as_scikit_learn_makes_them(train, new):
    count = CountVectorizer(binary=True, analyzer=tokenise, min_df=2)
    try:
        expected = count.fit(train)
    except ValueError:  # no word is in two rows
        assume(False)
    frame = pd.DataFrame({"x": range(len(train)), "note": train})
    new_frame = pd.DataFrame({"x": range(len(new)), "note": new})
    names, result = encode(frame, new_frame, text_columns=["note"])
    words = [name.removeprefix("note: ") for name in names[1:]]
    assert sorted(words) == sorted(count.vocabulary_)
    places = [count.vocabulary_[word] for word in words]
    counts = expected.transform(new).toarray()
    assert (result[:, 1:] == counts[:, places]).all()


def test_the_most_frequent_words_are_kept_and_a_missing_text_has_none():
    notes = ["late again", "late", None, "again late", "other", "other other"] * 2
    frame = pd.DataFrame({"x": range(12), "note": notes})
    names, result = encode(frame, frame, text_columns=["note"], num_words=2, min_df=3)
    assert names == ["x", "note: late", "note: again"]
    assert result[:4, 1:].tolist() == [[1, 1], [1, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("missing", "scaling", "scaler"),
    [("mean", "standard", StandardScaler()), ("median", "minmax", MinMaxScaler())],
)
def test_cells_are_filled_then_scaled_and_categories_spread_as_in_sklearn(
    missing, scaling, scaler
):
    train = holes(TRAIN)
    new = holes(NEW)
    names, result = encode(
        train, new, missing=missing, scaling=scaling, missing_indicator=True
    )
    numbers = make_pipeline(SimpleImputer(strategy=missing), scaler)
    numbers.fit(train[["x", "y"]])
    scaled = numbers.transform(new[["x", "y"]])
    one_hot = OneHotEncoder(sparse_output=False)
    one_hot.fit(train[["c"]].fillna(""))
    categories = one_hot.transform(new[["c"]].fillna(""))
    empty_last = categories[:, [1, 2, 3, 4, 0]]
    expected = np.hstack([scaled, new[["x", "y"]].isna(), empty_last])
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert names[:4] == ["x", "y", "x (missing)", "y (missing)"]
    assert names[4:] == ["c=NA", "c=a", "c=b", "c=d", "c=(missing)"]


@pytest.mark.parametrize("scaling", ["standard", "minmax", "quantile", "none"])
def test_missing_zero_is_zero_after_scaling(scaling):
    train = holes(TRAIN)[["y"]]  # many are equal
    _, result = encode(train, train, missing="zero", scaling=scaling)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result[train.isna().to_numpy()], 0, atol=1e-6)


def test_bins_fill_one_after_the_other():
    train = pd.DataFrame(
        {"x": np.arange(9.0), "y": [0.0, 1, 2] * 3, "z": [0, 1, 1] * 3}
    )
    new = pd.DataFrame({"x": [-1.0, 0, 1, 3, 8, 99], "y": 1.5, "z": 1})
    names, result = encode(train, new, scaling="none", bins=4)
    expected = [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0.5, 0, 0, 0],
        [1, 0.5, 0, 0],
        [1] * 4,
        [1] * 4,
    ]
    assert result[:, 3:7].tolist() == expected
    assert names[7:] == ["y bin 1", "y bin 2"]
    assert result[:, 7:].tolist() == [[1, 0.5]] * 6


@pytest.mark.parametrize(
    "value", [0.1, 5, "same", True, None, pd.Timestamp("2024-01-31")]
)
def test_a_column_that_is_constant_in_training_is_left_out_and_named(value):
    train = TRAIN.assign(k=pd.Series([value] * 200))
    with pytest.warns(UserWarning, match="^constant in training, left out: k$"):
        names, result = encode(train, NEW, missing="mean")
    assert names == ["x", "y", "c=NA", "c=a", "c=b", "c=d"]
    assert result.shape == (100, 6)


def test_a_constant_with_holes_is_its_indicator_alone():
    train = TRAIN[["x"]].assign(k=[0.1, None, 0.1, 0.1, None] * 40)
    names, result = encode(
        train, train.assign(k=99.0), missing="mean", missing_indicator=True
    )
    assert names == ["x", "k (missing)"]
    assert (result[:, 1] == 0).all()
    assert encode(train, train, missing="mean")[0] == ["x"]


def test_categories_unseen_in_training_are_zeros(capsys):
    names, result = encode(TRAIN, NEW.replace({"c": {"a": "Atlantis"}}))
    first = names.index("c=NA")
    last = names.index("c=d")
    assert (result[1::2, first : last + 1] == 0).all()


def test_constant_columns_and_unseen_categories_are_lines(capsys):
    train = TRAIN.assign(d=["u", "v"] * 100, k=1)
    new = NEW.assign(d="u", k=1).replace({"c": {"a": "Atlantis"}, "d": {}})
    new.loc[:2, "d"] = "w"
    data = TableDataModule(train, "y", test_path=new, val_size=None, task="regression")
    data.inputs("train")
    data.inputs("test")
    printed = capsys.readouterr().out.splitlines()
    assert "constant in training, left out: k" in printed
    assert [line for line in printed if "unseen" in line] == [
        "column 'c': unseen in training: ['Atlantis'], which become zeros",
        "column 'd': unseen in training: ['w'], which become zeros",
    ]


@pytest.mark.parametrize(
    "cells", [[1.0, 2, None], ["1", "2", None], ["1.0", "2", None], [1, 2, 1]]
)
def test_categories_are_equal_whatever_type_they_were_read_as(cells):
    train = pd.DataFrame({"c": [1, 2, 3] * 5})
    names, result = encode(
        train, pd.DataFrame({"c": cells}), categorical_columns=["c"], missing="zero"
    )
    assert names == ["c=1", "c=2", "c=3"]
    assert result[:2].tolist() == [[1, 0, 0], [0, 1, 0]]


def test_categories_that_look_like_numbers_keep_their_digits():
    codes = pd.DataFrame({"c": ["1.1", "1.10", "1.0"] * 5})
    names, _ = encode(codes, codes, categorical_columns=["c"])
    assert names == ["c=1", "c=1.1", "c=1.10"]


def test_categories_may_be_numbers_of_single_precision():
    single = pd.DataFrame({"c": np.float32([0.1, 0.2] * 5)})
    _, result = encode(single, single, categorical_columns=["c"])
    assert result.sum() == len(single)


def test_dates_are_days_in_utc_with_weekday_and_season_and_booleans_0_and_1():
    dates = pd.to_datetime(["1970-01-02T00:00", "1970-01-03T12:00"])
    in_paris = dates.tz_localize("Europe/Paris")  # an hour before UTC
    train = pd.DataFrame({"d": dates, "p": in_paris, "b": [True, False]})
    _, result = encode(train, train, scaling="none")
    hour = 1 / 24
    np.testing.assert_allclose(result[:, :3], [[1, 1 - hour, 1], [2.5, 2.5 - hour, 0]])
    friday = [0, 1, 0, 0, 0, 0, 0]
    angle = 2 * np.pi / 365.2425
    calendar = [*friday, np.sin(angle), np.cos(angle)]
    np.testing.assert_allclose(result[0, 3:12], calendar, rtol=1e-6)


def test_dates_with_different_times_have_the_time_of_day_as_sine_and_cosine():
    hours = np.array([0, 6, 9.5, 23.75] * 5)
    dates = pd.Timestamp("2021-03-05") + pd.to_timedelta(
        np.arange(20) * 24 + hours, unit="h"
    )
    train = pd.DataFrame(
        {"d": dates, "noon": dates.normalize() + pd.Timedelta(hours=12)}
    )
    names, result = encode(train, train)
    is_clock = [" clock " in name for name in names]
    assert [names[place] for place in np.flatnonzero(is_clock)] == [
        "d clock 0",
        "d clock 1",
    ]
    angles = 2 * np.pi * hours / 24
    expected = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(result[:, is_clock], expected, atol=1e-6)


def test_listed_columns_have_the_listed_kind_and_others_stay():
    def names(new=NEW, **listed):
        return encode(TRAIN, new, **listed)[0]

    assert names(categorical_columns=["c"])[:2] == ["x", "y"]
    assert names(numeric_columns=["x"])[:2] == ["x", "y"]
    assert names(TRAIN, categorical_columns=["y"])[:3] == ["x", "y=0", "y=1"]
    assert names(numeric_columns=["x"], only_listed=True) == ["x"]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (NEW.assign(x=1e39), r"'x' of row 200 takes finite numbers, not '1e\+39'"),
        (NEW.assign(x="n/k"), "'x' of row 200 takes finite numbers, not 'n/k'"),
        (
            NEW.assign(x=None),
            "'x' of row 200 is missing; fill it in, or train with missing",
        ),
        (NEW.assign(c=None), "'c' of row 200 is missing"),
        (
            NEW.assign(x=pd.Timestamp("2024-01-31")),
            "'x' of row 200 takes finite numbers",
        ),
        (NEW.drop(columns="y"), "column 'y' is absent; the model takes x, y, c"),
    ],
)
def test_cells_that_are_not_as_in_training_are_named_by_column_and_row(new, message):
    with pytest.raises(ValueError, match=message):
        encode(TRAIN, new.set_index(np.arange(200, 300)))


def test_a_second_fit_begins_again():
    once = TableEncoder(missing="mean", missing_indicator=True, bins=4)
    once.fit(holes(TRAIN))
    twice = TableEncoder(missing="mean", missing_indicator=True, bins=4)
    twice.fit(NEW.assign(other=["u", "v"] * 50))
    twice.fit(holes(TRAIN))
    assert twice.column_names == once.column_names
    assert twice.state() == once.state()


def test_a_large_matrix_is_made_batch_by_batch(monkeypatch):
    frame = holes(TRAIN).assign(target=range(200))
    data = TableDataModule(
        frame, "target", missing="mean", missing_indicator=True, bins=4, val_size=None
    )
    matrix = data.inputs("train")
    largest = matrix.numel() - 1
    monkeypatch.setattr("dlp.datamodules.tables.table._LARGEST_MATRIX", largest)
    stored = data.store(data.examples("train").inputs)
    assert isinstance(stored, StoredTable)
    rows = torch.randperm(200).repeat(6)
    assert torch.equal(stored[rows], matrix[rows])


def test_a_learned_state_makes_another_encoder_encode_alike():
    encoder = TableEncoder(missing="mean", scaling="quantile", bins=4)
    encoder.fit(holes(TRAIN))
    other = TableEncoder(**encoder.arguments())
    other.load_state(json.loads(json.dumps(encoder.state())))
    np.testing.assert_array_equal(
        other.transform(holes(NEW)), encoder.transform(holes(NEW))
    )
