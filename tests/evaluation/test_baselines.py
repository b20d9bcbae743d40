import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import Ridge

from dlp.datamodules import ArrayDataModule, TableDataModule
from dlp.datamodules.tables.rows import TableRows
from dlp.evaluation.baselines import baseline_lines, fitted_scores, guess_scores, lead
from dlp.modules import DenseModule
from dlp.modules.heads import RegressionHead, SoftmaxHead

X = np.random.default_rng(0).normal(size=(240, 3))


def case(head, **arguments):
    """Return data for a head and an untrained model."""
    values = X @ [1.0, 2.0, 0.0] + np.random.default_rng(1).normal(size=240) * 0.1
    y = {
        "softmax": np.digitize(values, [-1, 2]),
        "multilabel": np.stack([values > 0, values > 1], axis=1).astype(int),
        "regression": values,
    }[head]
    task = head if head in ("multilabel", "regression") else "classification"
    data = ArrayDataModule(X, y, task=task, test_size=0.25, val_size=0.2)
    return data, DenseModule(data.input_shape, data.num_outputs, head, **arguments)


@pytest.mark.parametrize(("head", "classes"), [("sigmoid", 2), ("softmax", 3)])
def test_classes_written_as_decimals_are_guessed_as_classes(head, classes):
    y = np.arange(60) % classes + 0.0
    data = ArrayDataModule(X[:60], y, task="regression", test_size=0.25, val_size=None)
    scores = guess_scores(DenseModule((3,), classes, head), data, "test")
    train = np.bincount(data.examples("train").targets.astype(int)) / 45
    test = np.bincount(data.examples("test").targets.astype(int)) / 15
    assert scores["majority_class"]["acc"] == pytest.approx(test[train.argmax()])
    assert scores["class_frequencies"]["acc"] == pytest.approx(train @ test)


def test_constant_values_are_those_of_the_training_part():
    data, model = case("regression")
    train, test = data.examples("train").targets, data.examples("test").targets
    scores = guess_scores(model, data, "test")
    assert scores["mean"]["mae"] == pytest.approx(abs(test - train.mean()).mean(), rel=1e-5)
    assert scores["median"]["mae"] == pytest.approx(abs(test - np.median(train)).mean(), rel=1e-5)


@pytest.mark.parametrize("head", ["softmax", "multilabel", "regression"])
def test_fitted_models_beat_guesses_that_they_can_beat(head):
    data, model = case(head)
    guesses, fitted = guess_scores(model, data, "test"), fitted_scores(model, data, "test")
    assert {*fitted} == {"linear model", "gradient boosting"}
    metric, sign = ("mae", -1) if head == "regression" else ("acc", 1)
    best = max(sign * scores[metric] for scores in guesses.values())
    assert all(sign * scores[metric] > best for scores in fitted.values())


def test_tables_with_categories_dates_and_holes_are_fitted():
    x = np.random.default_rng(0).normal(size=200)
    frame = pd.DataFrame({"day": pd.to_datetime(9000 * x, unit="D"), "kind": ["a", "b"] * 100})
    frame["y"] = np.where(x + 2 * (frame["kind"] == "a") > 1, "yes", "no")
    frame.loc[::20, "day"] = pd.NaT
    data = TableDataModule(frame, target="y", missing="mean", test_size=0.25)
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid")
    assert all(scores["acc"] > 0.9 for scores in fitted_scores(model, data, "test").values())


def test_words_alone_are_fitted_by_the_linear_model():
    rows = TableRows(pd.DataFrame({"note": ["good day", "bad day"]}), texts=["note"])
    assert list(rows.baselines(Ridge, Ridge)) == ["linear model"]


def test_the_lead_is_the_difference_of_mean_errors():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=(50, 2))
    own, others = targets + generator.normal(size=(2, 50, 2)) * [[[1.5]], [[1.0]]]
    single = [values.astype(np.float32) for values in (own, others, targets)]
    result = json.loads(json.dumps(lead(RegressionHead(2), *single)))
    errors = [abs(values - targets).mean(axis=1) for values in (own, others)]
    gains = np.subtract(*errors)
    assert result["lead"] == pytest.approx(gains.mean(), rel=1e-4)
    assert result["p_value"] == binomtest(int((gains > 0).sum()), 50, alternative="greater").pvalue


def test_four_rows_are_not_beyond_chance():
    own = np.eye(2)[[1, 1, 1, 1, 0, 0]]
    result = lead(SoftmaxHead(2), own, np.eye(2)[[0] * 6], np.zeros(6, int))
    assert result == {"lead": pytest.approx(4 / 6), "p_value": pytest.approx(0.0625)}
    assert len(baseline_lines({"linear model": {"acc": 1.0, **result}})) == 1


@pytest.mark.parametrize("metric", ["acc", "f1"])
def test_a_better_model_is_named_beyond_chance_by_accuracy_alone(metric):
    data, model = case("softmax", metrics=[metric])
    outputs = {"rows": np.arange(60), "targets": data.examples("test").targets}
    outputs["probabilities"] = np.eye(3)[(outputs["targets"] + 1) % 3]  # always wrong
    lines = baseline_lines(fitted_scores(model, data, "test", outputs))
    advice = [line for line in lines if line.startswith("linear model is better by")]
    assert len(advice) == (metric == "acc")
