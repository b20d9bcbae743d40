"""`dlp predict` on single texts, single images and other inputs, in process."""

import shutil

import numpy as np
import pandas as pd
import pytest
from image_files import write_classes
from matplotlib.figure import Figure

from dlp.cli import main

pytestmark = pytest.mark.usefixtures("undrawn_figures")

REGRESSION = ("--model.head", "regression")
QUIET = ("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false")


def fit(data, path, *options):
    main(
        [
            *("fit", "--data", data, "--data.path", str(path), "--run_dir", "run"),
            *("--trainer.max_epochs", "1", *QUIET, *options),
        ]
    )


def predict(*options):
    main(["predict", "--ckpt_path", "run/checkpoints/last.ckpt", *QUIET, *options])


@pytest.fixture(scope="module")
def run_of_texts(tmp_path_factory, one_pixel):
    """Fit once on a file of texts, and return the run's folder."""
    folder = tmp_path_factory.mktemp("texts")
    words = ["a great film", "a dull plot"] * 10
    table = pd.DataFrame({"text": words, "label": ["good", "bad"] * 10})
    table.to_csv(folder / "all.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
        patch.setattr(Figure, "savefig", one_pixel)
        fit("TextDataModule", "all.csv", "--model", "DenseModule")
    return folder / "run"


@pytest.fixture
def reviews(run_of_texts, tmp_path, monkeypatch):
    """A run on texts, whose file is gone."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_of_texts, "run")
    return tmp_path


def test_texts_on_the_command_line_are_printed(reviews, capsys):
    capsys.readouterr()
    predict("--text", "A great film, isn't it?", "--text", "dull")
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line[:2] == "  "]
    assert lines[0] == ["index", "text", "class", "probability"]
    assert lines[1][:2] == ["0", "A"]
    assert {lines[1][-2], lines[2][-2]} <= {"good", "bad"}
    assert 0.5 <= float(lines[2][-1]) <= 1
    assert not list((reviews / "run").glob("predictions*"))
    predict("--text", "dull", "--output", "out.csv")
    assert pd.read_csv("out.csv").text.tolist() == ["dull"]


def test_a_text_without_a_known_word_is_named(reviews, capsys):
    capsys.readouterr()
    predict("--text", "qqq zzz", "--text", "dull qqq")
    said = capsys.readouterr().out
    assert "1 of 2 texts have no word that the model knows, such as 'qqq zzz'" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--text", " "), "one of predict_texts is empty"),
        (("--text", "x", "--data.predict_path", "y.txt"), "there is no file y.txt"),
    ],
)
def test_texts_that_cannot_be_predicted(reviews, options, said, capsys):
    with pytest.raises(SystemExit):
        predict(*options)
    assert said in capsys.readouterr().err


def test_one_image_and_a_folder_have_files_of_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "pets", {"ants": 4, "bees": 4})
    new = write_classes(tmp_path / "new", {"x": 2}, start=50)
    model = ("--model", "ConvNetModule", "--model.channels", "[2]", "--model.dense", "[2]")
    fit("ImageFolderDataModule", "pets", "--data.image_size", "8", *model)
    capsys.readouterr()
    predict("--data.predict_path", str(new / "x/051.png"))
    said = capsys.readouterr().out
    assert "x/051.png" in said
    assert "wrote 1 prediction to run/predictions_051.csv" in said
    predict("--data.predict_path", str(new))
    assert len(pd.read_csv("run/predictions_new.csv")) == 2
    assert len(pd.read_csv("run/predictions_051.csv")) == 1
    with pytest.raises(SystemExit):
        predict("--text", "a cat")
    assert "--text is for models of texts" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said_before_the_data_is_read(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(20, 2))
    pd.DataFrame(x, columns=["a", "b"]).to_csv("t.csv", index=False)
    fit("TableDataModule", "t.csv", "--data.target", "b", "--model", "DenseModule", *REGRESSION)
    for output, said in (
        ("out.xlsx", "written as .csv or .parquet"),
        ("t.csv/out.csv", "cannot write t.csv/out.csv: Not a directory"),
        (".", "is a folder"),
    ):
        with pytest.raises(SystemExit):
            predict("--data.predict_path", "nowhere.csv", "--output", output)
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fit", "--config", "run/config.yaml", "--output", "out.csv", *QUIET])
    assert (
        "--output is for dlp predict and dlp visualize; dlp fit has no" in capsys.readouterr().err
    )
