import io
import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.cli import main
from dlp.errors import InputError
from dlp.files import sha256
from dlp.inference import Predictor
from dlp.inference.card import card, write_example
from dlp.modules.heads import SigmoidHead
from dlp.modules.networks import ConvNet
from dlp.reader.files import typed_rows
from dlp.reader.model import load_exported
from dlp.recipes.restoring import load_predictor
from dlp.runs.folder import Run
from helpers.models import predictor_of
from helpers.sets import DATA_MODULES, image_folder

RECIPE = """\
data:
  class_path: {}
  init_args: {{path: rows.csv, {}: answer, test_size: 0.2}}
model: {{class_path: DenseModule, init_args: {{head: {}, hidden: [4]}}}}
trainer: {{max_epochs: 1, enable_progress_bar: false, enable_model_summary: false}}
test_after_fit: best
"""
PHOTOS_RECIPE = """\
data: {class_path: ImageFolderDataModule, init_args: {path: photos, image_size: 12}}
model: {class_path: ConvNetModule, init_args: {head: sigmoid, channels: [4], dense: []}}
trainer: {max_epochs: 1, enable_progress_bar: false, enable_model_summary: false}
"""
DRAW = np.random.default_rng(0)
KINDS = DRAW.choice(["red", "green", "caf\u00e9"], (60, 4))
NOTES = [*map(" ".join, KINDS[:, 1:])]
NUMBERS = pd.DataFrame(DRAW.normal(size=(60, 2)), columns=["a", "b"])
ROWS = {
    "table": NUMBERS.assign(kind=KINDS[:, 0], note=NOTES, answer=NUMBERS["a"] * 100),
    "text": pd.DataFrame(
        {"text": map(" ".join, KINDS), "answer": KINDS[:, 0] == "red"}
    ),
}
FITS = {
    "table": ("TableDataModule", "text_columns: [note], target", "regression"),
    "text": ("TextDataModule", "label_column", "sigmoid"),
}


def fit_and_export(kind):
    ROWS[kind].to_csv("rows.csv", index=False)
    Path("mine.yaml").write_text(RECIPE.format(*FITS[kind]), encoding="utf-8")
    main(["fit", "--config", "mine.yaml"])
    main(["calibrate", "mine", "--coverage", "0.6"])
    main(["predict", "--config", "mine.yaml", "--data.predict_path", "rows.csv"])
    main(["export", "mine"])


@pytest.fixture(
    scope="module", params=[pytest.param(key, marks=pytest.mark.slow) for key in ROWS]
)
def run(request, made):
    """Return the folder of a run that is tested and exported, and its rows."""
    folder = made(partial(fit_and_export, request.param))
    return folder / "runs/mine/version_0", ROWS[request.param]


def test_checkpoint_and_export_predict_as_the_trainer_does(run):
    folder, rows = run
    expected = pd.read_csv(next(folder.glob("predictions_rows.csv")), index_col="index")
    for path in (folder, folder / "exported"):
        result = Predictor.load(path).predict(rows.set_axis(range(100, 160)))
        assert [*result.index] == [*range(100, 160)]
        numbers = expected.filter(regex="value|prob_|low|high")
        assert len(numbers.columns) + ("class" in result) * 2 == len(result.columns)
        np.testing.assert_allclose(
            result.select_dtypes("number"), numbers, rtol=1e-5, atol=1e-6
        )
        words = result.filter(["class", "set"]).astype(str).to_dict("list")
        assert words == expected.filter(words).astype(str).to_dict("list")
        for row in range(9):  # of other numbers of words
            alone = (
                Predictor.load(path)
                .predict(rows[row : row + 1])
                .select_dtypes("number")
            )
            np.testing.assert_allclose(
                alone, numbers[row : row + 1], rtol=1e-5, atol=1e-6
            )
    assert (
        b".py" not in (folder / "exported/model.onnx").read_bytes()
    )  # a path of this machine


