"""The user's own features get what they got in training, however new rows are given."""

import warnings

import numpy as np
import pandas as pd
import pytest

from dlp.datamodules import TableDataModule


def csv(frame, name="t.csv"):
    frame.to_csv(name, index=False)
    return name


def fitted(source, target="y", features=pd.DataFrame.copy, **arguments):
    """Return fitted data with own features."""
    arguments = {"scaling": "none", **arguments}
    data = TableDataModule(source, target, features=features, **arguments)
    data.fit()
    return data


def first_number(data, rows):
    """Return the number of the first column of some rows."""
    return data.encoder.convert(rows).numbers[:, 0].tolist()


@pytest.mark.parametrize("cell", ["0", "1", "0.5", "-2", "300", "1e20"])
@pytest.mark.parametrize(
    "dtype", ["bool", "boolean", "int8", "uint8", "int64", "Int64", "float32"]
)
def test_a_number_is_the_same_from_a_frame_a_csv_and_json(tmp_path, dtype, cell):
    table = pd.DataFrame({"x": [0, 1] * 15, "y": range(30)}).astype({"x": dtype})
    (tmp_path / "new.csv").write_text(f"x\n{cell}\n", encoding="utf-8")
    data = fitted(table, predict_path=tmp_path / "new.csv")
    [row] = data.examples("predict").inputs.raw()
    frame = pd.DataFrame({"x": [float(cell)]})
    rows = ([row], frame, [{"x": cell}], [{"x": float(cell)}])
    expected = [pytest.approx(float(cell), rel=1e-6)]
    assert [first_number(data, each) for each in rows] == [expected] * 4


def test_truth_with_holes_is_read_again_from_a_file_without_holes(tmp_path):
    train = pd.DataFrame({"flag": ["true", "false", None] * 10, "y": range(30)})
    test = pd.DataFrame({"flag": ["true", "false"], "y": [1, 2]})
    for features in (None, pd.DataFrame.copy):
        data = fitted(
            csv(train),
            features=features,
            test_path=csv(test, "test.csv"),
            missing="mean",
        )
        assert data.inputs("test")[:, 0].tolist() == [1, 0]


@pytest.mark.parametrize("source", [csv, pd.DataFrame])
def test_the_lists_name_the_columns_that_features_make(source):
    table = pd.DataFrame({"a": [12, 13] * 15, "b": [34, 35, 36] * 10, "y": range(30)})

    def total(frame):
        return pd.DataFrame({"total": frame["a"] + frame["b"], "kind": frame["a"]})

    data = fitted(
        source(table),
        features=total,
        numeric_columns=["total"],
        categorical_columns=["kind"],
    )
    assert data.feature_names == ["total", "kind=12", "kind=13"]
    assert first_number(data, [{"a": "12", "b": "34"}]) == [46]


def test_a_column_of_dates_is_one_for_features_whatever_the_lists_name():
    dates = pd.date_range("2022-12-01", periods=30, freq="20D").astype(str)

    def year(frame):
        return pd.DataFrame({"year": frame["when"].dt.year})

    data = fitted(
        csv(pd.DataFrame({"when": dates, "y": range(30)})),
        features=year,
        numeric_columns=["year"],
        categorical_columns=[],
        read_csv={"parse_dates": ["when"]},
    )
    assert first_number(data, [{"when": "2023-05-06"}]) == [2023]


def test_a_new_column_may_have_the_name_of_a_date():
    when = pd.date_range("2022-12-01", periods=30, freq="20D")

    def year(frame):
        return frame.assign(when=frame["when"].dt.year)

    data = fitted(pd.DataFrame({"when": when, "y": range(30)}), features=year)
    assert first_number(data, [{"when": "2023-05-06"}]) == [2023]
    assert data.feature_names == ["when"]
    assert [field["kind"] for field in data.encoder.fields()] == ["date"]


