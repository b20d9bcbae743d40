from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from lightning import LightningDataModule

from dlp.commands.data import data as data_command
from dlp.datamodules import ArrayDataModule, TargetEncoder
from dlp.datamodules.ownership import supervised_data
from dlp.datamodules.tables.rows import TableRows
from dlp.errors import InputError
from helpers.sets import DATA_MODULES


def test_a_table_has_a_line_per_column():
    frame = pd.DataFrame({"area": [50.5, None, 120.0], "city": ["NA", "Oslo", "Oslo"]})
    frame["sold"] = pd.to_datetime(["2020-01-30", "2021-05-01", "2021-05-01"])
    lines = [line.split() for line in TableRows(frame).describe().splitlines()]
    assert lines[:2] == [
        ["3", "rows"],
        ["column", "kind", "missing", "distinct", "values"],
    ]
    assert lines[2] == ["area", "number", "1", "2", "50.5", "to", "120"]
    assert lines[3] == ["city", "category", "0", "2", "NA,", "Oslo"]
    assert lines[4][:4] == ["sold", "date", "0", "2"]
    assert lines[5][-5:] == ["missing,", "give", "read_csv:", "{na_values:", "NA}"]


def test_a_table_without_inputs_is_a_line():
    assert TableRows(pd.DataFrame(index=range(3))).describe() == (
        "3 rows, no column is an input"
    )


@pytest.mark.parametrize("make", [list, np.array])
def test_a_column_of_lists_has_its_line(make):
    lists = [make(["x", "y"]), make([])]
    frame = pd.DataFrame({"text": ["a b", "c"], "labels": lists})
    lines = [line.split() for line in TableRows(frame).describe().splitlines()]
    assert lines[3][:4] == ["labels", "list", "0", "2"]


@pytest.mark.parametrize(
    ("names", "count"), [(["5.1", "b"], 1), (["a", "b"], 0), (["0", "1"], 0)]
)
def test_names_that_look_like_cells_are_told(names, count):
    frame = pd.DataFrame({names[0]: [3.5, 4.5, 5.5], names[1]: ["b", "b", "c"]})
    assert TableRows(frame).describe().count("{header: null}") == count


@pytest.mark.parametrize(
    ("targets", "arguments", "words"),
    [
        (["no", "yes", "no"], {}, [["no", "2"], ["yes", "1"]]),
        (
            [[1, 1], [0, 1], [1, 1]],
            {"column_names": ["wet", "hot"]},
            [["wet", "2"], ["hot", "3"]],
        ),
        (
            [1.5, 2, 4],
            {"column_names": ["price"]},
            [["price", "1.5", "to", "4,", "mean", "2.5"]],
        ),
    ],
)
def test_targets_have_counts_or_a_range(targets, arguments, words):
    encoder = TargetEncoder(**arguments)
    encoder.fit(np.asarray(targets))
    encoded = encoder.encode(np.asarray(targets))
    description = encoder.describe({"train": encoded})
    lines = [line.split() for line in description.splitlines()]
    assert all(line in lines for line in words)


@pytest.mark.parametrize(
    ("name", "sentence", "cells"),
    [
        ("arrays", "40 rows of shape (3,), from ", []),
        ("table", "40 rows", ["a=3.21, b=1.929, c=3.723"]),
        ("text", "40 texts of 3 to 4 tokens, median 3", ["word6 word3 word7"]),
        ("images", "40 images of 8 x 8 pixels, channels: 3", ["1.png"]),
    ],
)
def test_inputs_are_counted_and_a_row_is_cells_text_or_path(
    name, sentence, cells, tmp_path
):
    data = DATA_MODULES[name](tmp_path, split_seed=None)
    assert data.labelled.describe().startswith(sentence)
    examples = data.examples("val").take(np.array([1]))
    names = [cell for cells in examples.id_columns.values() for cell in cells]
    assert [*examples.inputs.readable(), *names] == cells


def test_the_command_prints_the_description_and_the_sizes_of_the_parts(capsys):
    data = ArrayDataModule(np.arange(20.0), ["a", "b"] * 10, test_size=4, val_size=6)
    data_command(SimpleNamespace(data=lambda: data))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("20 rows of shape (1,)")
    assert lines[-1] == "rows per part: train 10, val 6, test 4"


def test_data_of_another_project_is_refused():
    with pytest.raises(InputError, match="got LightningDataModule"):
        supervised_data(LightningDataModule())
