import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    classification_report,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)

from dlp.datamodules import ArrayDataModule, TableDataModule, TextDataModule
from dlp.errors import InputError
from dlp.evaluation.calibration import calibrate, wilson_interval
from dlp.evaluation.evaluated_part import describe_rows
from dlp.evaluation.mistake_files import (
    from_dict,
    read_mistakes,
    to_dict,
    worst_table,
    worst_texts,
    write_mistakes,
)
from dlp.evaluation.mistakes import (
    POINTS,
    ClassificationMistakes,
    ClassScores,
    MultilabelMistakes,
    RegressionMistakes,
    ValueScores,
    WrongClass,
    WrongValue,
)

PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.05, 0.9, 0.05], [0.3, 0.3, 0.4], [0.0, 0.95, 0.05]]
)
TARGETS = np.array([0, 1, 0, 2, 2])
NAMES = ["ant", "bee", "cat"]
ROWS = ["a.png", "b.png", "c.png", "d.png", "e.png"]


def classified(**arguments):
    found = ClassificationMistakes.of(PROBABILITIES, TARGETS, NAMES, **arguments)
    return replace(found, worst=[replace(wrong, name=ROWS[wrong.row]) for wrong in found.worst])


def labelled(**arguments):
    probabilities = np.array([[0.9, 0.4], [0.2, 0.99], [0.6, 0.1], [0.3, 0.2]])
    targets = np.array([[1, 1], [0, 0], [1, 0], [1, 0]])
    return MultilabelMistakes.of(probabilities, targets, ["red", "big"], **arguments)


def valued(**arguments):
    values = np.array([[1.0, 10.0], [2.0, 10.0], [3.5, 40.0]])
    targets = np.array([[1.0, 20.0], [2.0, 30.0], [3.0, 40.0]])
    return RegressionMistakes.of(values, targets, ["age", "price"], **arguments)


def test_classes_by_hand():
    mistakes = classified()
    assert mistakes.rows == 5
    assert mistakes.confusion.matrix().tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 1]]
    assert mistakes.num_wrong == 2
    assert mistakes.scores[1] == ClassScores("bee", pytest.approx(1 / 3), 1.0, 0.5, 1)
    assert mistakes.most_confused() == [("ant", "bee", 1), ("cat", "bee", 1)]
    assert mistakes.most_confused(1) == [("ant", "bee", 1)]
    assert mistakes.worst == [
        WrongClass(4, "cat", "bee", 0.05, 0.95, name="e.png"),
        WrongClass(2, "ant", "bee", 0.05, 0.9, name="c.png"),
    ]
    assert mistakes.worst[0].caption == "cat → bee 0.950"
    assert classified(num_worst=1).worst == mistakes.worst[:1]
    assert classified(num_worst=0).worst == []


def test_no_certainty_is_claimed_of_what_was_wrong():
    assert WrongClass(0, "a", "b", 1e-5, 0.99999).caption == "a → b above 0.999"


@given(st.integers(2, 5), st.integers(1, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_scores_are_those_of_a_classification_report(classes, rows, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), rows)
    targets = rng.integers(classes, size=rows)
    mistakes = ClassificationMistakes.of(probabilities, targets)
    predicted = probabilities.argmax(1)
    report = classification_report(targets, predicted, output_dict=True, zero_division=0)
    for kind, mean in zip(("macro", "weighted"), mistakes.means, strict=True):
        expected = report[f"{kind} avg"]
        found = (mean.precision, mean.recall, mean.f1, mean.support)
        assert found == pytest.approx(tuple(expected.values()))
    for scores in mistakes.scores:
        expected = report.get(scores.name, dict.fromkeys("abcd", 0))
        found = (scores.precision, scores.recall, scores.f1, scores.support)
        assert found == pytest.approx(tuple(expected.values()))
    assert mistakes.confusion.matrix().sum() == rows
    assert mistakes.num_wrong == (predicted != targets).sum()
    confident = [wrong.predicted_probability for wrong in mistakes.worst]
    assert confident == sorted(confident, reverse=True)
    assert all(wrong.predicted_probability >= wrong.true_probability for wrong in mistakes.worst)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80))
def test_calibration_is_sklearns_curve_with_counts(pairs):
    chances, true = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    found = calibrate("something", true, chances)
    frequency, probability = calibration_curve(true, chances, n_bins=10)
    assert [value for value in found.frequency if value is not None] == pytest.approx(frequency)
    assert [value for value in found.probability if value is not None] == pytest.approx(probability)
    filled = [value is not None for value in found.probability]
    assert filled == [count > 0 for count in found.counts]
    assert sum(found.counts) == len(pairs)
    counts = np.array([count for count in found.counts if count])
    error = (abs(frequency - probability) * counts).sum() / len(pairs)
    assert found.error == pytest.approx(error)
    low, high = wilson_interval(frequency, counts)
    assert (low <= frequency + 1e-9).all()
    assert (frequency <= high + 1e-9).all()


