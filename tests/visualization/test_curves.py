import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.visualization import learning_curves, smooth

HISTORY = {
    "train_loss": [3.0, 2.0, 1.0],
    "train_data_loss": [2.0, 1.0, 0.5],
    "val_loss": [3.0, 2.5, 2.7],
    "train_acc": [0.1, 0.5, 0.9],
    "val_acc": [0.2, 0.4, 0.3],
}


def test_one_panel_for_the_loss_and_each_metric():
    figure = learning_curves(HISTORY, best_epoch=2, title="a run")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "acc"]
    training, validation, best = figure.axes[0].get_lines()
    assert list(training.get_xdata()) == [1, 2, 3]
    assert list(training.get_ydata()) == HISTORY["train_loss"]
    assert list(validation.get_ydata()) == HISTORY["val_loss"]
    assert list(best.get_xdata()) == [2, 2]


def test_without_validation_and_with_smoothing():
    figure = learning_curves({"train_loss": [1.0, 0.0, 1.0]}, smoothing=0.5)
    raw, smoothed = figure.axes[0].get_lines()
    assert list(raw.get_ydata()) == [1.0, 0.0, 1.0]
    assert list(smoothed.get_ydata()) == [1.0, 0.5, 0.75]


def test_smooth_is_the_books_average():
    assert smooth([10.0, 0.0], 0.9) == pytest.approx([10.0, 9.0])
    assert smooth([], 0.9) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 0.99))
def test_smoothing_stays_within_the_values(values, factor):
    smoothed = smooth(values, factor)
    assert len(smoothed) == len(values)
    assert smoothed[0] == pytest.approx((1 - factor) * values[0] + factor * values[0])
    assert all(min(values) - 1e-6 <= value <= max(values) + 1e-6 for value in smoothed)


def test_curves_go_through_the_points_that_were_measured():
    nan = float("nan")
    history = {"train_loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [nan, 3.0, nan, 2.0]}
    assert smooth(history["val_loss"], 0.5)[1::2] == [3.0, 2.5]
    for smoothing in (0.0, 0.5):
        lines = learning_curves(history, smoothing=smoothing).axes[0].lines
        assert list(lines[-1].get_xdata()) == [2, 4]
        assert list(lines[-1].get_ydata()) == [3.0, 2.5 if smoothing else 2.0]
