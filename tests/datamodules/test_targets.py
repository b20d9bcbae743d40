import numpy as np
import pytest

from dlp.datamodules import TargetEncoder
from dlp.datamodules.targets import TargetStatistics
from dlp.errors import InputError


def fitted(values, *arguments, **keywords):
    encoder = TargetEncoder(*arguments, **keywords)
    encoder.fit(np.asarray(values))
    return encoder


@pytest.mark.parametrize(
    ("values", "task", "num_outputs", "class_names"),
    [
        (["no", "yes", "no"], "classification", 2, ["no", "yes"]),
        ([True, False, True], "classification", 2, ["False", "True"]),
        ([0, 1, 2, 2, 1, 0], "classification", 3, ["0", "1", "2"]),
        ([1.5, 2.0, 3.0], "regression", 1, None),
        ([10, 20, 35, 50], "regression", 1, None),
        ([[False, True], [True, False]], "classification", 2, ["0", "1"]),
        ([[0, 1], [1, 1]], "multilabel", 2, ["0", "1"]),
        ([[0.5, 7], [1, 2]], "regression", 2, None),
        ([[3.0], [4.0], [5.0]], "regression", 1, None),
    ],
)
def test_auto_infers_classes_labels_and_values(values, task, num_outputs, class_names):
    encoder = fitted(values)
    assert encoder.task == task
    assert encoder.num_outputs == num_outputs
    assert encoder.class_names == class_names


@pytest.mark.parametrize("values", [[-1, 1, 1], [1, 2, 2], [0.0, 1.0, 0.0]])
def test_two_numbers_that_are_taken_as_values_are_named_with_the_way_to_classes(
    values, capsys
):
    assert fitted(values).task == "regression"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "task: classification" in lines[0]
    classes = fitted(values, "classification")
    is_largest = np.array(values) == max(values)
    assert classes.encode(np.array(values)).tolist() == is_largest.astype(int).tolist()
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("num_classes", "task"), [(20, "classification"), (21, "regression")]
)
def test_whole_numbers_are_classes_up_to_20_and_the_other_task_is_named(
    num_classes, task, capsys
):
    values = np.arange(num_classes).repeat(3)
    encoder = fitted(values)
    assert encoder.task == task
    described = encoder.describe({"train": encoder.encode(values)})
    printed = capsys.readouterr().out
    if task == "classification":
        assert "task: regression" in described
        assert not printed
    else:
        assert "task: classification" in printed
    given = fitted(values, "classification")
    assert given.num_outputs == num_classes
    assert "task: regression" not in given.describe({"train": given.encode(values)})


def test_one_hot_classes():
    encoder = fitted(["b", "a", "c"], one_hot=True)
    encoded = encoder.encode(np.array(["c", "a"]))
    assert encoded.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert encoder.classes(encoded).tolist() == [2, 0]


def test_probabilities_stay_as_they_are():
    encoder = fitted([[0, 1], [1, 0]])
    probabilities = np.array([[0.25, 0.75]])
    assert encoder.encode(probabilities).tolist() == probabilities.tolist()


@pytest.mark.parametrize(
    "values", [[1, 0, 1], ["1", "0", "1"], [1.0, 0, 1], ["dog", "cat", "dog"]]
)
def test_class_names_are_numbered_from_0(values):
    encoder = fitted(values, class_names=["cat", "dog"])
    assert encoder.class_names == ["cat", "dog"]
    assert encoder.encode(np.asarray(values)).tolist() == [1, 0, 1]


@pytest.mark.parametrize("values", [[0, 1, 1], ["cat", "dog", "dog"]])
def test_the_positive_class_becomes_class_1(values):
    encoder = fitted(values, class_names=["cat", "dog"], positive_class="cat")
    assert encoder.class_names == ["dog", "cat"]
    assert encoder.encode(np.asarray(values)).tolist() == [1, 0, 0]


def test_classes_that_look_like_numbers_keep_their_names():
    values = np.array(["1", "1.1", "1.10", "01"], object)
    encoder = fitted(values, "classification")
    assert encoder.class_names == ["01", "1", "1.1", "1.10"]
    assert encoder.encode(values).tolist() == [1, 2, 3, 0]
    assert fitted([10, 9, 10], "classification").class_names == ["9", "10"]