def test_two_classes_are_calibrated_by_the_second_and_more_by_the_predicted_one():
    two = ClassificationMistakes.of(np.array([[0.95, 0.05], [0.35, 0.65]]), np.array([0, 1]))
    assert two.calibration.of == "probability of 1"
    assert two.calibration.counts == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert two.calibration.frequency[0] == 0
    assert two.calibration.error == pytest.approx((0.05 + 0.35) / 2)
    several = classified().calibration
    assert several.of == "probability of the predicted class"
    assert several.counts == [0, 0, 0, 1, 0, 0, 1, 1, 1, 1]


def test_labels_by_hand():
    mistakes = labelled()
    assert mistakes.counts == [(2, 0, 1, 1), (0, 1, 1, 2)]
    assert mistakes.scores[0] == ClassScores("red", 1.0, pytest.approx(2 / 3), 0.8, 3)
    assert mistakes.means[0].f1 == pytest.approx(0.4)
    assert mistakes.worst == [
        WrongClass(1, "not big", "big", 0.01, 0.99),
        WrongClass(3, "red", "not red", 0.3, 0.7),
        WrongClass(0, "big", "not big", 0.4, 0.6),
    ]
    assert sum(mistakes.calibration.counts) == 8


def test_values_by_hand():
    mistakes = valued()
    age, price = mistakes.scores
    assert age == ValueScores(
        "age",
        pytest.approx(0.5 / 3),
        pytest.approx((0.25 / 3) ** 0.5),
        0.875,
        pytest.approx(0.5 / 3),
    )
    assert price.mae == 10
    assert price.mean_residual == -10
    # In deviations of their targets: 20 / 8.2 of price, 10 / 8.2 of price, 0.5 / 0.8 of age.
    assert mistakes.worst == [
        WrongValue(1, "price", 30.0, 10.0),
        WrongValue(0, "price", 20.0, 10.0),
        WrongValue(2, "age", 3.0, 3.5),
    ]
    assert mistakes.worst[0].caption == "price 30 → 10"
    assert mistakes.true == [[1, 2, 3], [20, 30, 40]]
    assert mistakes.predicted == [[1, 2, 3.5], [10, 10, 40]]


def test_one_row_and_a_constant_target_have_scores_too():
    (scores,) = RegressionMistakes.of(np.array([[1.0]]), np.array([3.0])).scores
    assert (scores.name, scores.mae, scores.r2) == ("", 2, None)
    constant = RegressionMistakes.of(np.array([[1.0], [3.0]]), np.array([2.0, 2.0]))
    assert constant.worst[0] == WrongValue(0, "", 2.0, 1.0)


def test_points_of_many_rows_are_spread_over_them():
    values = np.arange(3.0 * POINTS)
    mistakes = RegressionMistakes.of(values[:, None] + 1, values)
    assert mistakes.rows == 3 * POINTS
    assert len(mistakes.true[0]) == POINTS
    assert (mistakes.true[0][0], mistakes.true[0][-1]) == (0, 3 * POINTS - 1)
    assert np.allclose(np.subtract(mistakes.predicted, mistakes.true), 1)


@pytest.mark.parametrize("make", [classified, labelled, valued])
def test_a_file_gives_back_what_was_written(make, tmp_path):
    mistakes, path = make(), tmp_path / "mistakes.json"
    write_mistakes(mistakes, path)
    assert read_mistakes(path) == mistakes
    assert from_dict(to_dict(mistakes)) == mistakes
    assert json.loads(path.read_text())["task"] == mistakes.task


@pytest.mark.parametrize(
    ("probabilities", "targets", "message"),
    [
        (np.ones((2, 3)), np.zeros(3, int), r"got \(2, 3\) and \(3,\)"),
        (np.ones((0, 3)), np.zeros(0, int), "at least one row"),
        (np.full((2, 3), np.nan), np.zeros(2, int), "the model has diverged"),
    ],
)
def test_what_cannot_be_judged_is_an_error(probabilities, targets, message):
    with pytest.raises(InputError, match=message):
        ClassificationMistakes.of(probabilities, targets)


def test_names_must_fit():
    with pytest.raises(InputError, match="3 columns of predictions and 2 names"):
        ClassificationMistakes.of(PROBABILITIES, TARGETS, ["ant", "bee"])


# The rows -----------------------------------------------------------------------------------------


def test_texts_are_shown_as_they_were_given(tmp_path):
    path = tmp_path / "reviews.csv"
    texts = [f"Good, {n} times good!" for n in range(8)]
    texts += [f"Bad; it's {n} times bad" for n in range(8)]
    table = pd.DataFrame({"text": texts, "label": ["pos"] * 8 + ["neg"] * 8})
    table.to_csv(path, index=False)
    arguments = {"val_size": 3, "split_seed": None, "num_words": 6}
    data = TextDataModule(str(path), test_path=str(path), **arguments)
    assert describe_rows(data, "val", [2, 0]) == ["Good, 2 times good!", "Good, 0 times good!"]
    assert describe_rows(data, "test", [15]) == ["Bad; it's 7 times bad"]


