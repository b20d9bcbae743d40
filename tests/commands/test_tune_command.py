"""``dlp tune``, in process, on a small table of one's own."""

import csv
import json
import re
import shutil
import warnings
from contextlib import redirect_stdout
from io import StringIO
from types import SimpleNamespace

import matplotlib
import numpy as np
import optuna
import pandas as pd
import pytest
import torch
import yaml
from optuna.pruners import BasePruner

from dlp.callbacks import History
from dlp.cli import main
from dlp.commands import tune as command
from dlp.commands.trials import Watch
from dlp.search import method, summary
from dlp.search.method import Search
from dlp.search.space import Space
from dlp.search.studies import Definition, Study

pytestmark = pytest.mark.usefixtures("undrawn_figures")

RECIPE = """
# Two classes of points in the plane
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: side, test_size: 0.2, batch_size: 16}
model:
  class_path: DenseModule
  init_args: {head: sigmoid, hidden: [8], optimizer: {init_args: {lr: 0.02}}}
trainer: {max_epochs: 3, accelerator: cpu}
test_after_fit: best
"""
SPACE = """
model:
  dropout: {low: 0.0, high: 0.5}
  optimizer.lr: {low: 1e-4, high: 0.1, log: true}
  hidden: [[8], [4, 4]]
"""
SMALL = "model.hidden: [[2], [4]]\nmodel.dropout: [0.0, 0.5]"


def write_points(folder):
    """Write a table, a recipe for it and a space."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(80, 2)), columns=["east", "north"])
    table["side"] = np.where(table.east + table.north > 0, "right", "left")
    table.to_csv(folder / "points.csv", index=False)
    (folder / "points.yaml").write_text(RECIPE)
    (folder / "space.yaml").write_text(SPACE)


@pytest.fixture
def points(tmp_path, monkeypatch):
    """Work in a folder with a table, a recipe for it and a space."""
    write_points(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tune(*options, space="space.yaml", trials=3):
    main(["tune", "--config", "points.yaml", "--space", space, "--trials", str(trials), *options])


def trials_of(folder):
    return list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))


def parameters(row):
    return {name: value for name, value in row.items() if name.startswith("model.")}


def fails(capsys, *options, **others):
    """Run a search that must fail, and return its message."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        tune(*options, **others)
    assert exit_.value.code == 2
    return re.split("[\r\n]+", capsys.readouterr().err.strip())[-1]


def judged(values, trial, folder):
    """Judge a trial by a formula: 9 epochs, the better the nearer lr is 0.01."""
    level = abs(np.log10(trial.params.get("model.optimizer.lr", 0.01)) + 2)
    level += float(trial.params.get("model.dropout", 0.0))
    for epoch in range(1, 10):
        trial.report(level + 1 / epoch, epoch)
        if epoch < 9 and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("best_epoch", 9)
    return level


@pytest.fixture
def quick(monkeypatch):
    """Judge trials by a formula instead of training."""
    monkeypatch.setattr(command, "trial_objective", lambda *given: judged)
    return judged


def searched_in(folder, **settings):
    """Write the points into a folder, search there and return what was said."""
    write_points(folder)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as said:
        patch.chdir(folder)
        patch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
        for name, value in settings.pop("patches", {}).items():
            patch.setattr(command, name, value)
        tune(**settings)
    return said.getvalue()


