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


@pytest.mark.parametrize(
    ("head", "names"),
    [("softmax", ["0", "1", "2"]), ("multilabel", ["0", "1"]), ("regression", ["value"])],
)
def test_a_test_writes_numbers_figures_and_the_worst_rows(head, names, tmp_path):
    shape = (1, 3, 3) if head == "softmax" else (2,)  # images, and columns
    x = np.random.default_rng(0).normal(size=(60, *shape))
    y = {
        "softmax": np.arange(60) % 3.0,  # to the data, these are values
        "multilabel": (x > 0).astype(int),
        "regression": x[:, 0],
    }[head]
    task = "multilabel" if head == "multilabel" else "regression"
    data = ArrayDataModule(x, y, test_size=20, task=task, eval_batch_size=7)
    run_test(tmp_path, DenseModule(data.input_shape, len(names), head), data)
    report = json.loads((tmp_path / "mistakes.json").read_text())
    assert report["rows"] == 20
    assert [entry["name"] for entry in report.get("classes") or report["targets"]] == names
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
