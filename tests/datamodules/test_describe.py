"""The text of ``dlp data``."""

import numpy as np
import pandas as pd
import pytest
from helpers.sets import array_data, image_data, table_data, text_data

from dlp.commands.data import data as data_command
from dlp.datamodules import ArrayDataModule, TargetEncoder
from dlp.datamodules.tables.rows import TableRows


def test_a_table_has_a_line_per_column():
    frame = pd.DataFrame(
        {
            "area": [50.5, None, 120.0],
            "city": ["Rome", "Oslo", "Oslo"],
            "sold": pd.to_datetime(["2020-01-30", "2021-05-01", "2021-05-01"]),
        }
    )
    lines = [line.split() for line in TableRows(frame).describe().splitlines()]
    assert lines[:2] == [["3", "rows"], ["column", "kind", "missing", "distinct", "values"]]
    assert lines[2] == ["area", "number", "1", "2", "50.5", "to", "120"]
    assert lines[3] == ["city", "category", "0", "2", "Oslo,", "Rome"]
    assert lines[4][:4] == ["sold", "date", "0", "2"]


@pytest.mark.parametrize(
    ("targets", "arguments", "words"),
    [
        (["no", "yes", "no"], {}, [["no", "2"], ["yes", "1"]]),
        ([[1, 1], [0, 1], [1, 1]], {"columns": ["wet", "hot"]}, [["wet", "2"], ["hot", "3"]]),
        ([1.5, 2, 4], {"columns": ["price"]}, [["price", "1.5", "to", "4,", "mean", "2.5"]]),
    ],
)
def test_targets_have_counts_or_a_range(targets, arguments, words):
    encoder = TargetEncoder(**arguments)
    encoder.fit(np.asarray(targets))
    description = encoder.describe({"train": np.asarray(targets)})
    lines = [line.split() for line in description.splitlines()]
    assert all(line in lines for line in words)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (array_data, "40 rows of shape (3,), from "),
        (table_data, "40 rows"),
        (text_data, "40 texts of 3 to 4 tokens, median 3"),
        (image_data, "40 images of 8 x 8 pixels, channels: 3"),
    ],
)
def test_inputs_of_each_kind_are_counted(make, sentence, tmp_path):
    assert make(tmp_path).labelled.describe().startswith(sentence)


def test_rows_are_read_as_cells_text_path_or_numbers(tmp_path):
    data = table_data(tmp_path, split_seed=None, val_size=4)
    x = data.examples("val").inputs.frame.iloc[1]
    assert data.readable("val", [1]) == [f"a={x.a}, b={x.b}, c={x.c}"]
    assert text_data(tmp_path).readable("val", [0])[0].startswith("word")
    assert image_data(tmp_path).readable("val", np.array([0]))[0].endswith(".png")
    assert array_data(tmp_path).readable("val", [0])[0].startswith("[")


def test_the_command_prints_the_description_and_the_sizes_of_the_parts(capsys):
    class Recipe:
        def data(self):
            return ArrayDataModule(np.arange(20.0), ["a", "b"] * 10, test_size=4, val_size=6)

    data_command(Recipe())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("20 rows of shape (1,)")
    assert lines[-1] == "rows per part: train 10, val 6, test 4"
