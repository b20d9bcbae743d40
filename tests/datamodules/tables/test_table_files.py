from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from table_examples import fit, houses, table

from dlp.datamodules import TableDataModule
from dlp.datamodules.tables.files import read_table
from dlp.errors import InputError, MissingInputError


def test_a_missing_file_gets_the_nearest_name(csv, tmp_path):
    csv(houses())
    with pytest.raises(MissingInputError, match=r"no file .*Did you mean 'houses\.csv'"):
        fit(table(tmp_path / "house.csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"id,area,price\n", "no row below its header"),
        ("t.csv", b"id,area,price\n1,2,3\n1,2,3,4\n", "cannot be read as a table"),
        ("t.csv", b"id,area,price\n1,2,3,4\n1,2,3,4\n", "cannot be read as a table"),
        ("t.csv", b'id,area,price\n1,"2,3\n', "cannot be read as a table"),
        ("t.csv", "id,área,price\n1,2,3\n".encode("latin-1"), "not UTF-8 text.*0xe1.*Save it"),
        ("t.csv", b"id,city,price\n1,2,3\n4,Z\xfcrich,5\n", "not UTF-8 text.*0xfc"),
        ("t.parquet", b"PAR1 and no more", "cannot be read as a table"),
        ("t.xlsx", b"PK", "accepted endings"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        fit(table(tmp_path / name))
    assert name in str(caught.value)


def test_a_file_without_permission_and_a_folder(csv, tmp_path, monkeypatch):
    path = csv(houses())
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv cannot be read"):
        fit(table(tmp_path / "folder.csv"))

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"houses\.csv cannot be read: Permission denied"):
        fit(table(path))


def test_texts_are_texts_whatever_they_hold(tmp_path):
    (tmp_path / "t.csv").write_text("text,more\ntrue,true\nFALSE,FALSE\n")
    frame = read_table(tmp_path / "t.csv", texts=["text"]).frame
    assert frame["text"].tolist() == ["true", "FALSE"]
    assert frame["more"].tolist() == [True, False]


def test_the_line_of_a_bad_cell_is_right_where_rows_are_left_out(csv):
    frame = houses().astype({"area": object})
    frame.loc[30, "area"] = "n/k"
    frame.loc[:9, "price"] = None
    data = table(csv(houses()), test_path=csv(frame, "test.csv"), drop_unlabelled=True)
    with pytest.raises(InputError, match=r"'area'.*'n/k' in line 32 of the file"):
        fit(data).test_dataloader()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("codes", "new", "classes"),
    [
        (["1.1", "1.10", "1.2"], ["1.10", "1.2", "1.1"], ["1.1", "1.10", "1.2"]),
        (["1", "1.1", "1.10"], ["1", "1.1", "1.0"], ["1", "1.1", "1.10"]),
        (["01.11", "62.01"], ["62.01", "62.01"], ["01.11", "62.01"]),
        (["0", "1", "10"], ["0.0", "1.0", "10.0"], ["0", "1", "10"]),
        (["1.0", "2.0", "10.0"], ["1", "2", "10"], ["1.0", "2.0", "10.0"]),
    ],
)
def test_classes_are_named_as_they_are_written(ending, codes, new, classes, tmp_path):
    paths = [tmp_path / f"{part}.{ending}" for part in ("train", "test")]
    for path, labels in zip(paths, (codes * 3, new), strict=True):
        frame = pd.DataFrame({"x": np.arange(len(labels)) / 2, "y": labels})
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    arguments = {"val_size": None, "split_seed": None, "task": "classification"}
    data = TableDataModule(paths[0], "y", paths[1], **arguments)
    assert data.class_names == classes
    names = [data.targets.name_of(value) for value in data.examples("test").targets]
    assert set(names) <= set(classes)
    assert [float(name) for name in names] == [float(label) for label in new]
    assert "1.10" not in new or names == new


def test_categories_of_parquet_are_missing_where_texts_are(tmp_path):
    signs = pd.Series(["pos", "neg", " ", "NA", None, " pos"] * 4)
    frame = pd.DataFrame({"y": signs, "x": signs}).astype("category")
    frame.assign(n=range(24)).to_parquet(tmp_path / "t.parquet")
    arguments = {"drop_unlabelled": True, "val_size": None, "table_format": {"na_values": ["NA"]}}
    data = TableDataModule(tmp_path / "t.parquet", "y", **arguments)
    assert (data.class_names, len(data.examples("train").targets)) == (["neg", "pos"], 12)
    assert data.feature_names[-2:] == ["x=neg", "x=pos"]
    arguments = {"drop_columns": ["y"], "val_size": None}
    with pytest.raises(InputError, match=r"column 'x' has 8 missing cells, the first in row 2"):
        fit(TableDataModule(tmp_path / "t.parquet", "n", **arguments))
