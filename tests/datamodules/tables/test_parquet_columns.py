"""A large Parquet file is read column by column, with the results of one that stands in memory."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.datamodules import TableDataModule
from dlp.datamodules.known_rows import known_columns
from dlp.datamodules.splitting import groups
from dlp.datamodules.tables import parquet_columns
from dlp.datamodules.tables.files import read_table
from dlp.datamodules.tables.parquet_columns import ParquetColumns
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError

ROWS = 200


def mixed() -> pd.DataFrame:
    """Return numbers with and without holes, texts, dates and a target."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "city": draw.choice(["Paris", "Oslo", "Rome"], ROWS),
            "area": draw.normal(100, 20, ROWS),
            "rooms": pd.array(draw.integers(1, 9, ROWS), "Int64"),
            "a.b": draw.integers(0, 5, ROWS).astype(np.float32),
            "built": pd.Timestamp("2000-01-01")
            + pd.to_timedelta(draw.integers(9999, size=ROWS), "D"),
            "garden": draw.random(ROWS) < 0.5,
            "a": draw.integers(0, 1000, ROWS),
            "row_id": np.arange(ROWS) * 3,
        }
    )
    frame["price"] = frame.area * 3 + frame.a
    frame.loc[[3, 150], "area"] = np.nan
    frame.loc[70, "rooms"] = pd.NA  # in one group of rows alone
    return pd.concat([frame, frame.iloc[5:8]], ignore_index=True)


@pytest.fixture
def path(tmp_path):
    mixed().to_parquet(tmp_path / "t.parquet", row_group_size=64)
    return tmp_path / "t.parquet"


@pytest.fixture
def large(monkeypatch):
    """Let every file be a large one."""
    monkeypatch.setattr(parquet_columns, "IN_MEMORY", 0)
    monkeypatch.setattr(parquet_columns, "_PIECE", 50)


def module(path, **arguments) -> TableDataModule:
    """Return a DataModule of the mixed table."""
    given = {"test_size": 0.2, "missing": "mean", "missing_indicator": True, **arguments}
    return TableDataModule(path, target="price", **given)


def results(data: TableDataModule) -> dict:
    """Return all that a run and a person get of a DataModule."""
    reading = data.reading().to_dict()
    parts = ("train", "val", "test")
    return {
        "reading": reading,
        "state": {k: v for k, v in data.state_dict().items() if k not in ("seed", "arguments")},
        "inputs": {part: data.inputs(part).tolist() for part in parts},
        "rows": {part: known_columns(data, part) for part in parts},
        "plain": np.nan_to_num(data.plain_columns(data.examples("val").rows)[0], nan=-1).tolist(),
        "shown": data.readable(data.examples("val").rows).astype(object).fillna("").to_dict("list"),
    }


def ratios(frame):
    """Return features of one's own."""
    return pd.DataFrame({"ratio": frame["area"] / (1 + frame["a"])})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"scaling": "quantile", "bins": 4, "missing": "zero"},
        {"time_column": "built", "id_column": "row_id"},
        {"group_column": "city", "drop_columns": ["a"], "target_transform": "log"},
        {"categorical_columns": ["rooms", "city"]},
        {"numeric_columns": ["area", "a"], "categorical_columns": ["garden"]},
        {"features": ratios, "missing": "mean"},
        {"table_format": TableFormat(na_values=["3", "Oslo"])},
        {"num_folds": 3, "fold": 1, "drop_duplicates": True},
    ],
)
def test_the_results_are_those_of_a_table_in_memory(path, monkeypatch, arguments):
    expected = results(module(path, **arguments))
    monkeypatch.setattr(parquet_columns, "IN_MEMORY", 0)
    monkeypatch.setattr(parquet_columns, "_PIECE", 50)
    data = module(path, **arguments)
    found = results(data)
    assert isinstance(data.examples("train").rows, ParquetColumns)
    assert found == expected


@pytest.mark.usefixtures("large")
def test_numbers_do_not_stand_in_memory(path):
    data = module(path)
    rows = data.examples("train").rows
    assert isinstance(rows, ParquetColumns)
    assert sorted(rows.kept) == ["built", "city", "garden"]
    assert len(rows) == len(data.examples("train").targets)
    assert rows["area"].tolist() != rows["area"].sort_index().tolist()  # shuffled
    with pytest.raises(KeyError):
        rows["price"]


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    "rows", [np.arange(5), [7], [4, 2], np.arange(len(mixed()))[::-1], np.arange(len(mixed()))]
)
def test_rows_that_are_equally_spaced_are_chosen_like_others(path, rows):
    table = read_table(path).frame
    assert isinstance(table, ParquetColumns)
    pd.testing.assert_frame_equal(
        table.chosen(np.array(rows)).in_memory(), table.in_memory().iloc[rows], check_names=False
    )


def test_rows_without_a_target_are_left_out(tmp_path, monkeypatch):
    frame = mixed()
    frame.loc[[2, 90], "price"] = np.nan
    frame.to_parquet(tmp_path / "t.parquet")
    expected = results(module(tmp_path / "t.parquet", drop_unlabelled=True))
    monkeypatch.setattr(parquet_columns, "IN_MEMORY", 0)
    monkeypatch.setattr(parquet_columns, "_PIECE", 50)
    assert results(module(tmp_path / "t.parquet", drop_unlabelled=True)) == expected


@pytest.mark.usefixtures("large")
def test_tables_to_test_and_to_predict(path, tmp_path):
    new = mixed().sample(frac=1, random_state=0)
    new.to_parquet(tmp_path / "new.parquet", index=False)
    data = module(path, test_size=None, test_path=tmp_path / "new.parquet")
    data.predict_path = tmp_path / "new.parquet"
    assert torch.equal(data.inputs("test"), data.inputs("predict"))
    assert known_columns(data, "predict")["index"] == list(range(len(new)))
    assert known_columns(data, "predict")["true"] == pytest.approx(new["price"].tolist())


@pytest.mark.usefixtures("large")
def test_a_bad_cell_is_named_by_its_row(tmp_path):
    frame = mixed()
    frame.loc[123, "a.b"] = np.inf
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"'a\.b' must hold finite numbers.*row 123 .*has inf"):
        module(tmp_path / "t.parquet").fit()
    with pytest.raises(InputError, match="'area' has 2 missing cells, the first in row 3 "):
        module(
            tmp_path / "t.parquet", missing="error", missing_indicator=False, drop_columns=["a.b"]
        ).fit()


@pytest.mark.usefixtures("large")
def test_a_file_that_changes_meanwhile_is_refused(path):
    data = module(path)
    data.fit()
    mixed().iloc[::-1].to_parquet(path)
    with pytest.raises(InputError, match=r"t\.parquet was changed while it was used"):
        data.inputs("train")


@pytest.mark.usefixtures("large")
def test_a_datamodule_of_a_large_file_can_be_copied(path):
    data = module(path)
    data.fit()
    assert torch.equal(copy.deepcopy(data).inputs("train"), data.inputs("train"))


def test_hashes_are_those_of_pandas(monkeypatch):
    monkeypatch.setattr(groups, "_PIECE", 31)
    frame = mixed().drop(columns="rooms")
    plain = pd.DataFrame({name: groups.alike(series) for name, series in frame.items()})
    expected = pd.util.hash_pandas_object(plain, index=False)
    assert np.array_equal(groups.table_hashes(frame), expected)
    assert len(groups.table_hashes(frame.iloc[:0])) == 0
