import numpy as np
import pytest

from dlp.evaluation.mistakes import class_mistakes, value_mistakes
from dlp.visualization.mistakes import draw_confusion, draw_roc, draw_values

TRUE = np.array([[10.0], [1000.0], [74000.0]])
PREDICTED = np.array([[20.0], [900.0], [6000.0]])
PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
CLASSES = np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("transform", "scale"), [("none", "linear"), ("log", "log"), ("log1p", "symlog")]
)
def test_values_have_equal_axes_on_the_scale_that_the_model_learned(transform, scale):
    report = value_mistakes(PREDICTED, TRUE, ["price"], transform=transform).report
    [axes] = draw_values(report).axes
    assert axes.get_xscale() == scale
    assert axes.get_yscale() == scale
    assert axes.get_xlim() == axes.get_ylim()


def test_the_title_of_a_confusion_matrix_names_a_threshold_that_is_not_a_half():
    titles = []
    for threshold in (0.5, 0.2):
        report = class_mistakes(PROBABILITIES, CLASSES, ["no", "yes"], threshold).report
        [axes] = draw_confusion(report).axes
        titles.append(axes.get_title())
    assert titles == [
        "1 of 3 rows are wrong",
        "0 of 3 rows are wrong\nat the threshold 0.2",
    ]


def test_names_of_classes_that_are_numbers_are_quoted_in_a_sentence():
    report = class_mistakes(PROBABILITIES, CLASSES, ["0", "1"]).report
    [axes] = draw_roc(report).axes
    assert axes.get_xlabel() == "share of “0” taken for “1”"