def test_a_number_that_features_replace_by_a_category_is_asked_for_as_a_number():
    table = pd.DataFrame({"size": range(30), "y": range(30)})

    def coarse(frame):
        return pd.DataFrame({"size": np.where(frame["size"] > 9, "large", "small")})

    data = fitted(table, features=coarse)
    [field] = data.encoder.fields()
    assert (field["kind"], field["categories"]) == ("number", None)


def test_categories_that_features_replace_are_asked_for_as_categories():
    names = [f"name {n}" for n in range(30)]
    table = pd.DataFrame(
        {"size": ["large", "small"] * 15, "name": names, "y": range(30)}
    )

    def length(frame):
        return pd.DataFrame(
            {"length": frame["name"].str.len() + (frame["size"] == "large")}
        )

    size, name = fitted(table, features=length).encoder.fields()
    assert (size["kind"], size["categories"]) == ("category", ["large", "small"])
    assert (name["kind"], name["categories"]) == ("text", None)


def hour(frame):
    return pd.DataFrame({"hour": frame["when"].dt.hour})


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_need_an_offset_whatever_the_unit_of_the_training(unit):
    when = pd.date_range("2024-01-01", periods=30, freq="h", tz="UTC").as_unit(unit)
    data = fitted(pd.DataFrame({"when": when, "y": range(30)}), features=hour)
    rows = [{"when": "2024-01-05T12:00:00+01:00"}]
    assert first_number(data, rows) == [11]
    with pytest.raises(ValueError, match="with an offset from UTC"):
        data.encoder.convert([{"when": "2024-01-05T12:00:00"}])


def codes(frame):
    return pd.DataFrame({"code": frame["c"].cat.codes})


@pytest.mark.parametrize(
    ("categories", "new"), [("abcd", "d"), ([1, 2, 3, 4], 4), ([0.5, 1, 2, 3], 3)]
)
def test_categories_have_the_codes_of_the_training(categories, new):
    cells = pd.Categorical(list(categories) * 10, list(categories))
    data = fitted(pd.DataFrame({"c": cells, "y": range(40)}), features=codes)
    restored = TableDataModule(None, "y", features=codes, scaling="none")
    restored.load_state_dict(data.state_dict())
    frames = [pd.DataFrame({"c": pd.Series([new], dtype="category")})]
    for rows in ([{"c": new}], [{"c": str(new)}], *frames):
        assert first_number(data, rows) == first_number(restored, rows) == [3]


def test_categories_in_order_can_be_compared_in_use():
    cells = pd.Categorical(["low", "high"] * 15, ["low", "high"], ordered=True)

    def is_high(frame):
        return pd.DataFrame({"is_high": frame["c"] > "low"})

    data = fitted(pd.DataFrame({"c": cells, "y": range(30)}), features=is_high)
    assert first_number(data, [{"c": "high"}, {"c": "low"}]) == [1, 0]


def test_an_unseen_category_has_a_code_of_its_own_and_a_missing_one_none():
    cells = pd.Categorical(["a", "b", None] * 10)
    table = pd.DataFrame({"c": cells, "y": range(30)})
    data = fitted(table, features=codes)
    assert first_number(data, [{"c": "x"}, {"c": None}, {"c": "b"}]) == [2, -1, 1]


def test_a_warning_of_features_is_printed_as_it_is(capsys):
    def greet(frame):
        warnings.warn("hello", stacklevel=1)
        return frame

    table = pd.DataFrame({"x": np.arange(30) % 7, "c": ["a", "b"] * 15, "y": range(30)})
    new = pd.DataFrame({"x": [1], "c": ["z"]})
    data = fitted(table, features=greet, predict_path=new)
    data.inputs("predict")
    lines = capsys.readouterr().out.splitlines()
    assert "hello" in lines
    assert "column 'c': unseen in training: ['z'], which become zeros" in lines
    assert not [line for line in lines if line.startswith("hello,")]
