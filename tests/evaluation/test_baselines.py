"""The numbers of predicting the same for every row, against scikit-learn's dummies."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, f1_score, log_loss, mean_absolute_error
from sklearn.metrics import mean_squared_error as mse
from torch import nn
from torchmetrics import PearsonCorrCoef
from torchmetrics.classification import BinaryAUROC

from dlp.cli import main
from dlp.datamodules import ArrayDataModule
from dlp.evaluation.baselines import baseline_line, baselines, baselines_on
from dlp.modules import (
    BoundedRegressionHead,
    DenseModule,
    MultilabelHead,
    RegressionHead,
    SigmoidHead,
    SoftmaxHead,
)

pytestmark = pytest.mark.usefixtures("undrawn_figures")
random = np.random.default_rng(0)
TRAIN = random.choice(4, 300, p=[0.1, 0.5, 0.25, 0.15])
EVAL = random.choice(4, 80, p=[0.2, 0.3, 0.3, 0.2])
LABELS = random.random((200, 3)) < (0.1, 0.5, 0.8)
TRAIN_VALUES = random.gamma(2.0, 10.0, (300, 2))
VALUES = random.gamma(2.0, 12.0, (80, 2))


def frequencies(classes, count):
    return {"frequencies": (np.bincount(classes, minlength=count) / len(classes)).tolist()}


def facts(values):
    return {"mean": values.mean(0).tolist(), "median": np.median(values, 0).tolist()}


def dummy(strategy, train, rows):
    model = DummyClassifier(strategy=strategy).fit(np.zeros((len(train), 1)), train)
    return model, np.zeros((rows, 1))


@pytest.mark.parametrize("one_hot", [False, True])
def test_classes_as_scikit_learn_has_them(one_hot):
    head = SoftmaxHead(4, metrics=["acc", "f1"])
    targets = torch.eye(4)[EVAL] if one_hot else torch.from_numpy(EVAL)
    found = baselines(head, frequencies(TRAIN, 4), targets)
    model, rows = dummy("most_frequent", TRAIN, len(EVAL))
    expected = {
        "acc": accuracy_score(EVAL, model.predict(rows)),
        "f1": f1_score(EVAL, model.predict(rows), average="macro"),
    }
    assert found["majority_class"] == pytest.approx(expected, abs=1e-6)
    model, rows = dummy("prior", TRAIN, len(EVAL))
    loss = log_loss(EVAL, model.predict_proba(rows))
    assert found["class_frequencies"]["loss"] == pytest.approx(loss, abs=1e-6)
    guesses = random.choice(4, (2000, len(EVAL)), p=frequencies(TRAIN, 4)["frequencies"])
    right = np.mean(guesses == EVAL)
    assert found["class_frequencies"]["acc"] == pytest.approx(right, abs=0.005)


def test_two_classes():
    train, evaluated = (TRAIN > 1).astype(int), (EVAL > 1).astype(int)
    found = baselines(SigmoidHead(), frequencies(train, 2), torch.from_numpy(evaluated).float())
    p, q = train.mean(), evaluated.mean()
    assert found["majority_class"] == pytest.approx({"acc": 1 - q})
    assert found["class_frequencies"] == pytest.approx(
        {"acc": p * q + (1 - p) * (1 - q), "loss": log_loss(evaluated, np.full(80, p))}, abs=1e-6
    )


def test_labels():
    summary = {"frequencies": [0.1, 0.4, 0.9]}
    found = baselines(MultilabelHead(3), summary, torch.from_numpy(LABELS).float())
    share = LABELS.mean(axis=0)
    assert found["majority_class"]["acc"] == pytest.approx(
        np.mean([1 - share[0], 1 - share[1], share[2]]), abs=1e-6
    )
    drawn = np.array(summary["frequencies"])
    assert found["class_frequencies"]["acc"] == pytest.approx(
        (drawn * share + (1 - drawn) * (1 - share)).mean()
    )
    loss = -(share * np.log(drawn) + (1 - share) * np.log(1 - drawn)).mean()
    assert found["class_frequencies"]["loss"] == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("name", ["mean", "median"])
@pytest.mark.parametrize("scaled", [False, True])
def test_values_in_their_unit_and_losses_in_the_heads_scale(name, scaled):
    mean, std = TRAIN_VALUES.mean(0), TRAIN_VALUES.std(0)
    scale = (mean.tolist(), std.tolist()) if scaled else (None, None)
    head = RegressionHead(2, None, ["mae", "r2"], *scale)
    found = baselines(head, facts(TRAIN_VALUES), torch.from_numpy(VALUES).float())[name]
    model = DummyRegressor(strategy=name).fit(np.zeros((300, 1)), TRAIN_VALUES)
    constant = model.predict(np.zeros((80, 1)))
    assert found["mae"] == pytest.approx(mean_absolute_error(VALUES, constant), rel=1e-5)
    assert found["r2"] < 0
    width = std if scaled else 1.0
    assert found["loss"] == pytest.approx(mse(VALUES / width, constant / width), rel=1e-5)


@pytest.mark.parametrize("loss", ["mse", "bce", "mae"])
def test_bounded_values(loss):
    values = VALUES[:, 0] / VALUES.max()
    summary = {"mean": [0.3], "median": [0.0]}
    head = BoundedRegressionHead(1, loss)
    found = baselines(head, summary, torch.from_numpy(values).float())
    expected = {
        "mse": mse(values, np.full(80, 0.3)),
        "mae": mean_absolute_error(values, np.full(80, 0.3)),
        "bce": -(values * np.log(0.3) + (1 - values) * np.log(0.7)).mean(),
    }
    assert found["mean"]["loss"] == pytest.approx(expected[loss], rel=1e-5)
    assert found["median"]["mae"] == pytest.approx(values.mean(), rel=1e-4)  # clipped, not infinite


def brier(predictions, targets):
    return (predictions - targets).square()


def broken(predictions, targets):
    raise RuntimeError("not on constants")


def test_metrics_and_losses_of_ones_own():
    own = nn.BCEWithLogitsLoss(reduction="none")
    auroc = BinaryAUROC()
    head = SigmoidHead(loss=own, metrics=[brier, broken, auroc])
    targets = torch.tensor([0.0, 1.0, 1.0, 1.0])
    found = baselines(head, {"frequencies": [0.75, 0.25]}, targets)
    assert found["majority_class"] == pytest.approx({"brier": 0.75, "binary_auroc": 0.5}, abs=1e-5)
    loss = -(0.25 * np.log(0.75) + 0.75 * np.log(0.25))
    assert found["class_frequencies"] == pytest.approx({"loss": loss}, abs=1e-6)
    assert auroc.update_count == 0


def test_metrics_without_a_number_for_constants_are_left_out():
    head = RegressionHead(1, metrics=[PearsonCorrCoef, "mae"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = baselines(head, {"mean": [2.0], "median": [1.0]}, torch.tensor([1.0, 4.0]))
    assert found == {"mean": {"mae": 1.5, "loss": 2.5}, "median": {"mae": 1.5, "loss": 4.5}}


class Tanh(RegressionHead):
    """A head that cannot predict every value."""

    def predict(self, logits):
        return logits.tanh()


def test_what_a_head_cannot_express_is_left_out():
    assert baselines(Tanh(1), {"mean": [2.0], "median": [0.0]}, torch.zeros(3)).keys() == {"median"}
    assert baselines(SoftmaxHead(3), {"mean": [0.0], "median": [0.0]}, torch.tensor([1])) == {}
    assert baselines(SigmoidHead(), {"frequencies": [0.5, 0.5]}, torch.zeros(0)) == {}


class Counts(RegressionHead):
    """A head with an activation of its own, and the way back from it."""

    def predict(self, logits):
        return logits.exp()

    def logits_of(self, predictions):
        return predictions.log().float()


def test_a_head_with_another_activation_says_itself_how_logits_are_found():
    found = baselines(Counts(1), {"mean": [2.0], "median": [1.0]}, torch.tensor([1.0, 4.0]))
    assert {name: numbers["mae"] for name, numbers in found.items()} == pytest.approx(
        {"mean": 1.5, "median": 1.5}
    )


@given(
    st.lists(st.integers(1, 1000), min_size=2, max_size=60), st.lists(st.integers(0, 1), min_size=1)
)
def test_probabilities_are_met_whatever_they_are(counts, targets):
    shares = (np.array(counts) / sum(counts)).tolist()
    found = baselines(SoftmaxHead(len(counts)), {"frequencies": shares}, torch.tensor(targets))
    expected = np.mean([-np.log(shares[target]) for target in targets])
    assert found["class_frequencies"]["loss"] == pytest.approx(expected, rel=1e-4)
    expected = np.mean([shares[target] for target in targets])
    assert found["class_frequencies"]["acc"] == pytest.approx(expected, rel=1e-6)
    top = int(np.argmax(counts))
    assert found["majority_class"]["acc"] == pytest.approx(np.mean(np.array(targets) == top))


def test_one_readable_line():
    found = {"majority_class": {"acc": 0.5}, "class_frequencies": {"acc": 0.5002, "loss": 0.69312}}
    assert baseline_line(found) == (
        "baseline: majority class acc 0.5000; class frequencies acc 0.5002, loss 0.6931"
    )


RECIPE = """
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: %s, test_size: 0.2, batch_size: 16}
model:
  class_path: DenseModule
  init_args: {head: %s, hidden: [4]}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false}
