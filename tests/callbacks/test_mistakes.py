import json

import numpy as np
import pandas as pd
import pytest
from helpers.training import quiet_trainer

from dlp.callbacks.mistakes import MistakesReport
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule

FIGURES = {
    "softmax": {"confusion.png", "reliability.png", "worst.png"},
    "multilabel": {"reliability.png"},
    "regression": {"residuals.png"},
}


def run_test(folder, model, data):
    quiet_trainer(callbacks=[MistakesReport(folder)]).test(model, data, verbose=False)


@pytest.mark.parametrize("head", FIGURES)
def test_a_test_writes_numbers_figures_and_the_worst_rows(head, tmp_path):
    shape = (1, 3, 3) if head == "softmax" else (2,)  # images, and columns
    x = np.random.default_rng(0).normal(size=(60, *shape))
    y = {
        "softmax": np.arange(60) % 3,
        "multilabel": (x > 0).astype(int),
        "regression": x[:, 0],
    }[head]
    task = {"softmax": "classification"}.get(head, head)
    data = ArrayDataModule(x, y, test_size=20, task=task, eval_batch_size=7)
    model = DenseModule(data.input_shape, data.num_outputs, head)
    run_test(tmp_path, model, data)
    report = json.loads((tmp_path / "mistakes.json").read_text())
    assert report["rows"] == 20
    assert {path.name for path in tmp_path.glob("*.png")} == FIGURES[head]
    worst = pd.read_csv(tmp_path / "worst.csv")
    assert worst["index"].isin(data.examples("test").index).all()
    if head == "regression":
        assert worst["true"].tolist() == pytest.approx(y[worst["index"]].tolist())


def test_a_diverged_model_is_named(tmp_path, capsys):
    data = ArrayDataModule(np.eye(20), np.arange(20.0), test_size=5, task="regression")
    model = DenseModule(data.input_shape, 1, "regression")
    model.network.layers.output.bias.data.fill_(float("nan"))
    run_test(tmp_path, model, data)
    assert "NaN or infinity" in capsys.readouterr().out
    assert not any(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("y", "head", "key", "names"),
    [
        (np.arange(20) % 2.0, "sigmoid", "classes", ["0", "1"]),
        (np.eye(20)[:, :2] / 2, "regression", "targets", ["0", "1"]),
        (np.arange(20) / 2, "regression", "targets", ["value"]),
    ],
)
def test_what_the_data_does_not_name_has_a_number(y, head, key, names, tmp_path):
    data = ArrayDataModule(np.eye(20), y, test_size=5, task="regression")
    run_test(tmp_path, DenseModule(data.input_shape, len(names), head), data)
    report = json.loads((tmp_path / "mistakes.json").read_text())
    assert [entry["name"] for entry in report[key]] == names
