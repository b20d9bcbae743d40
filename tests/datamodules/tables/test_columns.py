import numpy as np
import pytest
from table_examples import ROWS, fit, houses, table

from dlp.datamodules.splitting.splits import Split
from dlp.datamodules.tables.encoding import ColumnEncoder
from dlp.errors import InputError, MissingInputError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "prize"}, "target: there is no column 'prize'. Did you mean 'price'"),
        ({"drop_columns": ["Id2"]}, "drop_columns: there is no column 'Id2'"),
        ({"numeric_columns": ["aera"]}, r"numeric_columns.*'aera'\. Did you mean 'area'"),
        ({"categorical_columns": ["town", "cty"]}, "categorical_columns.*'town'"),
        ({"numeric_columns": ["area"], "categorical_columns": ["ciyt"]}, "Did you mean 'city'"),
    ],
)
def test_a_misspelt_column_gets_the_nearest(csv, arguments, message):
    with pytest.raises(MissingInputError, match=message):
        fit(table(csv(houses()), **arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"numeric_columns": ["price"]}, "'price' is the target"),
        ({"drop_columns": ["price"]}, "'price' is the target"),
        ({"drop_columns": ["area"], "numeric_columns": ["area"]}, "listed as an input: choose"),
        ({"numeric_columns": ["area"], "categorical_columns": ["area"]}, "choose one"),
        ({"missing_indicator": True}, "missing_indicator: true needs missing"),
        ({"test_path": "t.csv", "test_size": 3}, "test_path or test_size, not both"),
        ({"target": []}, "target must name a column"),
        ({"val_size": -1}, "val_size must be"),
        ({"test_size": -0.1}, "test_size must be"),
        ({"batch_size": -5}, "batch_size must be at least 1"),
    ],
)
def test_contradictions_are_refused_before_the_file_is_read(arguments, message):
    with pytest.raises(InputError, match=message):
        table("absent.csv", **arguments)


def with_cell(column, row, value):
    frame = houses().astype({column: object})
    frame.loc[row, column] = value
    return frame


def test_a_cell_that_is_no_number_is_named_by_column_line_and_value(csv):
    path = csv(with_cell("area", 30, "n/k"))
    for arguments in ({}, {"numeric_columns": ["area", "rooms"]}):
        with pytest.raises(
            InputError, match=r"'area'.*line 32 of the file.*'n/k'|'n/k' in line 32"
        ):
            fit(table(path, **arguments))
    listed = fit(table(path, categorical_columns=["area", "city"], val_size=None))
    assert "area=n/k" in listed.feature_names


def test_lines_are_counted_where_cells_span_them_and_rows_where_there_are_none(csv, tmp_path):
    frame = with_cell("area", 30, "n/k")
    frame.loc[0, "city"] = "Paris\nTexas"
    with pytest.raises(InputError, match=r"'n/k' in line 33 of the file"):
        fit(table(csv(frame)))
    frame.astype({"area": str}).to_parquet(tmp_path / "houses.parquet")
    with pytest.raises(InputError, match=r"'n/k' in row 30 \(counted from 0\)"):
        fit(table(tmp_path / "houses.parquet"))


def test_a_bad_cell_of_the_validation_or_test_part_shows_before_training(csv):
    bad = csv(with_cell("area", 2, "n/k"), "bad.csv")
    with pytest.raises(InputError, match=r"'area'.*'n/k' in line 4 of the file"):
        fit(table(bad, val_size=10, split_seed=None))
    with pytest.raises(InputError, match=r"'area'.*'n/k' in line 4 of the file"):
        fit(table(csv(houses()), test_path=bad))


def test_rows_are_checked_once_for_all_folds_until_they_are_read_anew(csv, monkeypatch):
    checked = []
    monkeypatch.setattr(ColumnEncoder, "check", lambda encoder, rows: checked.append(len(rows)))
    data = table(csv(houses()), test_path=csv(houses()[:5], "test.csv"), val_size=None)
    for fold in range(3):
        data.resplit(Split(num_folds=3, fold=fold))
        data.fit()
    assert checked == [ROWS, 5]
    data.read_again()
    data.resplit(Split(num_folds=3, fold=1))
    data.fit()
    assert checked == [ROWS, 5] * 2


