"""Tests of the project: trial runs, runs from fit to predictions, and the custom kind of row."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Trainer
from residual import PlainModule, ResidualNet
from series import SeriesDataModule, SeriesEncoder
from spirals import SpiralDataModule
from starlette.testclient import TestClient

from dlp.cli import main
from dlp.commands.serve import app
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules import SupervisedModule

HERE = Path(__file__).parent

#: Repeats the filter from pyproject.toml, because ``pytest -W error`` overrides that file.
lightning_warns = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@lightning_warns
@pytest.mark.parametrize("own", ["network", "module"])
def test_a_trial_trains(own):
    data = SpiralDataModule(num_points=100)
    if own == "network":
        model = SupervisedModule(ResidualNet(), head="sigmoid", num_outputs=data.num_outputs)
    else:
        model = PlainModule(data.input_shape, data.num_outputs)
    before = [weight.clone() for weight in model.parameters()]
    trainer = Trainer(fast_dev_run=True, accelerator="cpu", logger=False)
    trainer.fit(model, data)
    assert trainer.callback_metrics["val_loss"] > 0
    assert not all(map(torch.equal, before, model.parameters()))


def test_a_trial_leaves_no_file(tmp_path):
    main(["fit", "--config", str(HERE / "plain.yaml"), "--trainer.fast_dev_run", "true"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own", "plain"])
def test_from_fit_to_predictions(name, tmp_path):
    config = str(HERE / f"{name}.yaml")
    main(["fit", "--config", config, "--data.num_points", "200", "--trainer.max_epochs", "2"])
    main(["test", "--config", config])
    main(["predict", "--config", config])
    run = tmp_path / "runs" / name / "version_0"
    assert json.loads((run / "results.json").read_text("utf-8"))["test"]["test_acc"] >= 0
    table = pd.read_csv(run / "predictions.csv")
    assert list(table) == ["index", "target", "class", "prob_first", "prob_second"]
    assert len(table) == 40


def test_series_of_all_lengths_become_standardised_bands():
    bands = SeriesDataModule(num_series=90).inputs("train")[torch.arange(54)]
    torch.testing.assert_close(bands.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(bands.std(0), torch.ones(16))


def test_a_band_that_is_constant_in_training_becomes_0():
    encoder = SeriesEncoder(4)
    encoder.fit([np.zeros(8), np.zeros(9)])
    assert encoder.transform([np.arange(8)]).tolist() == [[0, 0, 0, 0]]


def test_no_series_is_encoded_as_no_row():
    encoder = SeriesEncoder(4)
    encoder.fit([np.arange(8), np.ones(9)])
    assert encoder.transform([]).shape == (0, 4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "got 0"),
        ([np.ones(8)], "got 1"),
        ([np.ones(8), [*range(7), np.nan]], "missing or infinite"),
    ],
)
def test_series_that_cannot_be_learned_from_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        SeriesEncoder(4).fit(rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a run on series. All tests share this run."""
    folder = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["fit", "--config", str(HERE / "series.yaml"), "--data.num_series", "150"])
    return folder / "runs/series/version_0"


@pytest.fixture
def series_run(made, monkeypatch):
    """Work in the folder in which the shared run was created; return the run."""
    monkeypatch.chdir(made.parents[2])
    return made


@pytest.fixture
def rows():
    """Return the series of the test part as lists of numbers, in the order of the file."""
    examples = SeriesDataModule(num_series=150).examples("test")
    series = examples.inputs.raw()
    return [series[place].tolist() for place in examples.index.argsort()]


@pytest.mark.slow
def test_a_run_on_series_is_tested_beside_baselines(series_run):
    test = json.loads((series_run / "results.json").read_text("utf-8"))["test"]
    assert test["test_acc"] > test["baselines"]["majority_class"]["acc"]
    assert "linear model" in test["baselines"]


@pytest.mark.slow
def test_series_are_predicted_by_command_and_in_python(series_run, rows):
    main(["predict", "--config", str(HERE / "series.yaml")])
    written = pd.read_csv(series_run / "predictions.csv").filter(like="prob_")
    table = Predictor.load("series").predict(rows).filter(like="prob_")
    np.testing.assert_allclose(table, written, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_series_are_validated_by_folds_and_reported(series_run):
    config = str(HERE / "series.yaml")
    changes = ["--data.num_series", "60", "--trainer.max_epochs", "1", "--run_dir", "folds"]
    main(["crossval", "--config", config, "--num_folds", "2", *changes])
    assert len(pd.read_csv("folds/out_of_fold.csv")) > 0
    main(["report", "series"])
    main(["data", "--config", config])


@pytest.mark.slow
def test_series_are_predicted_without_dlp(series_run, rows, tmp_path):
    folder = tmp_path / "exported"
    main(["export", str(series_run), "--folder", str(folder)])
    (folder / "rows.json").write_text(json.dumps(rows), "utf-8")
    for name in ("dlp", "torch", "pandas"):
        (folder / f"{name}.py").write_text("raise ImportError")
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "predict.py", "rows.json"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    lines = result.stdout.decode().splitlines()
    expected = Predictor.load(series_run).predict(rows)
    assert [line.split(",")[1] for line in lines[1:]] == expected["class"].tolist()
    command = [sys.executable, "predict.py", "example.json"]  # the command in its README
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    assert len(result.stdout.decode().splitlines()) == 2


@pytest.mark.slow
def test_series_are_served_as_json(series_run, rows):
    predictor = Predictor.load(series_run)
    client = TestClient(app(predictor))
    answer = client.post("/predict", json={"rows": rows}).json()
    assert answer["predictions"] == predictor.predict(rows).to_dict("records")
    assert client.get("/schema").json()["form"] == "json"
    for row in ([1, 2, 3], "a text", None, {"a": 1}):
        assert client.post("/predict", json={"rows": [row]}).status_code == 422
    assert client.post("/explain", json={"rows": rows[:1]}).status_code == 422


@pytest.mark.slow
def test_a_kind_that_is_not_imported_is_named(series_run, monkeypatch):
    monkeypatch.delitem(sys.modules, "series")
    with pytest.raises(InputError, match=r"series.SeriesEncoder.*Import series first"):
        Predictor.load(series_run)
