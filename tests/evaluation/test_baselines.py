import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from dlp.datamodules import ArrayDataModule, TableDataModule
from dlp.evaluation.baselines import fitted_scores, guess_scores
from dlp.modules import DenseModule


def data_of(kind, rows=240):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 3))
    values = x @ [1.0, 2.0, 0.0] + generator.normal(size=rows) * 0.1
    y = {
        "sigmoid": (values > 1).astype(int),
        "softmax": np.digitize(values, [-1, 2]),
        "multilabel": np.stack([values > 0, values > 1], axis=1).astype(int),
        "regression": values,
    }[kind]
    task = {"multilabel": "multilabel", "regression": "regression"}.get(kind, "classification")
    return ArrayDataModule(x, y, task=task, test_size=0.25, val_size=0.2)


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_the_majority_class_is_that_of_scikit_learn(head):
    data = data_of(head)
    model = DenseModule(data.input_shape, data.num_outputs, head)
    train, test = data.examples("train"), data.examples("test")
    dummy = DummyClassifier().fit(train.inputs.features(), train.targets)
    scores = guess_scores(model, data, "test")
    expected = dummy.score(test.inputs.features(), test.targets)
    assert scores["majority_class"]["acc"] == pytest.approx(expected)


def test_drawing_classes_by_their_frequencies_has_its_expected_accuracy():
    data = data_of("softmax")
    model = DenseModule(data.input_shape, data.num_outputs, "softmax")
    train = np.bincount(data.examples("train").targets) / len(data.examples("train"))
    test = np.bincount(data.examples("test").targets) / len(data.examples("test"))
    scores = guess_scores(model, data, "test")
    assert scores["class_frequencies"]["acc"] == pytest.approx(train @ test)


def test_constant_values_are_those_of_the_training_part():
    data = data_of("regression")
    model = DenseModule(data.input_shape, 1, "regression")
    train, test = data.examples("train").targets, data.examples("test").targets
    scores = guess_scores(model, data, "test")
    assert scores["mean"]["mae"] == pytest.approx(abs(test - train.mean()).mean(), rel=1e-5)
    assert scores["median"]["mae"] == pytest.approx(abs(test - np.median(train)).mean(), rel=1e-5)


@pytest.mark.parametrize("head", ["sigmoid", "softmax", "multilabel", "regression"])
def test_fitted_models_beat_guesses_that_they_can_beat(head):
    data = data_of(head)
    model = DenseModule(data.input_shape, data.num_outputs, head)
    guesses, fitted = guess_scores(model, data, "test"), fitted_scores(model, data, "test")
    assert {*fitted} == {"linear model", "gradient boosting"}
    metric, sign = ("mae", -1) if head == "regression" else ("acc", 1)
    best = max(sign * scores[metric] for scores in guesses.values())
    assert all(sign * scores[metric] > best for scores in fitted.values())


def test_tables_with_categories_and_holes_are_fitted():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=200), "kind": ["a", "b"] * 100})
    frame["y"] = np.where((frame["kind"] == "a") ^ (frame["x"] > 2), "yes", "no")
    frame.loc[::20, "x"] = np.nan
    data = TableDataModule(frame, target="y", missing="mean", test_size=0.25)
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid")
    assert all(scores["acc"] > 0.9 for scores in fitted_scores(model, data, "test").values())