"""


@pytest.fixture
def points(tmp_path, monkeypatch):
    """Work in a folder with a table of two possible targets."""
    table = pd.DataFrame(random.normal(size=(120, 2)), columns=["east", "north"])
    table["side"] = np.where(table.east > 0.4, "right", "left")
    table["sum"] = 7 + table.east + table.north
    table.to_csv(tmp_path / "points.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("target", "head", "expected"),
    [
        ("side", "sigmoid", {"majority_class": {"acc"}, "class_frequencies": {"acc", "loss"}}),
        ("sum", "regression", {"mean": {"mae", "loss"}, "median": {"mae", "loss"}}),
    ],
)
def test_dlp_test_says_what_guessing_gives(points, capsys, target, head, expected):
    Path("points.yaml").write_text(RECIPE % (target, head))
    main(["fit", "--config", "points.yaml"])
    assert "baseline:" not in capsys.readouterr().out
    main(["test", "--config", "points.yaml"])
    shown = re.findall("^baseline: .*$", capsys.readouterr().out, flags=re.MULTILINE)
    results = points / "runs/points/version_0/results.json"
    found = json.loads(results.read_text())["test"]["baseline"]
    assert shown == [baseline_line(found)]
    assert {name: set(numbers) for name, numbers in found.items()} == expected


def test_a_fit_that_tests_has_the_baseline_of_that_test(points, capsys):
    Path("points.yaml").write_text(RECIPE % ("side", "sigmoid"))
    main(["fit", "--config", "points.yaml", "--test_after_fit", "best"])
    out = capsys.readouterr().out
    assert out.count("baseline: majority class acc") == 1
    results = json.loads((points / "runs/points/version_0/results.json").read_text())
    assert results["parameters"] == {"total": 21, "trainable": 21}
    assert results["test"]["baseline"]["majority_class"]["acc"] > 0.5


def test_a_trial_run_has_no_baseline(points, capsys):
    Path("points.yaml").write_text(RECIPE % ("side", "sigmoid"))
    main(["test", "--config", "points.yaml", "--trainer.fast_dev_run", "true"])
    assert "baseline" not in capsys.readouterr().out


def test_labels_of_a_datamodule():
    rng = np.random.default_rng(0)
    labels = (rng.random((40, 3)) < [0.2, 0.5, 0.9]).astype(np.float32)
    data = ArrayDataModule(rng.normal(size=(40, 2)), labels, task="multilabel", test_size=0.25)
    model = DenseModule(data.input_shape, data.num_outputs, head="multilabel", hidden=())
    found = baselines_on(model, data, "test")
    assert set(found) == {"majority_class", "class_frequencies"}
    rate = labels[data.labelled_rows()[0].train].mean(axis=0)
    tested = labels[data.labelled_rows()[0].test]
    assert found["majority_class"]["acc"] == pytest.approx(((rate > 0.5) == tested).mean())


@pytest.mark.parametrize("rows", [7, 64, 1203])
def test_a_constant_ranks_nothing(rows):
    """Its average precision is the share of positives, its area under the curve a half."""
    targets = torch.zeros(rows)
    targets[-rows // 7 :] = 1
    share = targets.mean().item()
    head = SigmoidHead(2, metrics=["average_precision", "auroc"])
    found = baselines(head, {"frequencies": [1 - share, share]}, targets)["majority_class"]
    assert found["average_precision"] == pytest.approx(share)
    assert found["auroc"] == pytest.approx(0.5)