@pytest.fixture(scope="module")
def trained_search(tmp_path_factory):
    """Search by four trained trials, once; return the folder and what was said."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, searched_in(folder, trials=4)


@pytest.fixture(scope="module")
def quick_search(tmp_path_factory):
    """Search by two quick trials, once; return the folder."""
    folder = tmp_path_factory.mktemp("quick")
    searched_in(folder, trials=2, patches={"trial_objective": lambda *given: judged})
    return folder


@pytest.fixture
def trained(trained_search, points):
    """Work where four trials have been trained; return what was said."""
    folder, said = trained_search
    shutil.copytree(folder / "runs", "runs")
    return said


@pytest.fixture
def two_trials(quick_search, points, quick):
    """Work where two trials have been judged by the formula, as the next ones will be."""
    shutil.copytree(quick_search / "runs", "runs")


def test_a_search_and_what_it_leaves(points, trained):
    study = points / "runs/points/study_0"
    rows = trials_of(study)
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]
    assert list(rows[0]) == [
        *("number", "state", "value", "best_epoch"),
        *("model.dropout", "model.optimizer.lr", "model.hidden", "seconds"),
    ]
    best = min(rows, key=lambda row: float(row["value"]))
    for row in rows:
        assert row["state"] == "complete"
        assert 1e-4 <= float(row["model.optimizer.lr"]) <= 0.1
        trial = study / f"trial_{int(row['number']):04}"
        history = json.loads((trial / "history.json").read_text())["val_loss"]
        assert float(row["value"]) == min(history)
        assert int(row["best_epoch"]) == 1 + int(np.argmin(history))
        assert "test" not in json.loads((trial / "results.json").read_text())
        config = yaml.safe_load((trial / "config.yaml").read_text())
        assert config["model"]["init_args"]["dropout"] == float(row["model.dropout"])
        assert config["model"]["init_args"]["hidden"] == json.loads(row["model.hidden"])
        kept = [path.name for path in trial.glob("checkpoints/*")]
        assert kept == (["best.ckpt"] if row is best else [])
    assert (study / "history.png").read_bytes().startswith(b"\x89PNG")
    assert not (study / "importances.png").exists()
    out = trained
    assert "importances.png needs 10 complete trials" in out
    assert f"dlp fit --config {study.relative_to(points)}/points_best.yaml" in out
    table = out.partition("the best of 4 complete:\n")[2].splitlines()
    assert table[0].split() == ["trial", "val_loss", "epoch", *parameters(best), "seconds"]
    assert table[1].split()[:2] == [best["number"], f"{float(best['value']):.4f}"]
    assert "Epoch" not in out
    assert "test_acc" not in out


def test_the_best_config_reproduces_the_best_trial(points, trained):
    study = points / "runs/points/study_0"
    best = min(trials_of(study), key=lambda row: float(row["value"]))
    first = (study / "points_best.yaml").read_text().partition("\n")[0]
    assert first.startswith(
        f"# Trial {best['number']} of runs/points/study_0, the best so far: val_loss"
    )
    main(["fit", "--config", "runs/points/study_0/points_best.yaml"])
    (run,) = (points / "runs/points_best").iterdir()
    history = json.loads((run / "history.json").read_text())["val_loss"]
    trial = study / f"trial_{int(best['number']):04}"
    assert history == json.loads((trial / "history.json").read_text())["val_loss"]
    assert min(history) == float(best["value"])
    assert "test" in json.loads((run / "results.json").read_text())  # as the recipe has it
    weights = [
        torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
        for folder in (run, trial)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_study_goes_on_until_it_has_enough(points, quick, capsys):
    level = optuna.logging.get_verbosity()
    tune(trials=2)
    assert optuna.logging.get_verbosity() == level
    assert "study_0 begins: 0 of 2" in capsys.readouterr().out
    tune(trials=3)
    assert "study_0 goes on: 2 of 3" in capsys.readouterr().out
    assert len(trials_of(points / "runs/points/study_0")) == 3
    tune(trials=1, space="space.yaml")
    assert "study_1 begins" in capsys.readouterr().out
    tune("--model.activation", "tanh", trials=1)
    assert "study_2 begins" in capsys.readouterr().out
    tune("--model.activation", "tanh", "--new", trials=2)
    assert "study_3 begins" in capsys.readouterr().out


def test_a_study_goes_on_whose_config_has_its_keys_in_another_order(points, two_trials, capsys):
    config = points / "runs/points/study_0/config.yaml"
    before = yaml.safe_load(config.read_text())
    study = Study(config.parent, definition_of(points, "space.yaml"), Search())
    text = yaml.safe_dump(dict(reversed(before.items())), sort_keys=False)
    assert text != config.read_text()
    config.write_text(text)
    study.optuna.set_user_attr("definition", definition_of(points, "space.yaml").hash)
    tune(trials=3)
    assert "study_0 goes on: 2 of 3" in capsys.readouterr().out
    assert config.read_text() == text


def test_a_study_that_went_on_is_as_one_that_never_stopped(points, two_trials):
    tune(trials=4)
    tune("--run_dir", "whole", trials=4)
    rows = [trials_of(points / place) for place in ("runs/points/study_0", "whole")]
    assert [parameters(row) for row in rows[0]] == [parameters(row) for row in rows[1]]
    assert [row["value"] for row in rows[0]] == [row["value"] for row in rows[1]]
    assert len({row["model.dropout"] for row in rows[0]}) == 4


def test_a_metric_that_rises(points):
    tune("--monitor", "val_acc", trials=2)
    study = points / "runs/points/study_0"
    values = []
    for row in trials_of(study):
        trial = study / f"trial_{int(row['number']):04}"
        history = json.loads((trial / "history.json").read_text())["val_acc"]
        assert float(row["value"]) == max(history)
        values.append(float(row["value"]))
    best = (study / "points_best.yaml").read_text().partition("\n")[0]
    assert f"val_acc {max(values):.6g} at epoch" in best


def test_a_grid_takes_each_combination_once(points, quick, capsys):
    (points / "grid.yaml").write_text(SMALL)
    tune("--sampler", "grid", space="grid.yaml", trials=3)
    tune("--sampler", "grid", space="grid.yaml", trials=50)
    assert "goes on: 3 of 4" in capsys.readouterr().out
    rows = trials_of(points / "runs/points/study_0")
    found = [(row["model.hidden"], row["model.dropout"]) for row in rows]
    assert sorted(found) == [(h, d) for h in ("[2]", "[4]") for d in ("0.0", "0.5")]


def test_a_trial_that_cannot_be_done_fails_and_the_others_go_on(points, capsys):
    (points / "some.yaml").write_text("model.dropout: [0.1, 1.5, 0.2]")
    tune("--sampler", "grid", space="some.yaml", trials=3)
    rows = trials_of(points / "runs/points/study_0")
    assert {row["model.dropout"]: row["state"] for row in rows} == {
        **{"0.1": "complete", "1.5": "fail", "0.2": "complete"},
    }
    shown = "".join(capsys.readouterr())
    assert re.search(r"trial \d failed: .*1\.5", shown)
    assert "2 complete, 1 fail" in shown


def test_a_study_stops_where_its_first_trials_fail(points, capsys):
    (points / "bad.yaml").write_text("model.dropout: {low: 1.0, high: 2.0}")
    message = fails(capsys, space="bad.yaml", trials=20)
    assert "3 trials in a row failed, the last by: " in message
    assert "dropout" in message
    study = Study(points / "runs/points/study_0", definition_of(points, "bad.yaml"), Search())
    assert [trial.state.name for trial in study.trials()] == ["FAIL"] * 3


def definition_of(points, space):
    """Return the definition of study_0, from its files."""
    folder = points / "runs/points/study_0"
    recipe, text = ((folder / name).read_text() for name in ("config.yaml", "space.yaml"))
    return Definition("points", recipe, text, "minimize")


def test_a_bug_in_a_trial_is_kept_with_its_traceback(points, quick, monkeypatch, capsys):
    def broken(values, trial, folder):
        if trial.number == 1:
            raise ZeroDivisionError("somewhere")
        return quick(values, trial, folder)

    monkeypatch.setattr(command, "trial_objective", lambda *given: broken)
    tune(trials=2)
    study = points / "runs/points/study_0"
    assert [row["state"] for row in trials_of(study)] == ["complete", "fail", "complete"]
    assert "in broken" in (study / "trial_0001/error.txt").read_text()
    assert "trial 1 failed: ZeroDivisionError('somewhere')" in "".join(capsys.readouterr())


def test_a_trial_that_diverges_is_stopped_and_counted(points, capsys):
    (points / "steps.yaml").write_text("model.optimizer.lr: [1e30, 0.01]")
    tune("--sampler", "grid", "--model.optimizer", "SGD", space="steps.yaml", trials=2)
    rows = {row["model.optimizer.lr"]: row for row in trials_of(points / "runs/points/study_0")}
    assert rows["0.01"]["state"] == "complete"
    assert rows["1e30"]["state"] == "pruned"
    assert not rows["1e30"]["value"]
    assert "diverged: its loss is no number any more" in "".join(capsys.readouterr())


class AllButTheFirst(BasePruner):
    """Finds each trial but the first hopeless after its second step."""

    def prune(self, study, trial):
        return trial.number > 0 and trial.last_step == 2


def test_a_hopeless_trial_is_stopped(points, monkeypatch):
    monkeypatch.setattr(method, "MedianPruner", lambda **others: AllButTheFirst())
    tune(trials=3)
    study = points / "runs/points/study_0"
    rows = trials_of(study)
    assert [row["state"] for row in rows] == ["complete", "pruned", "pruned"]
    for row, epochs in zip(rows, (3, 2, 2), strict=True):
        trial = study / f"trial_{int(row['number']):04}"
        history = json.loads((trial / "history.json").read_text())["val_loss"]
        assert len(history) == epochs
        assert float(row["value"]) == min(history)
        assert json.loads((trial / "results.json").read_text())["last"]["val_loss"] == history[-1]


def test_folds_that_are_trained_together_are_not_thrown_away(points, monkeypatch):
    monkeypatch.setattr(method, "MedianPruner", lambda **others: AllButTheFirst())
    tune("--num_folds", "3", trials=2)
    rows = trials_of(points / "runs/points/study_0")
    assert [row["state"] for row in rows] == ["complete", "complete"]


def test_trials_judged_by_folds(points, monkeypatch):
    monkeypatch.setattr(method, "MedianPruner", lambda **others: AllButTheFirst())
    monkeypatch.setattr("dlp.folds.training.reason_against", lambda *given: "of this test")
    tune("--num_folds", "3", trials=2)
    study = points / "runs/points/study_0"
    first, second = trials_of(study)
    done = json.loads((study / "trial_0000/crossval.json").read_text())
    assert len(done["folds"]) == 3
    assert float(first["value"]) == pytest.approx(done["best_value"], rel=1e-12)
    assert int(first["best_epoch"]) == done["best_epoch"]
    assert second["state"] == "pruned"
    curves = [
        json.loads((study / f"trial_0001/repeat_0/fold_{fold}/history.json").read_text())[
            "val_loss"
        ]
        for fold in range(2)
    ]
    assert float(second["value"]) == pytest.approx(np.mean(curves, axis=0).min(), rel=1e-12)
    assert not (study / "trial_0001/crossval.json").exists()
    assert "3 folds" in (study / "space.yaml").read_text()
    main(["fit", "--config", "runs/points/study_0/points_best.yaml"])


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_pruners_of_optuna(points, quick, pruner):
    tune("--pruner", pruner, "--trainer.max_epochs", "9", trials=12)
    states = [row["state"] for row in trials_of(points / "runs/points/study_0")]
    assert len(states) == 12
    assert ("pruned" in states) == (pruner != "none")
    assert "complete" in states


def test_what_is_reported_is_the_best_so_far():
    reports = []

    class Trial:
        def report(self, value, step):
            reports.append((step, value))

        def should_prune(self):
            return len(reports) == 3

    history = History()
    trainer = SimpleNamespace(max_epochs=9, check_val_every_n_epoch=1, should_stop=False)
    trainer.callbacks = [history]
    watch = Watch(Trial(), "val_loss")
    for epoch, loss in enumerate([0.5, 0.4, 0.6]):
        trainer.current_epoch, trainer.callback_metrics = epoch, {"val_loss": torch.tensor(loss)}
        history.metrics.setdefault("val_loss", []).append(loss)
        assert not trainer.should_stop
        watch.on_train_epoch_end(trainer, None)
    assert reports == [(1, 0.5), (2, 0.4), (3, 0.4)]
    assert trainer.should_stop
    assert watch.pruned


def test_the_trial_of_a_dead_process_is_done_again(points, two_trials):
    study = Study(points / "runs/points/study_0", definition_of(points, "space.yaml"), Search())
    done = study.trials()[0]
    with study.begin(Space(done.distributions), Search(9, sampler="random")) as trial:
        tune(trials=4)  # its lock is held: it lives
        assert [row["state"] for row in trials_of(study.folder)] == [
            *("complete", "complete", "running", "complete"),
        ]
    tune(trials=4)
    rows = trials_of(study.folder)
    assert [row["state"] for row in rows] == [
        *("complete", "complete", "fail", "complete", "complete"),
    ]
    assert parameters(rows[4]) == parameters(rows[2])
    assert rows[2]["model.dropout"] == str(trial.params["model.dropout"])


def test_what_kills_each_process_is_not_tried_for_ever(points, two_trials):
    study = Study(points / "runs/points/study_0", definition_of(points, "space.yaml"), Search())
    space = Space(study.trials()[0].distributions)
    tried = []
    for _ in range(4):
        with study.begin(space, Search(9, sampler="random")) as one:
            tried.append(one.params)
    assert tried[0] == tried[1] == tried[2] != tried[3]


def test_ctrl_c_keeps_everything(points, quick, monkeypatch, capsys):
    def interrupted(values, trial, folder):
        if trial.number == 1:
            raise KeyboardInterrupt
        return quick(values, trial, folder)

    monkeypatch.setattr(command, "trial_objective", lambda *given: interrupted)
    with pytest.raises(SystemExit) as exit_:
        tune(trials=3)
    assert exit_.value.code == 130
    assert "study_0 is kept: the same command goes on with it." in capsys.readouterr().err
    monkeypatch.setattr(command, "trial_objective", lambda *given: quick)
    tune(trials=3)
    rows = trials_of(points / "runs/points/study_0")
    assert [row["state"] for row in rows] == ["complete", "fail", "complete", "complete"]
    assert parameters(rows[1]) == parameters(rows[2])


def test_ctrl_c_inside_the_training(points, monkeypatch):
    def press(self, trainer, module):
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "on_train_epoch_end", press)
    with pytest.raises(SystemExit) as exit_:
        tune(trials=3)
    assert exit_.value.code == 130
    study = Study(points / "runs/points/study_0", definition_of(points, "space.yaml"), Search())
    assert [trial.state.name for trial in study.trials()] == ["FAIL", "WAITING"]


def test_no_trial_begins_after_the_timeout(points):
    tune("--timeout", "0", trials=3)
    study = Study(points / "runs/points/study_0", definition_of(points, "space.yaml"), Search())
    assert study.trials() == []


def test_several_processes_share_a_study(points, loaded_jobs):
    tune("--jobs", "2", trials=4)
    study = points / "runs/points/study_0"
    rows = trials_of(study)
    assert [row["state"] for row in rows] == ["complete"] * 4
    assert len({row["model.dropout"] for row in rows}) == 4
    assert len(list(study.rglob("best.ckpt"))) == 1
    assert not list(study.glob("job_*"))


def test_a_database_as_storage(points, quick, capsys):
    tune("--storage", "sqlite:///search.db", trials=1)
    tune("--storage", "sqlite:///search.db", trials=2)
    assert "goes on: 1 of 2" in capsys.readouterr().out
    assert not (points / "runs/points/study_0/study.log").exists()
    assert len(trials_of(points / "runs/points/study_0")) == 2
    tune(trials=1)  # in its own file: another study
    assert "study_1 begins" in capsys.readouterr().out
    message = fails(capsys, "--storage", "oracool://x:secret@host/y", trials=1)
    assert "cannot use the storage host/y" in message


def test_a_folder_of_ones_own(points, quick, capsys):
    tune("--run_dir", "mine", trials=1)
    tune("--run_dir", "mine", trials=2)
    assert len(trials_of(points / "mine")) == 2
    message = fails(capsys, "--run_dir", "mine", "--model.activation", "tanh")
    assert "mine holds something else, or a study of another config or space already" in message
    message = fails(capsys, "--run_dir", "mine", "--new")
    assert "mine holds a study already" in message


def test_importances_where_there_is_enough(points, quick, monkeypatch):
    style = dict(matplotlib.rcParams)
    monkeypatch.setattr(summary, "ENOUGH", 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tune(trials=4)
    assert dict(matplotlib.rcParams) == style  # Optuna has one of its own
    image = points / "runs/points/study_0/importances.png"
    assert image.read_bytes().startswith(b"\x89PNG")


def test_a_trial_run_writes_nothing(points):
    before = sorted(points.rglob("*"))
    tune("--trainer.fast_dev_run", "true")
    assert sorted(points.rglob("*")) == before


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        ("model.dropuot: [0.1]", [], "Did you mean --model.dropout?"),
        ("model.optimizer.lrr: [0.1]", [], "Did you mean --model.optimizer.lr?"),
        ("trainer.max_epoch: [1]", [], "Did you mean --trainer.max_epochs?"),
        ("model.hidden: [[8], deep]", [], "space: "),
        ("model.class_path: [DenseModel]", [], "Did you mean 'DenseModule'?"),
        ("model.dropout: {low: 1, high: 0}", [], "low of model.dropout must be below high"),
        (SPACE, ["--model.dropout", "0.1"], "model.dropout is in the space and on the command"),
        (SPACE, ["--model.init_args.hidden=[2]"], "model.hidden is in the space and on the"),
        (SPACE, ["--sampler", "grid"], "give model.dropout a step or choices"),
        (SPACE, ["--sampler", "tpee"], "Did you mean 'tpe'?"),
        (SPACE, ["--trails", "3"], "unknown option --trails. Did you mean --trials?"),
        (SPACE, ["--jobs", "0"], "jobs must be 1 or more, got 0"),
        (SPACE, ["--num_folds", "1"], "num_folds must be 2 or more, got 1"),
        (SPACE, ["--repeats", "2"], "give --num_folds too"),
        (SPACE, ["--ckpt_path", "last"], "--ckpt_path does not go with it"),
        (SPACE, ["--trainer.devices", "2"], "trains each trial on one device"),
        (SPACE, ["--data.val_size", "null"], "set data.val_size, or give --num_folds K"),
        (SPACE, ["--data.path", "paints.csv"], "paints.csv"),
    ],
)
def test_mistakes_are_said_before_any_trial(points, space, options, message, capsys):
    (points / "space.yaml").write_text(space)
    assert message in fails(capsys, *options)
    assert not (points / "runs").exists()


def test_a_metric_that_is_not_logged(points, capsys):
    message = fails(capsys, "--monitor", "val_f1")
    assert "val_f1 was not logged; --monitor takes one of " in message


def test_a_space_is_needed(points, capsys):
    with pytest.raises(SystemExit):
        main(["tune", "--config", "points.yaml"])
    assert "tune needs --space FILE" in capsys.readouterr().err


def test_help(points, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["tune", "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "usage: dlp tune" in out
    assert all(f"--{name}" in out for name in ("space", "trials", "pruner", "num_folds", "jobs"))


def test_one_bad_trial_does_not_flatten_the_figure():
    assert summary.limits([0.5, 0.4, 0.3, 900.0, 0.35], falling=True)[1] < 2
    assert summary.limits([0.5, 0.4, 0.3, 0.6, 0.35], falling=True) is None
    assert summary.limits([0.9, 0.8, -50.0, 0.85], falling=False)[0] > -1


def test_a_study_does_not_go_on_with_other_data(points, two_trials, capsys):
    frame = pd.read_csv("points.csv")
    frame.loc[:9, "side"] = "left"
    frame.to_csv("points.csv", index=False)
    assert "the data have changed since the study points/study_0" in fails(capsys, trials=3)
    tune("--new", trials=1)
    assert "study_1 begins" in capsys.readouterr().out


# Trials that can be compared ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "key"),
    [
        ("data.split_seed: {low: 0, high: 9}", "data.split_seed"),
        ("data: {val_size: [0.1, 0.3]}", "data.val_size"),
        ("data.init_args.test_size: [0.1, 0.3]", "data.test_size"),
        ("data.stratify: [true, false]", "data.stratify"),
        ("data.drop_duplicates: [true, false]", "data.drop_duplicates"),
        ("trainer.limit_val_batches: [2, 0.5]", "trainer.limit_val_batches"),
    ],
)
def test_trials_that_would_be_judged_on_different_rows_are_refused(points, capsys, space, key):
    (points / "rows.yaml").write_text(space)
    for monitor in ("val_loss", "val_acc"):
        message = fails(capsys, "--monitor", monitor, space="rows.yaml")
        assert f"space: {key} changes the rows that trials are judged on" in message
    assert not (points / "runs").exists()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("model.loss: [bce, mse]", "model.loss changes what val_loss measures"),
        ("model.head: [sigmoid, softmax]", "model.head changes what val_loss measures"),
        ("model.l2: {low: 1e-5, high: 0.1}", "val_loss holds the penalty of model.l2"),
    ],
)
def test_trials_in_different_units_are_refused(points, quick, capsys, space, message):
    (points / "unit.yaml").write_text(space)
    said = fails(capsys, space="unit.yaml")
    assert message in said
    assert "val_acc" in said
    tune("--monitor", "val_acc", space="unit.yaml", trials=2)  # which depends on none of them
    assert len(trials_of(points / "runs/points/study_0")) == 2


def test_a_penalty_is_searched_by_the_loss_without_it(points):
    (points / "unit.yaml").write_text("model.l2: {low: 1e-5, high: 0.1, log: true}")
    tune("--monitor", "val_data_loss", space="unit.yaml", trials=2)
    rows = trials_of(points / "runs/points/study_0")
    history = json.loads((points / "runs/points/study_0/trial_0000/history.json").read_text())
    assert float(rows[0]["value"]) == min(history["val_data_loss"]) < min(history["val_loss"])


def test_scaled_targets_are_compared_in_their_own_unit(points, quick, capsys):
    table = pd.read_csv("points.csv")
    table["side"] = 1000 * table.east
    table.to_csv("points.csv", index=False)
    (points / "unit.yaml").write_text("data.target_scaling: [none, standard]")
    given = "--model.head", "regression"
    message = fails(capsys, *given, space="unit.yaml")
    assert "data.target_scaling changes what val_loss measures" in message
    assert "(val_mae)" in message
    tune(*given, "--monitor", "val_mae", space="unit.yaml", trials=2)
    assert len(trials_of(points / "runs/points/study_0")) == 2


def test_a_metric_that_trials_would_define_in_their_own_way(points, quick, capsys):
    (points / "unit.yaml").write_text("model.metrics: [[acc], [acc, f1]]")
    assert "model.metrics may change" in fails(capsys, "--monitor", "val_acc", space="unit.yaml")
    tune(space="unit.yaml", trials=1)


# A journal that lost its end ---------------------------------------------------------------------


def damaged(journal, how):
    """Damage the end of a journal, in a way that a full disk or a lost power supply has."""
    found = journal.read_bytes()
    last = found.rindex(b"\n", 0, -1) + 1
    return {
        "no newline": found[:-1],
        "half of the last line": found[: (last + len(found)) // 2],
        "zeros": found[: last + 9] + bytes(len(found) - last - 9),
        "a line was added to half of one": found[: last + 9] + found[last:] + found[last:],
        "all of the last trial": found[: found.rindex(b'{"op_code":4')],
        "half of the first line": found[:20],
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        *("no newline", "half of the last line", "zeros", "a line was added to half of one"),
        *("all of the last trial", "half of the first line"),
    ],
)
def test_a_search_goes_on_after_its_journal_lost_its_end(points, two_trials, how, capsys):
    study = points / "runs/points/study_0"
    for number in range(2):
        (study / f"trial_{number:04}/history.json").touch()  # what a fit leaves
    whole, left = trials_of(study), damaged(study / "study.log", how)
    (study / "study.log").write_bytes(left)
    capsys.readouterr()
    tune(trials=3)
    said = "is damaged from line" in capsys.readouterr().out
    assert said == (how != "all of the last trial")
    rows = trials_of(study)
    assert sum(row["state"] == "complete" for row in rows) == 3
    kept = 0 if how == "half of the first line" else 1
    assert rows[:kept] == whole[:kept]
    assert not (study / f"trial_{len(rows) - 1:04}/history.json").exists()
    if said:
        cut = (study / "study.log.damaged").read_bytes()
        assert left.endswith(cut)
        assert (study / "study.log").read_bytes().startswith(left.removesuffix(cut))
