"""What the tests of the command line share."""

import numpy as np
import pandas as pd
import pytest
from command_line import RECIPE


@pytest.fixture
def points(tmp_path, monkeypatch):
    """Work in a folder with a table and a recipe for it."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 2)), columns=["east", "north"])
    table["side"] = np.where(table.east + table.north > 0, "right", "left")
    table.to_csv(tmp_path / "points.csv", index=False)
    (tmp_path / "points.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path
