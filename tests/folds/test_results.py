import json
import math
import statistics

import pytest

from dlp.files import write_json
from dlp.folds.plan import Fold
from dlp.folds.results import CrossValidation


def result(*curves, **options):
    folds = []
    for number, curve in enumerate(curves):
        baseline = {"mean": {"mae": float(number)}}
        fold = Fold(0, number, 0, "", len(curve), baseline=baseline)
        history = {"train_loss": [1.0] * len(curve), "val_loss": curve}
        folds.append(fold.finish(history, "serial", {}))
    return CrossValidation(folds, **options)


def test_mean_and_deviation_are_those_of_the_last_values():
    numbers = result([5.0, 1.0], [5.0, 2.0], [5.0, 6.0]).statistics["val_loss"]
    assert numbers["mean"] == statistics.fmean([1, 2, 6])
    assert numbers["std"] == pytest.approx(statistics.stdev([1, 2, 6]))


def test_one_fold_has_no_deviation_and_json_has_null(tmp_path):
    write_json(tmp_path / "crossval.json", result([3.0]).summary())
    content = json.loads((tmp_path / "crossval.json").read_text())
    assert content["std"]["val_loss"] is None
    assert content["mean"]["val_loss"] == 3.0
    assert content["folds"] == [
        {"repeat": 0, "fold": 0, "metrics": {"train_loss": 1.0, "val_loss": 3.0}}
    ]


def test_a_fold_that_stopped_keeps_its_last_value_in_the_mean_curve():
    assert result([4.0, 2.0, 1.0], [4.0]).mean_curves["val_loss"] == [4.0, 3.0, 2.5]


def test_a_fold_that_diverged_leaves_the_scores_of_the_others():
    validation = result([1.0, math.nan], [1.0, 3.0])
    assert validation.scores["val_loss"].tolist() == [1.0, 3.0]
    assert validation.mean_curves["val_loss"][0] == 1.0
    assert math.isnan(validation.mean_curves["val_loss"][1])


def test_the_best_epoch_is_that_of_the_mean_curve():
    reading = result([3.0, 1.0, 4.0, 5.0], [3.0, 3.0, 2.0, 5.0]).verdict()
    assert (reading.best_epoch, reading.best) == (2, 2.0)


def test_smoothing_leaves_out_the_first_ten_epochs():
    curve = [0.0] * 10 + [5.0, 4.0, 3.0, 4.0, 5.0]
    assert result(curve, smoothing=0.5).verdict().best_epoch == 13  # 5, 4.5, 3.75, 3.875, ...


def test_baselines_are_means_over_folds():
    validation = result([1.0], [1.0])
    assert validation.baseline == {"mean": {"mae": 0.5}}
    assert "baseline mean: mae 0.5" in validation.table()
