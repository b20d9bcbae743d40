import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import Ridge

from dlp.datamodules import ArrayDataModule, TableDataModule, TextDataModule
from dlp.datamodules.tables.rows import TableRows
from dlp.evaluation.baselines import baseline_lines, fitted_scores, guess_scores, lead
from dlp.modules import DenseModule
from dlp.modules.heads import RegressionHead, SoftmaxHead

X = np.random.default_rng(0).normal(size=(240, 3))
NOISE = np.random.default_rng(1).normal(size=240)
VALUES = X @ [1.0, 2.0, 0.0] + 0.1 * NOISE
TARGETS = {
    "softmax": np.digitize(VALUES, [-1, 2]),
    "multilabel": np.stack([VALUES > 0, VALUES > 1], axis=1).astype(int),
    "regression": VALUES,
}
TASKS = {
    "softmax": "classification",
    "multilabel": "multilabel",
    "regression": "regression",
}


def case(head, **arguments):
    """Return data for a head and an untrained model."""
    data = ArrayDataModule(
        X, TARGETS[head], task=TASKS[head], test_size=0.25, val_size=0.2
    )
    model = DenseModule(data.input_shape, data.num_outputs, head, **arguments)
    return data, model


@pytest.mark.parametrize(("head", "num_classes"), [("sigmoid", 2), ("softmax", 3)])
def test_classes_written_as_decimals_are_guessed_as_classes(head, num_classes):
    y = np.arange(60) % num_classes + 0.0
    data = ArrayDataModule(X[:60], y, task="regression", test_size=0.25, val_size=None)
    model = DenseModule((3,), num_classes, head)
    scores = guess_scores(model, data, "test")

    def frequencies(part):
        counts = np.bincount(data.examples(part).targets.astype(int))
        return counts / counts.sum()

    train = frequencies("train")
    test = frequencies("test")
    assert scores["majority_class"]["acc"] == pytest.approx(test[train.argmax()])
    assert scores["class_frequencies"]["acc"] == pytest.approx(train @ test)


def test_constant_values_are_those_of_the_training_part():
    data, model = case("regression")
    train = data.examples("train").targets
    test = data.examples("test").targets
    scores = guess_scores(model, data, "test")
    error_of_mean = abs(test - train.mean()).mean()
    error_of_median = abs(test - np.median(train)).mean()
    assert scores["mean"]["mae"] == pytest.approx(error_of_mean, rel=1e-5)
    assert scores["median"]["mae"] == pytest.approx(error_of_median, rel=1e-5)


@pytest.mark.parametrize("head", ["softmax", "multilabel"])
def test_fitted_models_are_right_more_often_than_guesses(head):
    data, model = case(head)
    guesses = guess_scores(model, data, "test")
    fitted = fitted_scores(model, data, "test")
    assert set(fitted) == {"linear model", "gradient boosting"}
    best_guess = max(scores["acc"] for scores in guesses.values())
    for scores in fitted.values():
        assert scores["acc"] > best_guess


def test_fitted_models_have_smaller_errors_than_guesses():
    data, model = case("regression")
    guesses = guess_scores(model, data, "test")
    fitted = fitted_scores(model, data, "test")
    assert set(fitted) == {"linear model", "gradient boosting"}
    best_guess = min(scores["mae"] for scores in guesses.values())
    for scores in fitted.values():
        assert scores["mae"] < best_guess


def test_at_another_threshold_the_lead_is_that_at_a_half():
    noise = np.random.default_rng(1).normal(size=240)
    classes = (X[:, 0] + noise > 1).astype(int)
    data = ArrayDataModule(X, classes, test_size=0.25, val_size=None)
    model = DenseModule(data.input_shape, 2, "sigmoid", threshold=0.1)
    outputs = {"index": np.arange(60), "targets": data.examples("test").targets}
    outputs["probabilities"] = np.full((60, 2), 0.5, np.float32)
    scores = fitted_scores(model, data, "test", outputs)
    assert "lead" not in scores["linear model"]
    assert "lead" in scores["linear model, threshold 0.5"]
    assert scores["linear model"]["acc"] < scores["linear model, threshold 0.5"]["acc"]


