import itertools
import warnings

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from dlp.evaluation.mistakes import ClassificationMistakes, MultilabelMistakes, RegressionMistakes
from dlp.visualization.mistake_figures import (
    confusion_figure,
    reliability_figure,
    residual_figure,
    worst_figure,
)


def classified(classes, rows=200, names=None):
    rng = np.random.default_rng(0)
    targets = rng.integers(classes, size=rows)
    probabilities = rng.dirichlet(np.ones(classes), rows)
    return ClassificationMistakes.of(probabilities, targets, names)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def drawn(figure):
    """Draw a figure: a text that Matplotlib cannot set is an error only then."""
    FigureCanvasAgg(figure).draw()
    return figure


def test_cells_of_a_small_matrix_are_numbered_and_coloured_by_row():
    mistakes = classified(4)
    figure = drawn(confusion_figure(mistakes, "runs version_0"))
    assert texts(figure) == [str(cell) for row in mistakes.confusion.matrix() for cell in row]
    (image,) = figure.axes[0].get_images()
    assert np.allclose(image.get_array().sum(axis=1), 1)
    right = 1 - mistakes.num_wrong / mistakes.rows
    assert figure.get_suptitle() == f"runs version_0: {right:.1%} of 200 right"


def test_a_large_matrix_lists_the_pairs_most_often_confused_instead():
    names = [f"class {number}" for number in range(46)]
    mistakes = classified(46, 500, names)
    figure = drawn(confusion_figure(mistakes))
    assert texts(figure) == []
    (listed,) = (text.get_text() for text in figure.texts if "confused" in text.get_text())
    true, taken, count = mistakes.most_confused(1)[0]
    support = next(scores.support for scores in mistakes.scores if scores.name == true)
    assert listed.splitlines()[1] == f"{true} → {taken}  {count} of {support}"
    assert len(listed.splitlines()) == 13
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == names


def test_long_names_of_confused_classes_are_not_cut():
    names = [f"a class of a long name {number}" for number in range(40)]
    chances = np.eye(40, dtype=np.float32)[::-1].copy()
    mistakes = ClassificationMistakes.of(chances, np.arange(40), names)
    figure = drawn(confusion_figure(mistakes))
    (listed,) = figure.texts[:1]
    assert "→" in listed.get_text()
    assert listed.get_window_extent().x1 < figure.bbox.width


def test_of_very_many_classes_some_are_named():
    figure = drawn(confusion_figure(classified(200, 300)))
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == [str(number) for number in range(0, 200, 4)]


def test_of_a_thousand_classes_those_with_most_mistakes_are_drawn():
    targets = np.repeat(np.arange(1000), 2)
    taken = np.where(targets < 70, targets // 7 * 7, targets)  # 60 of 70 classes are wrong
    chances = np.zeros((len(targets), 1000), np.float32)
    chances[np.arange(len(targets)), taken] = 1
    figure = drawn(confusion_figure(ClassificationMistakes.of(chances, targets)))
    shares = figure.axes[0].get_images()[0].get_array()
    assert shares.shape == (60, 60)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {str(number) for number in range(0, 70, 7)} <= set(labels)
    assert figure.get_suptitle() == (
        "94.0% of 2,000 right; the 60 of 1,000 classes with most mistakes"
    )


def test_of_many_labels_those_found_worst_are_drawn():
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=(40, 300))
    chances = np.where(targets, 0.9, 0.1)
    chances[:, 7] = 1 - chances[:, 7]
    figure = drawn(confusion_figure(MultilabelMistakes.of(chances, targets)))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 60
    assert "7" in labels
    assert figure.get_suptitle() == "40 rows; the 60 of 300 labels found worst"


def test_a_class_without_rows_has_no_colour():
    probabilities = np.eye(3)[[0, 1, 0]]
    figure = confusion_figure(ClassificationMistakes.of(probabilities, np.array([0, 1, 1])))
    image = figure.axes[0].get_images()[0].get_array()
    assert image.mask.tolist() == [[False] * 3, [False] * 3, [True] * 3]


