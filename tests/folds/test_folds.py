import json
import math
import statistics
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import ShuffleSplit

from dlp.errors import InputError
from dlp.files import write_json
from dlp.folds.plan import Fold, append_fold, plan_folds, read_folds
from dlp.folds.results import CrossValidation
from helpers.fold_problems import numbers

PATH = Path("folds.jsonl")


def plan(data=None, repeats=1, seed=0, max_epochs=3, num_folds=3, **split):
    data = data or numbers()
    if "splitter" in split:
        num_folds = None
    split = replace(data.split, num_folds=num_folds, **split)
    return plan_folds(data.labelled, split, repeats, seed, max_epochs)


@pytest.fixture
def fold():
    history = {"train_loss": [2.0, 1.0], "val_mae": [float("nan"), 3.0]}
    return plan()[1].finish(history, "serial")


def test_each_repetition_has_each_fold_once_with_seeds_of_32_bits():
    folds = plan(repeats=2)
    places = [(fold.repeat, fold.fold) for fold in folds]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    seeds = {fold.seed for fold in folds}
    assert len(seeds) == 6
    assert 0 <= min(seeds) <= max(seeds) < 2**32
    assert len({fold.rows_fingerprint for fold in folds}) == 6


def test_a_fold_is_a_function_of_seed_repetition_and_number():
    assert plan(repeats=2)[:3] == plan()
    assert plan(seed=1)[0].seed != plan()[0].seed


def test_a_splitter_tells_the_number_of_folds():
    assert len(plan(splitter=ShuffleSplit(5, random_state=0))) == 5


def test_a_finished_fold_survives_its_file(fold):
    append_fold(PATH, fold)
    [(key, result)] = read_folds(PATH, plan()).items()
    assert key == plan()[1]
    assert asdict(result) == asdict(fold)
    assert fold.history["val_mae"] == [None, 3.0]


def test_a_fold_that_was_trained_again_counts_by_its_last_line(fold):
    append_fold(PATH, fold)
    append_fold(PATH, replace(fold, engine="stacked"))
    assert [result.engine for result in read_folds(PATH, []).values()] == ["stacked"]


def test_a_torn_line_is_left_out_and_its_fold_trained_again(fold):
    append_fold(PATH, fold)
    line = PATH.read_bytes()
    torn = [line[:length] for length in range(1, len(line) - 1)]
    PATH.write_bytes(b"\n".join(torn) + b"\0" * 9)
    assert read_folds(PATH, plan()) == {}
    append_fold(PATH, fold)
    assert list(read_folds(PATH, plan())) == [fold]


def test_folds_of_another_version_are_refused(fold):
    PATH.write_text(
        json.dumps({"repeat": 0, "fold": 0, "predictions": {"threshold": 0.5}})
    )
    with pytest.raises(InputError, match=r"folds\.jsonl .* run_dir.* dlp 1\.2"):
        read_folds(PATH, plan())


@pytest.mark.parametrize("changes", [{"seed": 1}, {"max_epochs": 4}, {"num_folds": 4}])
def test_folds_of_another_cross_validation_are_refused(fold, changes):
    append_fold(PATH, fold)
    with pytest.raises(InputError, match="run_dir"):
        read_folds(PATH, plan(**changes))


def test_a_fold_with_infinite_logits_keeps_no_other_predictions(fold):
    outputs = {"logits": np.array([[math.inf]]), "probabilities": np.array([[1.0]])}
    predictions = fold.finish({}, "serial", outputs).predictions
    assert "probabilities" not in predictions
    assert "logits" not in predictions


def test_scores_are_the_last_measured_values_of_a_fold_that_did_not_diverge(fold):
    history = {"train_loss": [3.0, 2.0], "val_mae": [4.0, math.inf]}
    finished = fold.finish(history, "serial")
    assert finished.scores == {"train_loss": 2.0, "val_mae": 4.0}
    history["train_loss"][1] = math.nan
    diverged = fold.finish(history, "serial")
    assert np.isnan(list(diverged.scores.values())).all()


def result(*curves, smoothing=0.0):
    folds = []
    for number, curve in enumerate(curves):
        baseline = {"mean": {"mae": float(number)}}
        fold = Fold(0, number, 0, "", len(curve), baseline=baseline)
        history = {"train_loss": [1.0] * len(curve), "val_loss": curve}
        folds.append(fold.finish(history, "serial"))
    return CrossValidation(folds, "val_loss", "min", smoothing, None, 0)


def test_mean_and_deviation_are_those_of_the_last_values():
    numbers = result([5.0, 1.0], [5.0, 2.0], [5.0, 6.0]).statistics["val_loss"]
    assert numbers["mean"] == statistics.fmean([1, 2, 6])
    assert numbers["std"] == pytest.approx(statistics.stdev([1, 2, 6]))


def test_one_fold_has_no_deviation_and_json_has_null(tmp_path):
    write_json(tmp_path / "crossval.json", result([3.0]).summary())
    content = json.loads((tmp_path / "crossval.json").read_text())
    assert content["std"]["val_loss"] is None
    assert content["mean"]["val_loss"] == 3.0
    metrics = {"train_loss": 1.0, "val_loss": 3.0}
    assert content["folds"] == [{"repeat": 0, "fold": 0, "metrics": metrics}]


def test_a_fold_that_stopped_keeps_its_last_value_in_the_mean_curve():
    assert result([4.0, 2.0, 1.0], [4.0]).mean_curves["val_loss"] == [4.0, 3.0, 2.5]


def test_a_fold_that_diverged_leaves_the_scores_of_the_others():
    validation = result([1.0, math.nan], [1.0, 3.0])
    assert validation.scores["val_loss"].tolist() == [1.0, 3.0]
    assert validation.mean_curves["val_loss"][0] == 1.0
    assert math.isnan(validation.mean_curves["val_loss"][1])


def test_the_best_epoch_is_that_of_the_mean_curve():
    reading = result([3.0, 1.0, 4.0, 5.0], [3.0, 3.0, 2.0, 5.0]).verdict()
    assert reading.best_epoch == 2
    assert reading.best == 2.0


def test_smoothing_leaves_out_the_first_ten_epochs():
    curve = [0.0] * 10 + [5.0, 4.0, 3.0, 4.0, 5.0]
    assert (
        result(curve, smoothing=0.5).verdict().best_epoch == 13
    )  # 5, 4.5, 3.75, 3.875, ...


def test_baselines_are_means_over_folds():
    validation = result([1.0], [1.0])
    assert validation.baseline == {"mean": {"mae": 0.5}}
    assert "baseline mean: mae 0.5" in validation.table()
