"""Columns of new tables have the types of the training."""

import numpy as np
import pandas as pd
import pytest
from pandas._libs.parsers import STR_NA_VALUES

from dlp.datamodules import TableDataModule
from dlp.datamodules.tables.trained_types import table_as_trained


def test_columns_are_converted_as_in_training():
    cells = {
        "i": "3",
        "f": "3",
        "b": "True",
        "z": "2021-01-01T00:00+02:00",
        "t": "1.50",
    }
    frame = pd.DataFrame({name: [cell] for name, cell in cells.items()}, dtype="str")
    zone = "datetime64[us, UTC+01:00]"
    dtypes = {
        "i": "int64",
        "f": "float64",
        "b": "bool",
        "z": zone,
        "t": "str",
        "gone": "int64",
    }
    table = table_as_trained(frame, {}, dtypes)
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        name: dtype for name, dtype in dtypes.items() if name != "gone"
    }
    assert table["z"][0] == pd.Timestamp("2020-12-31T23:00+01:00")
    assert table["t"][0] == "1.50"


@pytest.mark.parametrize(
    ("cell", "dtype"), [("x", "int64"), ("2021-01-01", "datetime64[us, UTC]")]
)
def test_a_column_with_another_cell_stays_text(cell, dtype):
    frame = pd.DataFrame({"c": [cell]}, dtype="str")
    assert table_as_trained(frame, {}, {"c": dtype})["c"].tolist() == [cell]


def trained(tmp_path, **arguments):
    """Return fitted data whose table to predict has codes in a column of numbers."""
    rows = [f"{n % 7},{'x' if n % 2 else 'y'},{n}" for n in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["a,kind,y", *rows]), encoding="utf-8")
    (tmp_path / "new.csv").write_text("a,kind\n012,x\n3.5,y\n", encoding="utf-8")
    data = TableDataModule(
        tmp_path / "t.csv",
        "y",
        predict_path=tmp_path / "new.csv",
        scaling="none",
        **arguments,
    )
    data.fit()
    return data


def test_a_code_in_a_new_file_is_the_number_that_it_is_in_a_row(tmp_path):
    data = trained(tmp_path)
    rows = [{"a": "012", "kind": "x"}, {"a": 3.5, "kind": "y"}]
    inputs = data.inputs("predict")
    np.testing.assert_array_equal(inputs, data.encoder.transform(rows))
    assert inputs[0, 0] == 12


def test_numbers_are_of_one_type_in_all_pieces_and_with_a_restored_state(
    tmp_path, monkeypatch
):
    data = trained(tmp_path)
    monkeypatch.setattr("dlp.datamodules.tables.table._ROWS_PER_PIECE", 1)
    restored = TableDataModule(
        "gone.csv", "y", predict_path=tmp_path / "new.csv", scaling="none"
    )
    restored.load_state_dict(data.state_dict())
    for each in (data, restored):
        pieces = [
            piece.examples("predict").inputs.frame for piece in each.pieces_to_predict()
        ]
        assert [str(piece["a"].dtype) for piece in pieces] == ["float64", "float64"]


@pytest.mark.parametrize("text", sorted(STR_NA_VALUES))
def test_texts_that_pandas_takes_as_missing_are_so_in_use(tmp_path, text):
    table = tmp_path / "t.csv"
    rows = [f"{n},{n}" for n in range(30)]
    table.write_text("\n".join(["x,y", f"{text},0", *rows]), encoding="utf-8")
    data = TableDataModule(
        table, "y", missing="mean", read_csv={"keep_default_na": True}
    )
    data.fit()
    rows = [{"x": text}, {"x": None}, {"x": ""}]
    encoded = data.encoder.transform(rows)
    assert (encoded == encoded[0]).all()


def test_classes_of_a_csv_that_are_numbers_are_in_their_order(tmp_path):
    table = tmp_path / "t.csv"
    rows = [f"{n % 7},{9 + n % 2}" for n in range(30)]
    table.write_text("\n".join(["x,y", *rows]), encoding="utf-8")
    data = TableDataModule(table, "y", task="classification")
    data.fit()
    assert data.class_names == ["9", "10"]
