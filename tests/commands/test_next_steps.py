"""Each command that is printed as the next step works as it stands."""

import html
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import RECIPE, fails
from image_files import write_classes

from dlp.cli import main
from dlp.commands.next_steps import after_fit, after_folds
from dlp.runs.verdict import Verdict

pytestmark = pytest.mark.usefixtures("undrawn_figures")

MODEL = {"class_path": "DenseModule", "init_args": {"head": "sigmoid", "hidden": [8]}}
TRAINER = {"max_epochs": 2, "accelerator": "cpu", "enable_model_summary": False}
COMMAND = re.compile(r"\bdlp (?:fit|test|validate|predict|crossval|report|compare)(?: [^\s;,<)]+)+")


def commands(text):
    """Return the commands in a text that people read."""
    return [found.rstrip(".") for found in COMMAND.findall(html.unescape(text))]


def run(command):
    words = shlex.split(command)
    assert words[0] == "dlp"
    assert "NAME" not in words
    main(words[1:])


def table(folder):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(90, 2)), columns=["east", "north"])
    rows["side"] = np.where(rows.east > 0, "right", "left")
    rows.to_csv(folder / "points.csv", index=False)
    return {"path": "points.csv", "target": "side", "batch_size": 16}


def with_test(folder):
    return "TableDataModule", {**table(folder), "test_size": 0.2}


def without_test(folder):
    return "TableDataModule", table(folder)


def without_val(folder):
    return "TableDataModule", {**table(folder), "val_size": None}


def train_and_val(folder):
    for part, count in (("train", 6), ("val", 4)):
        write_classes(folder / "pets" / part, {"cat": count, "dog": count})
    return "ImageFolderDataModule", {"path": "pets", "image_size": 16, "batch_size": 4}


DATA = [with_test, without_test, without_val, train_and_val]


@pytest.fixture(params=DATA, ids=lambda make: make.__name__)
def recipe(request, tmp_path, monkeypatch):
    """Work in a folder with a recipe for data with and without a test part."""
    monkeypatch.chdir(tmp_path)
    name, arguments = request.param(tmp_path)
    data = {"class_path": name, "init_args": arguments}
    model = MODEL
    if name == "ImageFolderDataModule":
        small = {"head": "sigmoid", "channels": [2], "dense": [4]}
        model = {"class_path": "ConvNetModule", "init_args": small}
    stop = {"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "patience": 9}}
    validates = arguments.get("val_size", 1) is not None
    trainer = {**TRAINER, "callbacks": [stop] if validates else []}
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump({"data": data, "model": model, "trainer": trainer})
    )
    return request.param


def verdict_of(kind):
    return Verdict(kind, 1, 0.5, 0.1, 1, 0.01, "min")


def test_what_a_fit_and_its_report_advise_works(recipe, capsys):
    main(["fit", "--config", "own.yaml"])
    said = commands(capsys.readouterr().out)
    assert bool(said) == (recipe is not without_val)
    main(["report", "own"])
    folder = Path("runs/own/version_0")
    shown = commands((folder / "report.html").read_text())
    assert shown
    longer, everything = (
        after_fit(verdict_of(kind), 1, ["own.yaml"], folder / "checkpoints/last.ckpt")
        for kind in ("improving", "worse")
    )
    capsys.readouterr()
    for command in dict.fromkeys([*said, *shown, longer, everything]):
        run(command)
    rows = {with_test: 72, train_and_val: 20}.get(recipe, 90)
    printed = capsys.readouterr().out
    assert f"refit: training on all {rows} rows" in printed
    assert ("EarlyStopping is left out" in printed) == (recipe is not without_val)
    results = json.loads(Path("runs/own+retrain/version_0/results.json").read_text())
    assert results["train_rows"] == rows
    assert ("test" in results) == (recipe is with_test)
    assert len(json.loads((folder / "history.json").read_text())["train_loss"]) == 10
    main(["report", "own"])
    page = (folder / "report.html").read_text()
    assert ("validation part (there is no test part)" in page) == (recipe is not with_test)


def test_what_folds_and_their_report_advise_works(recipe, capsys):
    options = ["--num_folds", "2", "--engine", "serial", "--trainer.callbacks", "[]"]
    main(["crossval", "--config", "own.yaml", *options, "--trainer.max_epochs", "1"])
    said = commands(capsys.readouterr().out)
    folder = Path("runs/own/version_0")
    longer, everything = (
        after_folds(verdict_of(kind), 1, folder) for kind in ("improving", "worse")
    )
    assert said in ([longer], [everything])
    main(["report", str(folder)])
    assert commands((folder / "report.html").read_text())[0] == said[0]
    run(everything)
    record = json.loads((folder / "crossval.json").read_text())
    assert record["refit"] is not None
    assert bool(record["refit"]) == (recipe is with_test)
    main(["report", str(folder)])
    assert ("there is no test part" in (folder / "report.html").read_text()) != (
        recipe is with_test
    )
    if recipe is with_test:  # the longer folds are new ones in each case
        run(longer)
        assert Path("runs/own/version_1/crossval.json").exists()


def test_verdicts_of_one_advice_have_one_command():
    for one, other in (("improving", "short"), ("worse", "flat")):
        commands = {after_fit(verdict_of(kind), 20, ["imdb", "l2"]) for kind in (one, other)}
        assert len(commands) == 1
    assert commands == {"dlp fit --config imdb --config l2 --config retrain --trainer.max_epochs 1"}


def test_a_test_without_a_test_part_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    Path("own.yaml").write_text(RECIPE.replace("test_size: 0.2, ", ""))
    main(["fit", "--config", "own.yaml"])
    message = fails(capsys, "test", "--config", "own.yaml")
    assert "there is no test part. Give test_path or test_size" in message
    (command,) = commands(message)
    run(command)
    folder = Path("runs/own/version_0")
    results = json.loads((folder / "results.json").read_text())
    assert results["validation"]["checkpoint"] == "checkpoints/best.ckpt"
    assert results["validation"]["val_loss"] == pytest.approx(results["best"]["val_loss"], rel=1e-5)
    mistakes = json.loads((folder / "mistakes_val.json").read_text())
    assert mistakes["rows"] == 18
    assert (folder / "confusion_val.png").exists()
    assert not (folder / "mistakes.json").exists()