def test_the_numbers_of_the_card_are_those_of_the_results(run):
    card = (run[0] / "exported/README.md").read_text("utf-8")
    test = json.loads((run[0] / "results.json").read_text("utf-8"))["test"]
    _, _, table = card.partition("12 test rows")
    header, of_this_model, *_ = table.partition("```text\n")[2].splitlines()
    names = header.split()
    scores = of_this_model.removeprefix("this model").split()
    for name in ("loss", "mae" if "test_mae" in test else "acc"):
        score = scores[names.index(name)]
        assert float(score) == pytest.approx(test[f"test_{name}"], rel=1e-5)
    assert "12 test rows" in card
    assert "coverage: 0.6" in card


def blocks(card, language):
    """Return the code of a card in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", card, re.M | re.S)


def commands_of(card):
    """Return the words after ``python predict.py`` of each command of a card."""
    [block] = blocks(card, "bash")
    install, *lines = block.splitlines()
    assert install.startswith("pip install onnxruntime numpy")
    commands = [shlex.split(line) for line in lines]
    for command in commands:
        assert command[:2] == ["python", "predict.py"]
    return [command[2:] for command in commands]


@pytest.mark.parametrize("kind", DATA_MODULES)
def test_the_row_of_a_card_is_one_of_the_training_set_in_its_program_and_command(
    kind, tmp_path, monkeypatch, capsys
):
    data = DATA_MODULES[kind](tmp_path)
    network = (
        ConvNet((3, 8, 8), 1, channels=[4], dense=[]) if kind == "images" else None
    )
    predictor = predictor_of(data, SigmoidHead(), network)
    rows = data.examples("train").take(np.arange(1)).inputs.raw()
    expected = predictor.predict(rows)
    example = write_example(tmp_path, predictor.models[0], rows[0])
    text = card(predictor.models[0], Run(tmp_path), "best.ckpt", "0", example)
    monkeypatch.setattr(Predictor, "load", lambda path: predictor)
    [code] = blocks(text, "python")
    capsys.readouterr()
    exec(code, {})
    assert capsys.readouterr().out == f"{expected}\n"
    words = commands_of(text)[0]
    pd.testing.assert_frame_equal(
        predictor.predict(typed_rows(words, predictor.encoder)), expected
    )
    assert (" pillow" in blocks(text, "bash")[0]) == (kind == "images")


def check_readme(folder, monkeypatch, capsys):
    """Run the program and the commands of the README of an export, word for word."""
    monkeypatch.chdir(folder)
    text = Path("README.md").read_text("utf-8")
    [code] = blocks(text, "python")
    names = {}
    capsys.readouterr()
    exec(code, names)
    expected = Predictor.load(".").predict(names["rows"])
    assert capsys.readouterr().out == f"{expected}\n"
    for words in commands_of(text):
        command = [sys.executable, "predict.py", *words]
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True
        )
        assert not result.stderr
        if words == ["--help"]:
            assert "python predict.py rows.csv" in result.stdout
        else:
            table = pd.read_csv(io.StringIO(result.stdout), index_col="index")
            numbers = expected.select_dtypes("number")
            np.testing.assert_allclose(table[numbers.columns], numbers, atol=1e-5)


@pytest.mark.slow
def test_the_readme_of_a_table_runs_word_for_word(german_export, monkeypatch, capsys):
    check_readme(german_export / "runs/german/version_0/exported", monkeypatch, capsys)


@pytest.mark.slow
def test_an_export_names_an_unseen_category_once(german_export):
    printed = (german_export / "export.txt").read_text("utf-8")
    assert printed.count("unseen in training") == 1
    assert "UserWarning" not in printed


@pytest.mark.slow
def test_the_program_of_an_export_names_an_unseen_category_in_one_line(german_export):
    folder = german_export / "runs/german/version_0/exported"
    command = [sys.executable, folder / "predict.py", german_export / "test.csv"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert result.stderr == "note: column 'Ort': unseen in training: ['Jena']\n"
    assert len(result.stdout.splitlines()) == 11


@pytest.mark.slow
def test_an_export_knows_its_checkpoint(german_export):
    folder = german_export / "runs/german/version_0"
    source = load_exported(folder / "exported/model.onnx").source
    assert source["path"] == "runs/german/version_0/checkpoints/best.ckpt"
    assert source["sha256"] == sha256(folder / "checkpoints/best.ckpt")


@pytest.mark.slow
def test_the_readme_of_texts_and_tables_runs_word_for_word(run, monkeypatch, capsys):
    check_readme(run[0] / "exported", monkeypatch, capsys)


@pytest.mark.slow
def test_the_readme_of_images_runs_word_for_word(tmp_path, monkeypatch, capsys):
    image_folder(tmp_path / "photos")
    Path("photos.yaml").write_text(PHOTOS_RECIPE, encoding="utf-8")
    main(["fit", "--config", "photos.yaml"])
    main(["export", "photos"])
    check_readme(tmp_path / "runs/photos/version_0/exported", monkeypatch, capsys)


GRIDS = """\
import numpy as np

