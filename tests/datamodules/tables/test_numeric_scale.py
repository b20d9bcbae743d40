"""Scaling and bins of one column, against scikit-learn's transformers and the printed formula."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler
from table_examples import houses, matrix, table

from dlp.datamodules.tables.numeric_scale import NumericScale, check_bins
from dlp.errors import InputError

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
COLUMN = st.lists(NUMBERS, min_size=3, max_size=60).map(np.array)
SKEWED = np.exp(np.random.default_rng(0).normal(size=500))


@pytest.mark.parametrize(
    ("name", "reference"), [("standard", StandardScaler), ("minmax", MinMaxScaler)]
)
@settings(max_examples=40, deadline=None)
@given(COLUMN, COLUMN)
def test_scaling_as_scikit_learn_has_it(name, reference, train, new):
    assume(train.max() - train.min() > 1e-2)
    expected = reference().fit(train[:, None]).transform(new[:, None])[:, 0]
    found = NumericScale.of(train, name).scaled(new)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(COLUMN, COLUMN)
def test_quantiles_are_those_of_scikit_learn_inside_the_column(train, new):
    train = np.unique(train)
    inside = new[(new > train[0]) & (new < train[-1])]
    assume(len(train) > 1)
    assume(len(inside))
    reference = QuantileTransformer(n_quantiles=len(train), output_distribution="normal")
    expected = reference.fit(train[:, None]).transform(inside[:, None])[:, 0].clip(-3.0902, 3.0902)
    scale = NumericScale.of(train, "quantile")
    np.testing.assert_allclose(
        scale.scaled(inside) * scale.scale + scale.shift, expected, atol=1e-3
    )


def test_many_equal_smallest_values_are_no_outliers():
    scale = NumericScale.of(np.array([0.0] * 60 + list(range(1, 41))), "quantile")
    assert scale.scaled(np.array([0.0]))[0] > -1.5  # scikit-learn puts them at the far end


def test_a_skewed_column_becomes_normal_and_outliers_stay_near():
    scale = NumericScale.of(SKEWED, "quantile")
    found = scale.scaled(SKEWED)
    assert abs(found.mean()) < 1e-9
    assert found.std() == pytest.approx(1)
    assert abs(np.mean(found**3)) < 0.05  # the skewness, 5 before
    assert (np.diff(scale.scaled(np.sort(SKEWED))) >= 0).all()
    far = scale.scaled(np.array([-1e9, 1e9]))
    assert (abs(far) < 3.3).all()


@pytest.mark.parametrize("name", ["standard", "minmax", "quantile", "none"])
def test_a_constant_column_is_only_shifted(name):
    scale = NumericScale.of(np.full(10, 0.1), name, bins=8)
    found = scale.scaled(np.array([0.1, 0.1]))
    np.testing.assert_allclose(found, 0.1 if name == "none" else 0, atol=1e-12)
    assert scale.num_bins == 0


@pytest.mark.parametrize("name", ["standard", "minmax", "quantile", "none"])
def test_the_value_that_becomes_zero(name):
    scale = NumericScale.of(SKEWED, name)
    assert scale.scaled(np.array([scale.zero]))[0] == pytest.approx(0, abs=1e-6)


def test_bins_fill_one_after_the_other():
    values = np.arange(9.0)
    scale = NumericScale.of(values, "none", bins=4)
    assert scale.edges == (0, 2, 4, 6, 8)
    found = scale.binned(np.array([-1.0, 0, 1, 3, 8, 99]))
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0], [1, 0.5, 0, 0], [1] * 4, [1] * 4]
    assert found.tolist() == expected


@settings(max_examples=40, deadline=None)
@given(COLUMN, st.integers(2, 20))
def test_bins_hold_equally_many_and_keep_the_order(train, bins):
    scale = NumericScale.of(train, "standard", bins)
    assert scale.num_bins <= bins
    filled = scale.binned(np.sort(train)).sum(axis=1)
    assert (np.diff(filled) >= 0).all()
    if scale.num_bins:
        assert filled.min() == 0
        assert filled.max() == scale.num_bins


def test_a_column_of_two_values_is_its_own_bin():
    assert NumericScale.of(np.array([0.0, 1, 1, 0]), "standard", 8).num_bins == 0


@pytest.mark.parametrize("bins", [-1, 1, 1001])
def test_impossible_bins_are_refused(bins):
    with pytest.raises(InputError, match="bins must be 0"):
        check_bins(bins)


def test_a_table_has_bins_behind_its_other_inputs(csv):
    frame = houses(60)
    frame.loc[::9, "area"] = np.nan
    options = {"scaling": "quantile", "bins": 4, "missing": "median", "missing_indicator": True}
    data = table(csv(frame), **options)
    inputs, names = matrix(data), data.feature_names
    cities = ["city=Lyon", "city=Nice", "city=Paris"]
    area = [f"area bin {number}" for number in (1, 2, 3, 4)]
    assert names[:7] == ["area", "rooms", "garden", "area (missing)", *cities]
    assert names[7:11] == area
    assert not any(name.startswith("garden bin") for name in names)  # of two values
    assert inputs.shape == (48, len(names))
    filled = inputs[:, 7:11]
    assert ((filled >= 0) & (filled <= 1)).all()
    assert set(filled.max(axis=0)) == {1.0}
    order = inputs[:, 0].argsort()
    assert (np.diff(filled.sum(axis=1)[order]) >= -1e-6).all()


@pytest.mark.parametrize("missing", ["median", "zero"])
def test_new_rows_are_scaled_and_binned_by_the_state_alone(csv, missing):
    frame = houses(60)
    frame.loc[::9, "area"] = np.nan
    options = {"scaling": "quantile", "bins": 4, "missing": missing}
    data = table(csv(frame), **options)
    expected = matrix(data, "val")
    state = pickle.loads(pickle.dumps(data.state_dict()))
    restored = table(csv(houses(60, seed=1), "other.csv"), missing=missing)
    restored.load_state_dict(state)
    found = restored.encode(data.examples("val").rows).numpy()
    np.testing.assert_array_equal(found, expected)
    assert restored.feature_names == data.feature_names
    empty = data.examples("val").rows.area.isna().to_numpy()
    if missing == "zero":
        np.testing.assert_allclose(expected[empty, 0], 0, atol=1e-6)


def test_a_state_of_before_bins_is_taken_over(csv):
    data = table(csv(houses(60)))
    expected, state = matrix(data, "val"), data.state_dict()
    del state["inputs"]["encoder"]["shapes"]
    restored = table(csv(houses(60)))
    restored.load_state_dict(state)
    np.testing.assert_array_equal(restored.encode(data.examples("val").rows).numpy(), expected)


def test_a_misspelt_scaling_gets_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'quantile'"):
        table("absent.csv", scaling="quantiles")