@pytest.mark.parametrize("column", ["area", "city"])
def test_a_missing_cell_is_an_error_by_default(csv, column):
    path = csv(with_cell(column, 7, None))
    with pytest.raises(InputError, match=f"'{column}' has 1 missing cells, the first in line 9"):
        fit(table(path))


def test_an_infinite_cell(csv):
    with pytest.raises(InputError, match="'area' holds numbers, but 'inf' in line 6 of the file"):
        fit(table(csv(with_cell("area", 4, "inf")), missing="mean"))


@pytest.mark.parametrize("value", [np.inf, 1e300])
def test_numbers_that_float32_cannot_hold(tmp_path, value):
    houses().assign(area=[value] + [50.0] * (ROWS - 1)).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"'area' must hold finite numbers up to 1e38; row 0"):
        fit(table(tmp_path / "t.parquet", val_size=None))


def test_a_column_with_nothing_to_fill_from(csv):
    frame = houses()
    frame.loc[10:, "area"] = np.nan
    with pytest.raises(InputError, match="'area' has no value in the training part, so no median"):
        fit(table(csv(frame), missing="median", val_size=10, split_seed=None))
    empty = fit(table(csv(frame.assign(area=np.nan))))
    assert empty.left_out == {"area": "it is empty"}


def test_names_are_no_categories_unless_they_are_listed(csv):
    frame = houses(50)
    path = csv(frame.assign(name=[f"n{i % 30}" for i in range(50)]))
    data = fit(table(path))
    assert "name" in data.left_out
    assert not any(name.startswith("name") for name in data.feature_names)
    assert fit(table(path, categorical_columns=["name"], val_size=None)).input_shape[0] == 33
    path = csv(houses(4000).assign(name=[f"n{i % 1500}" for i in range(4000)]))
    with pytest.raises(InputError, match=r"'name' has 1,4.. different texts"):
        fit(table(path))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"target 'price' is missing in line 7 of the file \(1 rows in all\)"),
        ("inf", "'price' holds numbers, but 'inf' in line 7 of the file"),
        ("dear", "'price' holds numbers, but 'dear' in line 7"),
    ],
)
def test_bad_targets_are_named(csv, value, message):
    with pytest.raises(InputError, match=message):
        fit(table(csv(with_cell("price", 5, value))))


def test_labels_that_training_does_not_have(csv):
    frame = houses()
    with pytest.raises(InputError, match="one class only"):
        fit(table(csv(frame.assign(city="Paris")), target="city"))
    test = csv(frame.replace({"city": {"Nice": "Niece"}}), "test.csv")
    data = table(csv(frame), target="city", test_path=test)
    with pytest.raises(InputError, match=r"'Niece' is not among.*Did you mean 'Nice'"):
        data.test_dataloader()
    numbered = csv(frame.assign(kind=np.arange(ROWS) % 3))
    with pytest.raises(InputError, match="label 2 of row 2 is outside the classes 0 to 1"):
        fit(table(numbered, target="kind", class_names=["old", "new"]))


def test_a_column_absent_at_prediction_or_test_is_named(csv):
    frame = houses()
    new = csv(frame.drop(columns="price").rename(columns={"area": "Area_"}), "new.csv")
    data = fit(table(csv(frame), predict_path=new))
    with pytest.raises(MissingInputError, match=r"trained on.*'area'. Did you mean 'Area_'"):
        data.predict_dataloader()
    with pytest.raises(MissingInputError, match=r"target of the test part.*'price'"):
        fit(table(csv(frame), test_path=csv(frame.drop(columns="price"), "test.csv")))


def test_all_columns_dropped(csv):
    with pytest.raises(InputError, match="no input column"):
        fit(table(csv(houses()[["id", "price"]])))


def test_val_size_larger_than_the_table(csv):
    with pytest.raises(InputError, match="val_size=41 is more than the 40 rows"):
        fit(table(csv(houses()), val_size=41))