def test_statistics_are_of_the_transformed_targets_and_1_for_a_constant():
    first = np.array([1.0, 10.0, 100.0])
    constant = np.full(3, 0.1)
    values = np.stack([first, constant], axis=1)
    encoder = fitted(values, scaling="standard")
    statistics = encoder.statistics(encoder.encode(values))
    assert np.allclose(statistics.mean, values.mean(axis=0))
    assert np.allclose(statistics.std, [first.std(), 1])
    encoder = fitted(first, scaling="standard", transform="log")
    assert np.allclose(encoder.statistics(encoder.encode(first)).mean, [np.log(10)])
    encoder = fitted(values)
    assert encoder.statistics(encoder.encode(values)).mean is None


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        (["a", "a", "a", "b"], {"frequencies": [0.75, 0.25]}),
        (np.eye(2)[[0, 0, 1, 0]], {"frequencies": [0.75, 0.25]}),
        ([[1, 1], [0, 1], [0, 1], [1, 1]], {"frequencies": [0.5, 1.0]}),
        ([1.5, 2, 3, 9.5], {"column_means": [4.0], "column_medians": [2.5]}),
        (
            [[1.5, 0], [2, 0], [3, 0], [9.5, 8]],
            {"column_means": [4.0, 2.0], "column_medians": [2.5, 0.0]},
        ),
    ],
)
def test_the_summary_has_frequencies_or_mean_and_median(values, summary):
    encoder = fitted(values)
    statistics = encoder.statistics(encoder.encode(np.asarray(values)))
    assert statistics == TargetStatistics(**summary)


@pytest.mark.parametrize(
    ("values", "arguments", "message"),
    [
        (["a", "a"], {}, "two or more classes"),
        ([2.5, 2.5], {}, "the same value in all rows"),
        (["no", "yes", "yes "], {}, "differ only in spaces"),
        (
            [0, 1, 2],
            {"positive_class": "1"},
            "one of two classes, got '1'",
        ),
        (["1", "x"], {"task": "regression"}, "targets: expected numbers"),
        ([1.0, 2.0, np.inf], {}, "target of row 2 is infinite"),
        ([[1.0, 2.0], [3.0, 1e39]], {}, "target of row 1 is infinite or above 1e38"),
        (
            [[1.0, 2.0], [3.0, np.nan], [4.0, 2.0]],
            {},
            "1 rows have no target. The first of them is row 1",
        ),
        (
            np.array(["a", None, "b"], object),
            {},
            "1 rows have no target. The first of them is row 1",
        ),
        ([[0, 2], [1, 1]], {"task": "multilabel"}, "expected 0 or 1"),
        ([0, 2], {"class_names": ["cat", "dog"]}, "unknown class '2'"),
        ([-1.0, 2.0, 3.0], {"transform": "log"}, "expected targets above 0, got -1"),
    ],
)
def test_targets_that_cannot_be_used_are_refused(values, arguments, message):
    targets = np.asarray(values)

    def use():
        encoder = fitted(targets, **arguments)
        encoder.statistics(encoder.encode(targets))

    with pytest.raises(InputError, match=message):
        use()


def test_columns_with_a_single_1_per_row_are_classes_and_a_line_says_so(capsys):
    values = np.eye(3)[[0, 2, 1, 0]]
    assert fitted(values).task == "classification"
    assert "for labels, give task: multilabel" in capsys.readouterr().out
    assert fitted(values, "multilabel").task == "multilabel"
    assert not capsys.readouterr().out


def test_a_second_fit_of_targets_begins_again():
    encoder = TargetEncoder()
    encoder.fit(np.array([0.5, 1.5, 2.5]))
    encoder.fit(np.array(["1", "2"], object))
    assert (encoder.task, encoder.class_names) == ("classification", ["1", "2"])
    encoder.fit(np.array(["2", "3"], object))
    assert encoder.encode(np.array(["3"], object)).tolist() == [1]
