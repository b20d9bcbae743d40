import math

import pytest
from matplotlib.colors import to_hex

from dlp.errors import InputError
from dlp.visualization.comparison import (
    COLOURS,
    compare_runs,
    compare_settings,
    metric_words,
)

ORIGINAL = {"train_loss": [0.5, 0.3, 0.2], "val_loss": [0.4, 0.3, 0.5], "lr": [1.0, 0.5, 0.1]}
BIGGER = {"train_loss": [0.4, 0.1], "val_loss": [0.4, 0.6]}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def curves(axes):
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]


def drawn(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_validation_and_training_beside_it_as_in_the_book():
    figure = compare_runs({"original": [ORIGINAL], "bigger": [BIGGER]}, title="4.4")
    validation, training = drawn(figure)
    assert [axes.get_ylabel() for axes in drawn(figure)] == ["validation loss", "training loss"]
    assert curves(validation) == [([1, 2, 3], [0.4, 0.3, 0.5]), ([1, 2], [0.4, 0.6])]
    assert curves(training)[1] == ([1, 2], [0.4, 0.1])
    assert [line.get_marker() for line in training.get_lines()] == ["X", "o"]
    assert legend(figure) == ["original", "bigger"]
    assert figure.get_suptitle() == "4.4"


def test_seeds_share_a_colour_and_their_mean_is_bold():
    figure = compare_runs({"small": [BIGGER], "three": [ORIGINAL, BIGGER, ORIGINAL]})
    lines = drawn(figure)[0].get_lines()
    assert [to_hex(line.get_color()).upper() for line in lines] == [COLOURS[0], *[COLOURS[1]] * 4]
    thin, bold = lines[1:4], lines[4]
    assert [list(line.get_ydata()) for line in thin] == [
        ORIGINAL["val_loss"],
        BIGGER["val_loss"],
        ORIGINAL["val_loss"],
    ]
    assert all(line.get_linewidth() < bold.get_linewidth() / 2 for line in thin)
    # Over the epochs that all have: with fewer runs the mean would jump.
    assert list(bold.get_ydata()) == pytest.approx([0.4, (0.3 + 0.6 + 0.3) / 3])
    assert legend(figure) == ["small", "three"]


def test_more_metrics_are_more_rows_and_empty_places_stay_empty():
    figure = compare_runs({"a": [ORIGINAL]}, ["val_loss", "lr", "train_loss"])
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in drawn(figure)] == [
        "validation loss",
        "training loss",
        "lr",
        "training loss",
    ]


def test_an_epoch_without_a_number_is_a_gap():
    figure = compare_runs({"a": [{"val_loss": [1.0, math.nan]}, {"val_loss": [3.0, 1.0]}]})
    line = drawn(figure)[0].get_lines()[-1]
    assert [list(line.get_xdata()), list(line.get_ydata())] == [[1], [2.0]]


def test_more_runs_than_colours_differ_in_their_dashes():
    figure = compare_runs({str(number): [BIGGER] for number in range(20)})
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(styles) == 20


def test_a_metric_that_no_run_has():
    with pytest.raises(InputError, match="no run has the metric 'val_acc'; they have"):
        compare_runs({"a": [BIGGER]}, ["val_acc"])


def test_numbers_far_apart_stand_on_a_log_axis():
    runs = [(500, 0.7), (500, 0.8), (8000, 0.9), (1000, 0.85)]
    figure = compare_settings({"val_acc": {"imdb": runs}}, "data.train_size")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "data.train_size"
    assert axes.get_ylabel() == "best validation accuracy"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["500", "1,000", "8,000"]
    means, points = curves(axes)
    assert means == ([500, 1000, 8000], pytest.approx([0.75, 0.85, 0.9]))
    assert sorted(zip(*points, strict=True)) == sorted(runs)


def test_what_was_left_open_stands_at_the_right_end():
    runs = [(None, 0.9), (500, 0.7), (8000, 0.8)]
    figure = compare_settings({"val_acc": {"imdb": runs}}, "data.train_size", "all")
    (axes,) = figure.axes
    x, y = curves(axes)[0]
    assert y == [0.7, 0.8, 0.9]
    assert x[2] > 8000
    assert axes.get_xticklabels()[-1].get_text() == "all"


@pytest.mark.parametrize("values", [(0.0, 0.25, 0.5), (0, 2, 400), (20, 30)])
def test_numbers_near_zero_or_near_each_other_stand_on_a_plain_axis(values):
    figure = compare_settings({"val_loss": {"a": [(v, 1.0) for v in values]}}, "model.dropout")
    assert figure.axes[0].get_xscale() == "linear"


def test_many_numbers_are_not_all_written_below_the_axis():
    runs = [(value / 40, 1.0) for value in range(40)]
    figure = compare_settings({"val_loss": {"a": runs}}, "model.dropout")
    assert len(figure.axes[0].get_xticks()) < 20


def test_names_stand_side_by_side():
    runs = [("[16, 16]", 0.3), ("[4, 4]", 0.4), (None, 0.5)]
    figure = compare_settings(
        {"val_loss": {"a": runs, "b": [("[4, 4]", 0.1)]}, "val_acc": {"b": [("[4, 4]", 0.1)]}},
        "model.hidden",
    )
    first, second = figure.axes
    assert [text.get_text() for text in first.get_xticklabels()] == ["[16, 16]", "[4, 4]", "null"]
    assert curves(first)[2] == ([1.0], [0.1])
    # One label has one colour in every panel.
    assert second.get_lines()[0].get_color() == first.get_lines()[2].get_color() == COLOURS[1]
    assert legend(figure) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("val_loss", "validation loss"),
        ("train_acc", "training accuracy"),
        ("val_data_loss", "validation data loss"),
        ("lr", "lr"),
        ("learning_rate", "learning_rate"),
    ],
)
def test_metrics_in_words(name, words):
    assert metric_words(name) == words
