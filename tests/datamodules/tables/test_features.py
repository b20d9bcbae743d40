import importlib
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from table_examples import fit, houses, matrix, table

from dlp.errors import InputError

MODULE = '''
import pandas as pd


class Relative:
    """Area relative to the largest seen in training, and the number of letters of the city."""

    def __init__(self):
        self.seen = []

    def fit(self, frame):
        self.largest = float(frame["area"].max())
        self.seen = sorted(frame.columns)

    def transform(self, frame):
        frame["share"] = frame.pop("area") / self.largest
        frame["letters"] = frame.pop("city").str.len()
        return frame


def doubled(frame):
    return pd.DataFrame({"twice": frame["area"] * 2, "city": frame["city"]})


constant = 3
'''


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """Make a working directory with a module of own features in it."""
    (tmp_path / "own_features.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_features", raising=False)


class MeanOf:
    def fit(self, frame):
        self.value = frame["area"].mean()

    def transform(self, frame):
        return frame


@pytest.mark.usefixtures("working_directory")
def test_a_class_named_by_its_path_is_fitted_on_the_training_part_without_the_target(csv):
    frame = houses()
    frame.loc[:9, "area"] *= 50  # the validation part
    data = table(
        csv(frame),
        features="own_features.Relative",
        val_size=10,
        split_seed=None,
        scaling="none",
    )
    assert data.feature_names == ["rooms", "garden", "share", "letters"]
    expected = frame.area / frame.area[10:].max()
    assert np.allclose(matrix(data)[:, 2], expected[10:])
    assert np.allclose(matrix(data, "val")[:, 2], expected[:10])
    saved = data.state_dict()["inputs"]["features"]
    assert saved["name"] == "Relative"
    assert saved["values"]["seen"] == ["area", "city", "garden", "rooms"]
    assert list(data.examples("train").rows) == ["area", "rooms", "city", "garden"]


@pytest.mark.usefixtures("working_directory")
def test_its_state_is_saved_as_plain_values_and_applied_again_at_prediction(csv, tmp_path):
    frame = houses()
    path = csv(frame)
    new = csv(frame.drop(columns="price")[:5], "new.csv")
    first = table(path, features="own_features.Relative", predict_path=new)
    expected = matrix(first, "predict")
    torch.save(first.state_dict(), tmp_path / "state.pt")
    path.unlink()
    second = table(path, features="own_features:Relative", predict_path=new)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert np.array_equal(matrix(second, "predict"), expected)