def texts_of(figure):
    return [text.get_text() for text in drawn(figure).findobj(Text)]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["$5 to $6", r"a_{b"], [r"\$5 to \$6", r"a_{b"]),
        (["x" * 100, "犬"], ["x" * 23 + "…", "犬"]),
        (["50%", "^_^"], ["50%", "^_^"]),
    ],
)
def test_any_name_can_be_drawn(names, shown):
    mistakes = classified(2, names=names)
    first, second = shown
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        confusion = texts_of(confusion_figure(mistakes, "$1 and $2"))
        assert {first, second} <= {*confusion}
        assert any(text.startswith(r"\$1 and \$2") for text in confusion)
        assert f"probability of {second}" in texts_of(reliability_figure(mistakes, "$1 and $2"))
        worst = texts_of(worst_figure(mistakes.worst[:2], torch.rand(2, 3, 4, 4)))
        assert any(text.startswith(f"{first} → {second}\n") for text in worst)
        value = RegressionMistakes.of(np.array([[1.0]]), np.array([2.0]), names[:1])
        whole = names[0].replace("$", r"\$")
        assert f"{whole}, predicted" in texts_of(residual_figure(value))


def test_reliability_shows_the_filled_bins_and_their_counts():
    mistakes = classified(2)
    figure = drawn(reliability_figure(mistakes))
    curve, bars = figure.axes
    line = next(line for line in curve.lines if line.get_label() == "this model")
    filled = [value for value in mistakes.calibration.frequency if value is not None]
    assert line.get_ydata().tolist() == filled
    assert [bar.get_height() for bar in bars.patches] == mistakes.calibration.counts
    assert f"error {mistakes.calibration.error:.3f}" in figure.get_suptitle()


def test_labels_have_bars_of_found_missed_and_wrongly_given():
    targets = np.array([[1, 1], [1, 0], [1, 0]])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.9], [0.2, 0.1]])
    mistakes = MultilabelMistakes.of(probabilities, targets, ["red", "big"])
    axes = drawn(confusion_figure(mistakes)).axes[0]
    found, missed, given = ([bar.get_width() for bar in bars] for bars in axes.containers)
    assert (found, missed, given) == ([2, 0], [1, 1], [0, -1])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["red", "big"]


def test_residuals_of_each_target_with_the_largest_errors_ringed():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(50, 8))
    mistakes = RegressionMistakes.of(targets + rng.normal(size=(50, 8)), targets, list("abcdefgh"))
    figure = drawn(residual_figure(mistakes))
    assert len(figure.axes) == 12  # the first six targets
    points, bars = figure.axes[2:4]
    every, worst = points.collections
    assert every.get_offsets().data.tolist() == [
        list(pair) for pair in zip(mistakes.true[1], mistakes.predicted[1], strict=True)
    ]
    assert len(worst.get_offsets()) == sum(wrong.target == "b" for wrong in mistakes.worst)
    assert sum(bar.get_height() for bar in bars.patches) == 50
    assert bars.get_title().startswith(f"MAE {mistakes.scores[1].mae:.4g}")


def test_worst_images_say_what_they_are_and_were_taken_for():
    mistakes = classified(3, names=["ant", "bee", "cat"])
    figure = drawn(worst_figure(mistakes.worst[:3], torch.rand(3, 1, 5, 5)))
    wrong = mistakes.worst[1]
    title = figure.axes[1].get_title()
    assert title == f"{wrong.true} → {wrong.predicted}\n{wrong.predicted_probability:.3f}"


@pytest.mark.parametrize(("unit", "start"), [(1, 0), (1e3, 0), (1e9, 0), (1e-7, 0), (1e3, 1.7e9)])
def test_numbers_along_residuals_stay_apart_in_any_unit(unit, start):
    """Prices in dollars, sizes in bytes, currents in ampere, seconds since 1970."""
    random = np.random.default_rng(0)
    true = random.lognormal(5, 0.5, 200) * unit + start
    predicted = true + random.normal(0, 40, 200) * unit
    figure = residual_figure(RegressionMistakes.of(predicted[:, None], true, ["price"]))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        for axis, side in ((axes.xaxis, "x"), (axes.yaxis, "y")):
            labels = [label for label in axis.get_ticklabels() if label.get_text()]
            assert len({label.get_text() for label in labels}) == len(labels) > 1
            boxes = [label.get_window_extent(canvas.get_renderer()) for label in labels]
            ends = sorted((box.x0, box.x1) if side == "x" else (box.y0, box.y1) for box in boxes)
            assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))
    assert len(set(figure.axes[0].collections[0].get_offsets()[:, 0].tolist())) > 190
