"""Fixtures of runs, which are created once and copied for each test."""

import io
import shutil
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dlp import visualization
from dlp.cli import main
from dlp.files import save_figure
from helpers.sets import write_points


@pytest.fixture(autouse=True, scope="package")
def quick_curves():
    """Leave figures empty, because they take half the time of a short fit."""

    def save_empty(figure, path):
        save_figure(Figure(), path)

    assert visualization.draw_curves  # the lazy package stores a name at its first use
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlp.visualization.curves.draw_curves", lambda *_: Figure())
        patch.setattr("dlp.callbacks.mistakes.save_figure", save_empty)
        yield


@pytest.fixture(scope="package")
def made(tmp_path_factory):
    """Return a function that calls `make` once in a new folder and returns this folder."""

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
    """Return a function that copies such a folder into the folder of the test."""
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
    """Work in a copy of the folder with the tested run."""
    return copied(fit_and_test)


@pytest.fixture
def validated(copied):
    """Work in a folder with a recipe and a run of three folds."""
    return copied(validate_by_folds)


@pytest.fixture
def fails(capsys):
    """Run a command that ends with an error message; return the message."""

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


GERMAN_RECIPE = """\
data:
  class_path: TableDataModule
  init_args:
    path: houses.csv
    test_path: test.csv
    target: Preis
    read_csv:
      encoding: cp1252
      sep: ;
      decimal: ","
      parse_dates: [gebaut]
      date_format: "%d.%m.%Y"
model: {class_path: DenseModule, init_args: {head: regression, hidden: [4]}}
trainer: {max_epochs: 1, enable_progress_bar: false, enable_model_summary: false}
"""


def fit_german():
    """Fit a table in the format of a German spreadsheet, and predict."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"Größe": draw.uniform(30, 150, 60).round(1)})
    frame["Ort"] = draw.choice(["Köln", "Ulm", "Bonn"], 60)
    frame["gebaut"] = pd.date_range("1990-01-15", periods=60, freq="MS").strftime(
        "%d.%m.%Y"
    )
    frame["Preis"] = (3 * frame["Größe"]).round(1)
    new = frame.drop(columns="Preis").head(9)
    tables = {"houses": frame[:50], "test": frame[50:].assign(Ort="Jena"), "new": new}
    for name, table in tables.items():
        table.to_csv(
            f"{name}.csv", sep=";", decimal=",", encoding="cp1252", index=False
        )
    Path("german.yaml").write_text(GERMAN_RECIPE, encoding="utf-8")
    main(["fit", "--config", "german.yaml"])
    main(["predict", "--config", "german.yaml", "--data.predict_path", "new.csv"])


def fit_and_export_german():
    """Also export the run. This takes seconds, so only slow tests use it."""
    fit_german()
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        main(["export", "german"])
    Path("export.txt").write_text(printed.getvalue(), encoding="utf-8")


@pytest.fixture(scope="package")
def german(made):
    """Return a folder with a run of a CSV in cp1252 and its predictions."""
    return made(fit_german)


@pytest.fixture(scope="package")
def german_export(made):
    """Return such a folder with the export of the run, and the output of the command."""
    return made(fit_and_export_german)
