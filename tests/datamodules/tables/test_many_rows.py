"""Of many rows the first ones tell most of what is said of a column; where they do not, all do."""

import numpy as np
import pandas as pd
import pytest

from dlp.datamodules import TableDataModule
from dlp.datamodules.tables.column_readings import _LOOKED_AT

ROWS = 2 * _LOOKED_AT


def notes(tmp_path, target, **columns) -> str:
    """Return what is noted of a table of a target and these columns."""
    frame = pd.DataFrame({**columns, "y": target})
    frame.to_parquet(tmp_path / "t.parquet")
    data = TableDataModule(tmp_path / "t.parquet", "y", missing="mean", test_size=0.1)
    return "\n".join(data.reading().input.notes)


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def test_a_column_that_tells_the_classes_in_all_rows(tmp_path, draw):
    y = draw.integers(0, 2, ROWS)
    hole = np.where(np.arange(ROWS) == 7, np.nan, 5.0 - y)
    late = np.where(np.arange(ROWS) == ROWS - 1, 9, y)  # a third value, in the last row
    found = notes(tmp_path, y, same=1 - y, hole=hole, late=late, other=draw.normal(size=ROWS))
    told = [name for name in ("same", "hole", "late", "other") if f"{name!r} alone tells" in found]
    assert told == ["same", "hole"]


def test_a_column_that_tells_the_values_in_all_rows(tmp_path, draw):
    y = draw.normal(size=ROWS)
    late = np.where(np.arange(ROWS) == ROWS - 1, 1.0, 0.0)  # constant in the first rows
    found = notes(tmp_path, y, scaled=2 * y + 1, late=late, other=draw.normal(size=ROWS))
    told = [name for name in ("scaled", "late", "other") if f"{name!r} alone tells" in found]
    assert told == ["scaled"]


@pytest.mark.parametrize(
    ("mark", "count", "is_noted"),
    [(-999.0, 1, True), (-1000.0, 2, False), (-1000.0, 3, True), (1e6, 3, True), (1e6, 2, False)],
)
def test_numbers_far_from_all_others(tmp_path, draw, mark, count, is_noted):
    x = draw.normal(size=ROWS)
    x[-count:] = mark
    found = notes(tmp_path, draw.integers(0, 2, ROWS), x=x, z=draw.normal(size=ROWS))
    assert (f"{mark:.12g} in column 'x' is far from all other numbers" in found) == is_noted


def test_columns_that_are_equal_in_the_first_rows_alone(tmp_path, draw):
    x = draw.normal(size=ROWS)
    almost = np.where(np.arange(ROWS) == ROWS - 1, 0, x)
    found = notes(tmp_path, draw.integers(0, 2, ROWS), x=x, almost=almost, twin=x.copy())
    assert "columns 'x' and 'twin' are equal in every row" in found
    assert "'almost'" not in found