def test_rows_of_tables_are_shown_as_they_were_read(tmp_path):
    path = tmp_path / "table.csv"
    table = pd.DataFrame({"size": np.arange(10.0), "kind": list("ab") * 5, "side": list("lr") * 5})
    table.to_csv(path, index=False)
    data = TableDataModule(path, target="side", test_size=4, val_size=2, split_seed=None)
    shown = describe_rows(data, "val", [1])
    assert shown.to_dict("records") == [
        {"size": float(data.labelled_rows()[0].val[1]), "kind": "b"}
    ]


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((1, 4, 5), np.uint8, (2, 1, 4, 5)),
        ((3, 4, 5), np.float32, (2, 3, 4, 5)),
        ((4, 5), np.uint8, (2, 1, 4, 5)),
        ((4, 5), np.float32, (2, 20)),
        ((6,), np.float32, (2, 6)),
    ],
)
def test_arrays_are_images_or_numbers_before_scaling(shape, dtype, expected):
    x = np.random.default_rng(0).integers(0, 255, (10, *shape)).astype(dtype)
    y = np.arange(10) % 2
    data = ArrayDataModule(x, y, x, y, scaling="standard", val_size=None)
    shown = describe_rows(data, "test", [3, 1])
    assert tuple(shown.shape) == expected
    numbers = shown.to_numpy() if isinstance(shown, pd.DataFrame) else shown.numpy()
    rows = x[[3, 1]].astype(np.float32)
    scale = rows.max() if len(expected) == 4 and dtype == np.float32 else 255 ** (dtype == np.uint8)
    assert np.allclose(numbers, rows.reshape(expected) / scale)


def test_worst_mistakes_beside_what_they_were_made_on():
    text = worst_texts(classified().worst, ["buzz " * 400, "an insect"])
    assert text.startswith("1. cat → bee 0.950, e.png\n\n   buzz buzz")
    assert text.count("buzz") == 300
    assert text.endswith(" ...\n\n2. ant → bee 0.900, c.png\n\n   an insect\n")
    rows = pd.DataFrame({"legs": [6, 4], "name": ["x", "y"]}, index=[9, 3])
    table = worst_table(classified().worst, rows)
    assert table.row.tolist() == [4, 2]
    assert table.name.tolist() == ["e.png", "c.png"]
    assert table.legs.tolist() == [6, 4]
    assert table.name_.tolist() == ["x", "y"]
    unnamed = [WrongValue(3, "", 1.0, 2.0), WrongValue(0, "", 5.0, 4.0)]
    assert list(worst_table(unnamed, rows)) == ["row", "true", "predicted", "legs", "name"]


def test_a_single_label_is_scored_by_itself():
    chances, targets = np.array([[0.9], [0.2], [0.7]]), np.array([[1], [1], [0]])
    found = MultilabelMistakes.of(chances, targets, ["a"])
    assert found.counts == [(1, 1, 1, 0)]
    for scores in (*found.scores, *found.means):
        assert (scores.precision, scores.recall, scores.f1, scores.support) == (0.5, 0.5, 0.5, 2)


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"task": "classification"}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "mistakes.json").write_text(text)
    with pytest.raises(InputError, match=r"mistakes\.json cannot be read"):
        read_mistakes(tmp_path / "mistakes.json")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(2, 5))
def test_scores_are_those_of_scikit_learn(seed, rows, classes):
    draw = np.random.default_rng(seed)
    true, chances = draw.integers(classes, size=rows), draw.dirichlet(np.ones(classes), size=rows)
    ours = ClassificationMistakes.of(chances, true)
    _compare_scores(ours, true, chances.argmax(1), None)
    labels = draw.integers(2, size=(rows, classes))
    _compare_scores(MultilabelMistakes.of(chances, labels), labels, chances > 0.5, range(classes))
    values, found = draw.integers(3, size=rows) * 1e3, draw.normal(size=(rows, 1))
    (score,) = RegressionMistakes.of(found, values).scores
    assert score.mae == pytest.approx(mean_absolute_error(values, found))
    assert score.rmse == pytest.approx(root_mean_squared_error(values, found))
    if rows > 1:
        assert score.r2 == pytest.approx(r2_score(values, found))


def _compare_scores(ours, true, predicted, labels):
    score = partial(precision_recall_fscore_support, true, predicted, zero_division=0)
    for kind, mean in zip(("macro", "weighted"), ours.means, strict=True):
        theirs = score(average=kind, labels=labels)[:3]
        assert (mean.precision, mean.recall, mean.f1) == pytest.approx(theirs)
    columns = score(labels=range(len(ours.scores)), average=None)
    for mine, *theirs in zip(ours.scores, *columns, strict=True):
        assert (mine.precision, mine.recall, mine.f1, mine.support) == pytest.approx(theirs)


@given(st.integers(1, 500), st.integers(0, 500))
def test_intervals_are_those_of_scipy(count, successes):
    successes = min(count, successes)
    low, high = wilson_interval(np.array([successes / count]), np.array([count]))
    theirs = binomtest(successes, count).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high))
