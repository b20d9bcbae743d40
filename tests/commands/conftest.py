"""A trained run, made once and copied."""

import shutil

import pytest
from helpers.sets import write_points

from dlp.cli import main


@pytest.fixture(scope="session")
def run_of_points(tmp_path_factory):
    """Return a folder with a recipe and a run that was tested."""
    return fitted_points(tmp_path_factory.mktemp("run_of_points"))


@pytest.fixture(scope="session")
def run_of_ensemble(tmp_path_factory):
    """Return a folder with a run of two networks."""
    return fitted_points(tmp_path_factory.mktemp("ensemble"), "--ensemble", "2")


def fitted_points(folder, *words):
    """Fit and test the recipe of points in a folder; return it."""
    write_points(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["fit", "--config", "points.yaml", "--test_after_fit", "best", *words])
    return folder


@pytest.fixture
def points(tmp_path):
    """Work in a folder with a recipe."""
    write_points(tmp_path)
    return tmp_path


@pytest.fixture
def fitted(run_of_points, tmp_path):
    """Work in a copy of the folder with a run."""
    shutil.copytree(run_of_points, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def fails(capsys):
    """Run a command that ends in a sentence; return it."""

    def run(*args):
        with pytest.raises(SystemExit) as exit_:
            main([*args])
        message = capsys.readouterr().err.splitlines()[-1]
        assert exit_.value.code == 2
        assert message.startswith("dlp: ")
        return message

    return run
