"""Runs that an earlier release made go on: their configs, checkpoints and records are a format."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from dlp.cli import main
from dlp.modules import DenseModule

RELEASE = Path(__file__).parent / "earlier_release"
METRIC = {"homes": "mae", "reviews": "acc"}


@pytest.fixture(params=list(METRIC))
def name(request, tmp_path, monkeypatch):
    """Work in a folder of that release: a table and a set of texts, each with a run."""
    shutil.copytree(RELEASE, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return request.param


def results(name):
    return json.loads(Path("runs", name, "version_0", "results.json").read_text())


def predictions(name):
    path = Path("runs", name, "version_0", "predictions.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_test_gives_the_numbers_of_then(name, undrawn_figures):
    before = results(name)["test"]
    main(["test", "--config", f"{name}.yaml"])
    after = results(name)["test"]
    for metric in (f"test_{METRIC[name]}", "test_loss"):
        assert after[metric] == pytest.approx(before[metric], rel=1e-5)


def test_predictions_are_those_of_then(name):
    before = predictions(name)
    main(["predict", "--config", f"{name}.yaml"])
    after = predictions(name)
    column = {"homes": "value", "reviews": "prob_pos"}[name]
    assert [float(row[column]) for row in after] == pytest.approx(
        [float(row[column]) for row in before], rel=1e-4
    )


def test_training_goes_on_by_name_and_by_checkpoint(name, undrawn_figures):
    with Path("runs", name, "version_0", "history.json").open() as file:
        before = json.load(file)["train_loss"]
    main(["fit", "--config", f"{name}.yaml", "--ckpt_path", "last", "--trainer.max_epochs", "3"])
    path = f"runs/{name}/version_0/checkpoints/last.ckpt"
    assert torch.load(path, weights_only=True)["epoch"] == 2
    with Path("runs", name, "version_0", "history.json").open() as file:
        after = json.load(file)["train_loss"]
    assert after[:2] == before
    assert len(after) == 3


def test_its_config_makes_the_same_run_anew_and_its_checkpoint_the_module(name, undrawn_figures):
    folder = f"runs/{name}/version_0"
    main(["fit", "--config", f"{folder}/config.yaml"])
    new, old = (
        json.loads(Path(f"runs/{name}/version_{n}/history.json").read_text()) for n in (1, 0)
    )
    assert new["train_loss"] == pytest.approx(old["train_loss"], rel=1e-5)
    restored = DenseModule.load_from_checkpoint(f"{folder}/checkpoints/best.ckpt")
    assert list(restored.hparams["hidden"]) == [4]


def test_compare_and_report_read_its_records(name, capsys):
    main(["compare", f"runs/{name}/version_0"])
    main(["report", f"runs/{name}/version_0"])
    said = capsys.readouterr().out
    assert f"test_{METRIC[name]}" in said or METRIC[name] in said
    assert Path("runs", name, "version_0", "report.html").is_file()
