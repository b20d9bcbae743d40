import math

import pandas as pd
import pytest

from dlp.visualization.curves import (
    draw_curves,
    draw_folds,
    draw_runs,
    panel_names,
    smooth,
)

NAN = math.nan


def test_the_moving_average_is_that_of_the_book_and_a_gap_stays_one():
    second = 0.9 * 3 + 0.1 * 1
    expected = [3.0, second, NAN, 0.9 * second + 0.1 * 2]
    averages = smooth(pd.Series([3.0, 1.0, NAN, 2.0]), 0.9)
    assert averages.tolist() == pytest.approx(expected, nan_ok=True)


def test_losses_come_first_and_data_losses_have_no_panel():
    names = ["train_loss", "train_data_loss", "val_acc", "val_loss", "epoch"]
    assert panel_names(names) == ["loss", "acc"]


def test_curves_show_both_stages_and_the_best_epoch():
    figure = draw_curves(
        {"train_loss": [2.0, 1.0, 0.5], "val_loss": [2.0, NAN, 3.0]}, 1
    )
    [axes] = figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["training"] == [[1, 2.0], [2, 1.0], [3, 0.5]]
    assert lines["validation"] == [[1, 2.0], [3, 3.0]]
    assert lines["best: epoch 1"][0][0] == 1


@pytest.mark.parametrize(("epochs", "panels"), [(5, 1), (40, 2)])
def test_long_folds_have_a_second_row_without_the_first_epochs(epochs, panels):
    mean = {"val_mae": [1 / (n + 1) for n in range(epochs)]}
    figure = draw_folds(mean, {"val_mae": [0.1] * epochs}, best_epoch=epochs)
    assert len(figure.axes) == panels
    assert figure.axes[-1].get_lines()[0].get_xdata()[0] == (11 if panels == 2 else 1)


def test_runs_of_one_label_have_a_mean_over_their_common_epochs():
    histories = [
        pd.DataFrame({"val_loss": losses}) for losses in ([1.0, 2.0, 9.0], [3.0, 4.0])
    ]
    figure = draw_runs({"a": histories}, ["val_loss"])
    mean = figure.axes[0].get_lines()[-1]
    assert mean.get_label() == "a (2 runs)"
    assert mean.get_ydata().tolist() == [2.0, 3.0]


def test_curves_differ_in_colour_and_line():
    history = pd.DataFrame({"val_loss": [1.0, 2.0]})
    runs = draw_runs({label: [history] for label in "abcd"}, ["val_loss"])
    stages = {"train_loss": [1.0, 2.0], "val_loss": [1.0, 2.0]}
    for figure in (
        runs,
        draw_curves(stages, 1),
        draw_folds(stages, stages, best_epoch=1),
    ):
        lines, _ = figure.axes[0].get_legend_handles_labels()
        styles = {line.get_linestyle() for line in lines}
        assert (
            len(styles) == len({line.get_color() for line in lines}) == len(lines) > 2
        )
