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
    return data.encoder.read(rows).numbers[:, 0].tolist()


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
