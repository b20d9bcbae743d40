"""The search as a library: any function of some values, in a folder."""

import json

import optuna
import pytest

from dlp.errors import InputError
from dlp.tune import Search, tune

SPACE = {"x": {"low": 0.0, "high": 4.0}, "layers": [[8], [16, 16], None, "deep"]}


def distance(values, trial, folder):
    """Be best at x = 2, whatever the layers."""
    assert folder.is_dir()
    (folder / "values.json").write_text(json.dumps(values))
    return (values["x"] - 2) ** 2


def test_a_function_is_minimised_and_sees_values_not_words(tmp_path):
    study = tune(distance, SPACE, tmp_path, Search(trials=12))
    assert study.num_finished() == 12
    best = study.best()[0]
    assert best.value == min(trial.value for trial in study.trials())
    assert abs(best.params["x"] - 2) < 1
    seen = [json.loads(path.read_text())["layers"] for path in tmp_path.glob("*/values.json")]
    assert all(layers in ([8], [16, 16], None, "deep") for layers in seen)


def test_it_goes_on_where_it_was_and_draws_what_an_unbroken_one_draws(tmp_path):
    tune(distance, SPACE, tmp_path / "a", Search(trials=2))
    broken = tune(distance, SPACE, tmp_path / "a", Search(trials=5))
    whole = tune(distance, SPACE, tmp_path / "b", Search(trials=5))
    assert [t.params for t in broken.trials()] == [t.params for t in whole.trials()]
    with pytest.raises(InputError, match="a study of another config or space"):
        tune(distance, {"x": {"low": 0.0, "high": 1.0}}, tmp_path / "a")
    with pytest.raises(InputError, match="was begun to minimize"):
        tune(distance, SPACE, tmp_path / "a", direction="maximize")


def test_a_direction_and_a_grid(tmp_path):
    grid = {"x": {"low": 0, "high": 4, "step": 2}}
    study = tune(distance, grid, tmp_path, Search(sampler="grid"), direction="maximize")
    assert sorted(trial.params["x"] for trial in study.trials()) == [0, 2, 4]
    assert study.best()[0].value == 4


def test_trials_that_are_pruned_that_diverge_and_that_fail(tmp_path):
    def objective(values, trial, folder):
        if trial.number == 0:
            raise optuna.TrialPruned
        if trial.number == 1:
            return float("nan")
        if trial.number == 2:
            raise ZeroDivisionError("somewhere")
        return 1.0

    study = tune(objective, SPACE, tmp_path, Search(trials=3))
    states = [trial.state.name for trial in study.trials()]
    assert states == ["PRUNED", "PRUNED", "FAIL", "COMPLETE"]
    assert study.optuna.user_attrs["error of trial 2"] == "ZeroDivisionError('somewhere')"
    assert "in objective" in (tmp_path / "trial_0002/error.txt").read_text()


def test_an_objective_that_always_fails_is_given_up(tmp_path):
    def objective(values, trial, folder):
        raise InputError("there is nothing")

    with pytest.raises(InputError, match="3 trials in a row failed, the last by: there is nothing"):
        tune(objective, SPACE, tmp_path)
