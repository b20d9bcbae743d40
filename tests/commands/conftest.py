"""Runs that are made once and copied."""

import shutil
from functools import cache
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from dlp import visualization
from dlp.cli import main
from dlp.files import save_figure
from helpers.sets import write_points


@pytest.fixture(autouse=True, scope="package")
def quick_curves():
    """Leave figures empty: they take half of a short fit. Tests of recorder and outputs draw."""

    def save_empty(figure, path):
        save_figure(Figure(), path)

    assert visualization.draw_curves  # the package keeps what it is first asked for
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlp.visualization.curves.draw_curves", lambda *_: Figure())
        patch.setattr("dlp.callbacks.mistakes.save_figure", save_empty)
        yield


@pytest.fixture(scope="package")
def made(tmp_path_factory):
    """Return a function that calls another one in a folder of its own, once; it returns that."""

    @cache
    def folder_of(make):
        folder = tmp_path_factory.mktemp("made")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("DLP_CACHE_DIR", str(folder / ".cache"))
            make()
        return folder

    return folder_of


@pytest.fixture
def copied(made, tmp_path):
    """Return a function that copies such a folder into that of the test."""
    return lambda make: shutil.copytree(made(make), tmp_path, dirs_exist_ok=True)


def fit_and_test():
    write_points(Path.cwd())
    main(["fit", "--config", "points.yaml", "--test_after_fit", "best"])


def validate_by_folds():
    write_points(Path.cwd())
    args = ("--num_folds", "3", "--trainer.accelerator", "cpu", "--keep", "true")
    main(["crossval", "--config", "points.yaml", *args])


@pytest.fixture
def points(tmp_path):
    """Work in a folder with a recipe."""
    write_points(tmp_path)
    return tmp_path


@pytest.fixture(scope="package")
def run_of_points(made):
    """Return a folder with a recipe and a run that was tested."""
    return made(fit_and_test)


@pytest.fixture
def fitted(copied):
    """Work in a copy of that folder."""
    return copied(fit_and_test)


@pytest.fixture
def validated(copied):
    """Work in a folder with a recipe and a run of three folds."""
    return copied(validate_by_folds)


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
