"""A trained run, made once and copied."""

import shutil

import pytest
from helpers.sets import write_points

from dlp.cli import main


@pytest.fixture(scope="session")
def run_in():
    """Return a function that runs a command in a folder."""

    def run(folder, *args):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("DLP_CACHE_DIR", str(folder / ".cache"))
            return main([*args])

    return run


@pytest.fixture(scope="session")
def run_of_points(tmp_path_factory, run_in):
    """Return a folder with a recipe and a run that was tested."""
    folder = tmp_path_factory.mktemp("run_of_points")
    write_points(folder)
    run_in(folder, "fit", "--config", "points.yaml", "--test_after_fit", "best")
    return folder


@pytest.fixture(scope="session")
def run_of_folds(tmp_path_factory, run_in):
    """Return a folder with a recipe and a run of three folds."""
    folder = tmp_path_factory.mktemp("run_of_folds")
    write_points(folder)
    args = ("--num_folds", "3", "--trainer.accelerator", "cpu", "--keep", "true")
    run_in(folder, "crossval", "--config", "points.yaml", *args)
    return folder


@pytest.fixture
def points(tmp_path):
    """Work in a folder with a recipe."""
    write_points(tmp_path)
    return tmp_path


@pytest.fixture
def fitted(run_of_points, tmp_path):
    """Work in a copy of the folder with a run."""
    return shutil.copytree(run_of_points, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def validated(run_of_folds, tmp_path):
    """Work in a copy of the folder with three finished folds."""
    return shutil.copytree(run_of_folds, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def fails(capsys):
    """Run a command that ends in a sentence; return it."""

    def run(*args):
        with pytest.raises(SystemExit) as exit_:
            main([*args])
        error = capsys.readouterr().err
        message = error.splitlines()[-1]
        assert exit_.value.code == 2
        assert message.startswith("dlp: ")
        assert "Traceback" not in error
        return message

    return run