@pytest.mark.usefixtures("working_directory")
def test_a_function_and_an_object_given_in_python(csv, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    own_features = importlib.import_module("own_features")
    by_name = table(csv(houses()), features="own_features.doubled", scaling="none")
    by_object = table(csv(houses()), features=own_features.doubled, scaling="none")
    assert by_name.feature_names == ["twice", "city=Lyon", "city=Nice", "city=Paris"]
    assert np.array_equal(matrix(by_name), matrix(by_object))
    as_class = table(csv(houses()), features=own_features.Relative)
    assert as_class.feature_names == ["rooms", "garden", "share", "letters"]


def test_a_feature_of_which_nothing_can_be_learned_is_left_out_and_the_table_still_shown(csv):
    def labelled(frame):
        return frame.assign(label=[f"row {number}" for number in range(len(frame))])

    data = table(csv(houses()), features=labelled)
    notes = data.reading().input.notes
    assert "the inputs are what" in notes[-1]
    assert "different texts" in data.left_out["label"]
    assert not any(name.startswith("label") for name in data.feature_names)
    restored = table(csv(houses()), features=labelled)
    restored.load_state_dict(data.state_dict())
    assert restored.reading().input == data.reading().input


def test_columns_listed_with_features_are_those_it_returns(csv):
    def by_band(frame):
        return frame.assign(band=frame["area"] // 50)

    data = table(csv(houses()), features=by_band, categorical_columns=["band", "city"])
    assert "band=1" in data.feature_names


def test_rows_that_come_back_in_another_order_still_meet_their_targets(csv):
    data = table(csv(houses()), features=lambda frame: frame.sort_values("area"), scaling="none")
    assert np.allclose(matrix(data)[:, 0], data.examples("train").rows["area"])


def test_a_column_the_features_look_for_in_vain_is_named(csv):
    def misspelt(frame):
        return frame.assign(twice=2 * frame["aera"])

    with pytest.raises(InputError, match="misspelt looks for 'aera', which is no column"):
        table(csv(houses()), features=misspelt).fit()


def test_the_users_code_cannot_change_the_rows(csv):
    def destructive(frame):
        frame.loc[:, "area"] = 0.0
        return frame[["area"]]

    data = table(csv(houses()), features=destructive, scaling="none")
    assert matrix(data).max() == 0
    assert data.examples("train").rows["area"].min() > 0


def test_a_bad_cell_made_by_features_is_named_by_its_line(csv):
    def spoilt(frame):
        frame["area"] = frame["area"].where(frame["area"] < frame["area"].max())
        return frame

    path = csv(houses())
    line = int(houses()["area"].argmax()) + 2
    with pytest.raises(InputError, match=f"missing cells, the first in line {line} of the file"):
        fit(table(path, features=spoilt, val_size=None))


class NeedsArguments:
    def __init__(self, power):
        self.power = power

    def transform(self, frame):
        return frame


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("Relative", "'Relative' is no import path"),
        ("no_such_module.Relative", "cannot be imported: No module named 'no_such_module'"),
        ("own_features.Relativ", "own_features has no 'Relativ'. Did you mean 'Relative'"),
        ("own_features.constant", "is int; accepted: a class"),
        (dict, "class dict has no method transform"),
        (MeanOf(), "give the class MeanOf itself"),
        (NeedsArguments, "NeedsArguments must be built without arguments"),
    ],
)
@pytest.mark.usefixtures("working_directory")
def test_what_is_no_transformer_is_refused_before_the_file_is_read(features, message):
    with pytest.raises(InputError, match=message):
        table("absent.csv", features=features)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda frame: frame["area"], "returned Series; it must return a data frame"),
        (lambda frame: frame[frame["area"] > 60], "made .* rows of .*; it must keep every row"),
        (lambda frame: frame[[]], "returned no column"),
        (lambda frame: pd.concat([frame, frame], axis=1), "the column 'area' more than once"),
        (MeanOf, r"self\.value of MeanOf is numpy\.float64, which cannot be saved"),
    ],
)
def test_what_features_return_and_keep_is_checked(csv, features, message):
    with pytest.raises(InputError, match=message):
        fit(table(csv(houses()), features=features))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.zeros(2), "numpy.ndarray"),
        ([1, np.int64(2)], "numpy.int64"),
        ({"a": {1, 2}}, "builtins.set"),
        ({np.str_("a"): 1}, "numpy.str_"),
        (lambda: 0, "builtins.function"),
    ],
)
def test_state_that_is_not_plain_is_named(csv, value, kind):
    class Keeps:
        def fit(self, frame):
            self.kept = value

        def transform(self, frame):
            return frame

    with pytest.raises(InputError, match=rf"self\.kept.* is {kind}"):
        fit(table(csv(houses()), features=Keeps))


def test_plain_state_of_every_kind_comes_back(csv):
    class Keeps:
        def fit(self, frame):
            self.kept = {"a": [1, 2.5, None, True, ("x", 3)], 4: "text"}

        def transform(self, frame):
            return frame.assign(n=len(self.kept))

    first = fit(table(csv(houses()), features=Keeps))
    second = table(csv(houses()), features=Keeps)
    second.load_state_dict(first.state_dict())
    assert second.state_dict()["inputs"]["features"]["values"] == {
        "kept": {"a": [1, 2.5, None, True, ("x", 3)], 4: "text"}
    }


def test_a_run_with_features_is_not_used_without_them_or_with_others(csv):
    def first(frame):
        return frame

    def second(frame):
        return frame

    path = csv(houses())
    state = fit(table(path, features=first)).state_dict()
    with pytest.raises(InputError, match="trained with features"):
        table(path).load_state_dict(state)
    with pytest.raises(InputError, match=r"trained with features .*first, not .*second"):
        table(path, features=second).load_state_dict(state)