from dlp.datamodules import ArrayDataModule


class Grids(ArrayDataModule):
    def __init__(self):
        draw = np.random.default_rng(0)
        x = draw.normal(size=(60, 3, 4)).astype(np.float32)
        super().__init__(x, x.sum((1, 2)) > 0)
"""
GRIDS_RECIPE = """\
data: {class_path: grids.Grids}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [4]}}
trainer: {max_epochs: 1, enable_progress_bar: false, enable_model_summary: false}
"""


@pytest.mark.slow
def test_the_readme_of_arrays_runs_word_for_word(tmp_path, monkeypatch, capsys):
    Path("grids.py").write_text(GRIDS, encoding="utf-8")
    Path("grids.yaml").write_text(GRIDS_RECIPE, encoding="utf-8")
    main(["fit", "--config", "grids.yaml"])
    main(["export", "grids"])
    check_readme(tmp_path / "runs/grids/version_0/exported", monkeypatch, capsys)


class Command:
    """Object whose unpickling runs a command."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_code_of_a_file_is_refused(tmp_path):
    torch.save({"state_dict": {}, "spec": Command()}, "a.ckpt")
    with pytest.raises(InputError):
        Predictor.load("a.ckpt")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
def test_features_of_ones_own_run_are_imported_and_no_export_brings_them(fails):
    code = "def doubled(frame):\n    return frame.assign(a=2 * frame['a'])\n"
    Path("own_features.py").write_text(code, encoding="utf-8")
    ROWS["table"].to_csv("rows.csv", index=False)
    kind, target, head = FITS["table"]
    target = f"features: own_features.doubled, {target}"
    Path("mine.yaml").write_text(RECIPE.format(kind, target, head), encoding="utf-8")
    main(["fit", "--config", "mine.yaml"])
    main(["predict", "--config", "mine.yaml", "--data.predict_path", "rows.csv"])
    expected = pd.read_csv("runs/mine/version_0/predictions_rows.csv")["value"]
    answers = load_predictor(Run.find("mine")).predict(ROWS["table"])["answer"]
    np.testing.assert_allclose(answers, expected, rtol=1e-5)
    assert "features: doubled, whose code an export cannot" in fails("export", "mine")
    with pytest.raises(InputError, match=r"Predictor.load\(path, features="):
        Predictor.load("mine")


@pytest.mark.slow
def test_an_export_contains_the_forward_of_a_module_of_ones_own():
    code = (
        "from dlp.modules import DenseModule\n\n\n"
        "class Steep(DenseModule):\n"
        "    def forward(self, inputs):\n"
        "        return 5 * super().forward(inputs)\n"
    )
    Path("steep.py").write_text(code, encoding="utf-8")
    ROWS["table"].to_csv("rows.csv", index=False)
    recipe = RECIPE.format(*FITS["table"]).replace("DenseModule", "steep.Steep")
    Path("mine.yaml").write_text(recipe, encoding="utf-8")
    main(["fit", "--config", "mine.yaml"])
    main(["predict", "--config", "mine.yaml", "--data.predict_path", "rows.csv"])
    expected = pd.read_csv("runs/mine/version_0/predictions_rows.csv")["value"]
    main(["export", "mine"])
    exported = Predictor.load("runs/mine/version_0/exported")
    answers = exported.predict(ROWS["table"])["answer"]
    np.testing.assert_allclose(answers, expected, rtol=1e-4)
