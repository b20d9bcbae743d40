import numpy as np
import pytest

from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError


def fitted(values, *arguments, **named):
    encoder = TargetEncoder(*arguments, **named)
    encoder.fit(np.asarray(values))
    return encoder


@pytest.mark.parametrize(
    ("values", "task", "num_outputs", "class_names"),
    [
        (["no", "yes", "no"], "classification", 2, ["no", "yes"]),
        ([True, False, True], "classification", 2, ["False", "True"]),
        ([0, 1, 2, 2, 1, 0], "classification", 3, ["0", "1", "2"]),
        ([0, 1], "classification", 2, ["0", "1"]),
        ([1.5, 2.0], "regression", 1, None),
        ([10, 20, 35, 50], "regression", 1, None),
        ([[0, 1], [1, 0]], "classification", 2, ["0", "1"]),
        ([[0, 1], [1, 1]], "multilabel", 2, ["0", "1"]),
        ([[0.5, 7], [1, 2]], "regression", 2, None),
        ([[3.0], [4.0]], "regression", 1, None),
    ],
)
def test_auto_tells_classes_labels_and_values_apart(values, task, num_outputs, class_names):
    encoder = fitted(values)
    assert (encoder.task, encoder.num_outputs, encoder.class_names) == (
        task,
        num_outputs,
        class_names,
    )


def test_classes_become_int64_and_values_float32():
    assert fitted(["b", "a", "b"]).encode(np.array(["a", "b"])).tolist() == [0, 1]
    assert fitted(["b", "a"]).encode(np.array(["a"])).dtype == np.int64
    assert fitted([1.5, 2.5]).encode(np.array([1.5])).dtype == np.float32
    assert fitted([[0, 1], [1, 1]]).encode(np.array([[1, 0]])).dtype == np.float32


def test_one_hot_classes():
    encoder = fitted(["b", "a", "c"], one_hot=True)
    assert encoder.encode(np.array(["c", "a"])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert fitted([[0, 1], [1, 0]]).encode(np.array([[0.25, 0.75]])).tolist() == [[0.25, 0.75]]


def test_names_of_classes_may_be_given_for_numbers_and_for_text():
    assert fitted([1, 0, 1], class_names=["cat", "dog"]).class_names == ["cat", "dog"]
    text = fitted(np.array(["dog", "cat"], dtype=object), class_names=["cat", "dog"])
    assert text.encode(np.array(["cat", "dog"], dtype=object)).tolist() == [0, 1]


def test_float32_labels_keep_their_names():
    encoder = fitted(np.array([0.1, 0.2, 0.1], np.float32), "classification")
    assert encoder.encode(np.array([0.2, 0.1], np.float32)).tolist() == [1, 0]


def test_the_state_is_plain_and_restores_the_meaning():
    first = fitted(["b", "a"])
    second = TargetEncoder()
    second.load_state(first.state())
    assert second.encode(np.array(["b", "a"])).tolist() == [1, 0]
    assert second.class_names == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "arguments", "message"),
    [
        ([], (), "no labelled row"),
        (["a", "a"], (), r"one class only \('a'\)"),
        ([0, 0, 0], (), r"one class only \('0'\)"),
        ([1, 1], ("auto", ["cat", "dog"]), r"one class only \('dog'\)"),
        ([[1, 0], [1, 0]], ("classification",), r"one class only \('0'\)"),
        ([0, 2], ("auto", ["cat", "dog"]), "label 2 of row 1 is outside the classes 0 to 1"),
        ([0, -1], ("auto", ["cat", "dog"]), "label -1 of row 1 is outside"),
        ([1.0, float("nan")], (), "target of row 1 is nan: a target must be a finite number"),
        ([1.0, float("inf")], (), "target of row 1 is inf"),
        (["1", "x"], ("regression",), "must be numbers for this task"),
        ([[0, 2], [1, 1]], ("multilabel",), "must be 0 or 1"),
        ([[1, 0], [0, 0]], ("classification",), "row 1 of the one-hot target"),
    ],
)
def test_targets_nobody_can_learn_from(values, arguments, message):
    with pytest.raises(InputError, match=message):
        fitted(values, *arguments)


def test_a_missing_label_is_named_and_counted():
    values = np.array(["a", None, "b", None], dtype=object)
    with pytest.raises(InputError, match=r"row 1 has no label \(2 rows in all\)"):
        fitted(values)


def test_a_misspelt_label_gets_the_nearest_class():
    encoder = fitted(["positive", "negative"])
    with pytest.raises(InputError, match="Did you mean 'positive'"):
        encoder.encode(np.array(["positve"]))


def test_other_columns_than_trained_on():
    encoder = fitted([[0.5, 7], [1, 2]])
    with pytest.raises(InputError, match="has 3 columns, expected 2"):
        encoder.encode(np.array([[1.0, 2.0, 3.0]]))


def test_names_of_classes_that_are_numbers():
    sections = fitted(np.array(["1", "1.1", "1.10", "2"], dtype=object), "classification")
    assert sections.encode(np.array([1.0, 1.1, 2.0])).tolist() == [0, 1, 3]
    assert [sections.name_of(value) for value in (2.0, "1.10")] == ["2", "1.10"]
    with pytest.raises(InputError, match=r"label '1.20' is not among the classes 1, 1.1, 1.10, 2"):
        sections.encode(np.array(["1.20"], dtype=object))
    stars = fitted([1.0, 1.5, 2.0], "classification")
    assert stars.encode(np.array([1, 2])).tolist() == [0, 2]
    assert stars.encode(np.array(["2.0", "1.50"], dtype=object)).tolist() == [2, 1]
    assert [stars.name_of(value) for value in (1, "1.50", "x")] == ["1.0", "1.5", "x"]
    older = TargetEncoder()
    state = {**stars.state(), "class_names": ["1.11", "62.01"], "num_outputs": 2}
    older.load_state({name: value for name, value in state.items() if name != "fractions"})
    assert older.encode(np.array(["62.01", "01.11"], dtype=object)).tolist() == [1, 0]
    codes = fitted([0, 1, 1], "classification")
    assert [codes.name_of(value) for value in (1.0, "1.0", "x")] == ["1", "1", "x"]
