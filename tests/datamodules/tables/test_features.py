"""The user's own features get what they got in training, however new rows are given."""

import warnings

import numpy as np
import pandas as pd

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
