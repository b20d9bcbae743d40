"""What the tests of the command line share."""

import shutil

import numpy as np
import pandas as pd
import pytest
from command_line import RECIPE
from matplotlib.figure import Figure

from dlp.cli import main


@pytest.fixture(scope="session")
def points_file(tmp_path_factory):
    """Write the table of `points` once."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 2)), columns=["east", "north"])
    table["side"] = np.where(table.east + table.north > 0, "right", "left")
    path = tmp_path_factory.mktemp("points") / "points.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def points(points_file, tmp_path, monkeypatch):
    """Work in a folder with a table and a recipe for it."""
    shutil.copy(points_file, tmp_path)
    (tmp_path / "points.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def once(points_file, one_pixel, tmp_path_factory):
    """Return what runs a command on `points` in a folder that tests copy, and gives the folder."""

    def run(*words):
        folder = tmp_path_factory.mktemp("once")
        shutil.copy(points_file, folder)
        (folder / "points.yaml").write_text(RECIPE)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
            patch.setattr(Figure, "savefig", one_pixel)
            main(list(words))
        return folder

    return run


@pytest.fixture(scope="session")
def run_of_points(once):
    """Fit the recipe of `points` once, and return the folder with its ``runs``."""
    return once("fit", "--config", "points.yaml")


@pytest.fixture
def fitted(run_of_points, points):
    """Work in the folder of `points` after ``dlp fit --config points.yaml``."""
    shutil.copytree(run_of_points / "runs", points / "runs")
    return points
