import operator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from dlp.evaluation.mistakes import (
    calibration,
    class_mistakes,
    label_mistakes,
    value_mistakes,
)


def predictions(seed, rows, classes):
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(classes), rows), generator.integers(
        0, classes, rows
    )


cases = st.builds(
    predictions, st.integers(0, 999), st.integers(1, 60), st.integers(2, 5)
)


@given(cases)
def test_class_scores_are_those_of_scikit_learn(case):
    probabilities, targets = case
    names = [*map(str, range(probabilities.shape[1]))]
    report = class_mistakes(probabilities, targets, names).report
    labels, guessed = range(len(names)), probabilities.argmax(axis=1)
    expected = sk.precision_recall_fscore_support(
        targets, guessed, labels=labels, zero_division=0
    )
    scores = pd.DataFrame(report["classes"])[["precision", "recall", "f1", "support"]]
    np.testing.assert_allclose(scores.T, expected)
    assert (
        report["confusion"]
        == sk.confusion_matrix(targets, guessed, labels=labels).tolist()
    )


def test_the_area_under_a_roc_curve_is_that_of_scikit_learn():
    probabilities, targets = predictions(0, 90, 2)
    probabilities = probabilities.round(1)  # with ties
    false_share, true_share = class_mistakes(probabilities, targets, ["a", "b"]).report[
        "roc"
    ]
    area = np.trapezoid([0, *true_share], [0, *false_share])
    assert area == pytest.approx(sk.roc_auc_score(targets, probabilities[:, 1]))


@given(cases)
def test_worst_rows_are_wrong_and_the_least_probable_true_classes_come_first(case):
    probabilities, targets = case
    mistakes = class_mistakes(
        probabilities, targets, [*map(str, range(probabilities.shape[1]))]
    )
    rows, true, predicted, given = (
        mistakes.worst[name].tolist() for name in mistakes.worst
    )
    assert given == sorted(given)
    assert given == probabilities[rows, targets[rows]].tolist()
    assert true == [str(number) for number in targets[rows]]
    assert not any(map(operator.eq, true, predicted))
    assert len(rows) == mistakes.report["wrong"]


def test_label_scores_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    probabilities, targets = (
        generator.random((50, 3)),
        generator.integers(0, 2, (50, 3)),
    )
    mistakes = label_mistakes(probabilities, targets, ["a", "b", "c"])
    expected = sk.precision_recall_fscore_support(targets, probabilities > 0.5)
    assert pd.DataFrame(mistakes.report["classes"])["f1"].tolist() == pytest.approx(
        expected[2]
    )
    row, true, predicted, probability = mistakes.worst.iloc[0]
    column = "abc".index(true.removeprefix("not "))
    assert {true, predicted} == {"abc"[column], f"not {'abc'[column]}"}
    assert true.startswith("not ") != targets[row, column]
    assert probability == 1 - abs(probabilities - targets).max()


def test_value_scores_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=(40, 2)) * [1, 100]
    values = targets + generator.normal(size=(40, 2))
    mistakes = value_mistakes(values, targets, ["near", "far"])
    expected = sk.mean_absolute_error(targets, values, multioutput="raw_values")
    assert pd.DataFrame(mistakes.report["targets"])["mae"].tolist() == pytest.approx(
        expected
    )
    assert (
        mistakes.worst["target"][0] == "near"
    )  # errors count in deviations of their target


def test_the_calibration_error_is_the_weighted_distance_of_probability_and_frequency():
    probabilities = np.array([0.15, 0.15, 0.95, 0.95])
    result = calibration(
        np.stack([1 - probabilities, probabilities], 1), np.array([1, 0, 1, 1])
    )
    assert result["frequency"] == [0.5, 1.0]
    assert result["count"] == [2, 2]
    assert result["error"] == pytest.approx((0.35 + 0.05) / 2)


def one_hot(*classes):
    return np.eye(max(classes) + 1)[[*classes]]


def test_the_summary_at_another_threshold_also_has_the_share_at_a_half():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    classes = np.array([0, 0, 1, 1])
    summary = class_mistakes(probabilities, classes, ["a", "b"], threshold=0.05).report[
        "summary"
    ]
    assert "at the threshold 0.05 and is right in 50.0%" in summary
    assert "50.0% of 4 rows are right (75.0% at the threshold 0.5)" in summary


def test_the_summary_of_labels_names_a_threshold_that_is_not_a_half():
    probabilities = np.array([[0.3, 0.8], [0.1, 0.1]])
    labels = np.array([[1, 1], [0, 0]])
    summary = label_mistakes(probabilities, labels, ["a", "b"], threshold=0.2).report[
        "summary"
    ]
    assert summary == (
        "finds 2 of 2 labels at the threshold 0.2; 100.0% of 2 rows are all right (50.0% at the "
        "threshold 0.5)"
    )


@pytest.mark.parametrize(
    ("analyse", "outputs", "targets", "expected"),
    [
        (
            class_mistakes,
            one_hot(0, 0, 1, 1),
            np.array([0, 0, 0, 1]),
            "finds 1 of 1 “b” at the threshold 0.5 and is right in 50.0% of those that it names; "
            "75.0% of 4 rows are right; always saying “a” is right in 75.0%",
        ),
        (
            class_mistakes,
            one_hot(0, 1, 2),
            np.array([0, 1, 1]),
            "66.7% of 3 rows are right; always saying “a” is right in 33.3%",
        ),
        (
            label_mistakes,
            one_hot(0, 1),
            np.array([[1, 1], [0, 1]]),
            "finds 2 of 3 labels; 50.0% of 2 rows are all right",
        ),
        (
            value_mistakes,
            np.array([[1.0, 5], [2, 5]]),
            np.array([[2.0, 5], [4, 105]]),
            "misses a by 1.50 on average, always guessing the median by 1.00; misses b by 50.0 "
            "on average, always guessing the median by 50.0",
        ),
    ],
)
def test_a_summary_says_in_plain_words_how_good_a_model_is(
    analyse, outputs, targets, expected
):
    names = [*"abc"][: outputs.shape[1]]
    assert analyse(outputs, targets, names).report["summary"] == expected