def test_tables_with_categories_dates_and_holes_are_fitted():
    x = np.random.default_rng(0).normal(size=200)
    day = pd.to_datetime(9000 * x, unit="D")
    frame = pd.DataFrame({"day": day, "kind": ["a", "b"] * 100})
    is_yes = x + 2 * (frame["kind"] == "a") > 1
    frame["y"] = np.where(is_yes, "yes", "no")
    frame.loc[::20, "day"] = pd.NaT
    data = TableDataModule(frame, target="y", missing="mean", test_size=0.25)
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid")
    for scores in fitted_scores(model, data, "test").values():
        assert scores["acc"] > 0.9


def test_words_alone_are_fitted_by_the_linear_model():
    frame = pd.DataFrame({"note": ["good day", "bad day"]})
    rows = TableRows(frame, texts=["note"])
    assert list(rows.baselines(Ridge, Ridge)) == ["linear model"]


def test_the_lead_is_the_difference_of_mean_errors():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=(50, 2)).astype(np.float32)
    own = targets + 1.5 * generator.normal(size=(50, 2)).astype(np.float32)
    others = targets + generator.normal(size=(50, 2)).astype(np.float32)
    result = lead(RegressionHead(2), own, others, targets)
    result = json.loads(json.dumps(result))  # it is written to a file

    own_errors = abs(own - targets).mean(axis=1)
    other_errors = abs(others - targets).mean(axis=1)
    gains = own_errors - other_errors
    num_better = int((gains > 0).sum())
    p_value = binomtest(num_better, 50, alternative="greater").pvalue
    assert result["lead"] == pytest.approx(gains.mean(), rel=1e-4)
    assert result["p_value"] == pytest.approx(p_value)


def test_four_rows_are_not_beyond_chance():
    first = np.eye(2)[0]
    second = np.eye(2)[1]
    own = np.stack([second, second, second, second, first, first])
    others = np.stack([first] * 6)
    result = lead(SoftmaxHead(2), own, others, np.zeros(6, int))
    assert result == {"lead": pytest.approx(4 / 6), "p_value": pytest.approx(0.0625)}
    lines = baseline_lines({"linear model": {"acc": 1.0, **result}})
    assert len(lines) == 1


@pytest.mark.parametrize("metric", ["acc", "f1"])
def test_a_better_model_is_named_beyond_chance_by_accuracy_alone(metric):
    data, model = case("softmax", metrics=[metric])
    targets = data.examples("test").targets
    wrong = (targets + 1) % 3
    outputs = {
        "index": np.arange(60),
        "targets": targets,
        "probabilities": np.eye(3)[wrong],
    }
    lines = baseline_lines(fitted_scores(model, data, "test", outputs))
    advice = [line for line in lines if line.startswith("linear model is better by")]
    assert len(advice) == (metric == "acc")


CHINESE = ["质量好", "质量差"]


@pytest.mark.parametrize(
    ("texts", "tokens", "is_fitted"),
    [
        (CHINESE, "characters", True),
        ([f"word{number}" for number in range(40)], "words", False),
    ],
)
def test_texts_are_fitted_by_their_tokens_or_left_out(texts, tokens, is_fitted, capsys):
    rows = [texts[number % len(texts)] for number in range(40)]
    frame = pd.DataFrame({"text": rows, "label": ["good", "bad"] * 20})
    frame.to_csv("texts.csv", index=False)
    data = TextDataModule("texts.csv", label_column="label", tokens=tokens)
    model = DenseModule(data.input_shape, 1, "sigmoid", hidden=[])
    scores = fitted_scores(model, data, "val")
    printed = capsys.readouterr().out
    if is_fitted:
        assert scores["linear model on TF-IDF"]["acc"] == 1
    else:
        assert not scores
    assert ("is left out, since it cannot be fitted" in printed) != is_fitted
