import sys
from functools import partial
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml

from dlp.cli import main
from dlp.commands.tune import open_storage, read_space, suggest
from dlp.errors import InputError
from dlp.speed.forks import run_at_once
from helpers.sets import write_points

STUDY = Path("runs/points/study_0")
ARGS = (
    "tune",
    "--config",
    "points.yaml",
    "--trainer.accelerator",
    "cpu",
    "--space",
    "space.yaml",
)
DRY = ("--trainer.fast_dev_run", "true")
SPACE = """
model:
  dropout: {low: 0.0, high: 0.5, step: 0.1}
  optimizer.lr: {low: 1e-4, high: 0.1, log: true}
  hidden: [[8], [4, 4]]
"""


@pytest.fixture
def space(points):
    """Work in a folder with a recipe and a space."""
    Path("space.yaml").write_text(SPACE)


def search():
    write_points(Path.cwd())
    Path("space.yaml").write_text(SPACE)
    main([*ARGS, "--trials", "2"])


def trials(study=STUDY):
    return pd.read_csv(study / "trials.csv")


@pytest.mark.slow
def test_a_study_and_what_it_leaves(copied):
    copied(search)
    table = trials()
    assert table["number"].tolist() == [0, 1]
    assert set(table["state"]) == {"COMPLETE"}
    assert table["model.optimizer.lr"].between(1e-4, 0.1).all()
    assert table["model.dropout"].isin([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]).all()
    assert not list(Path("runs/points").glob("study_1"))
    assert not list(STUDY.rglob("*.ckpt"))


def test_the_best_config_is_laid_over_the_recipe_and_reproduces_the_best_trial(copied):
    copied(search)
    best = trials().sort_values("value").iloc[0]
    content = yaml.safe_load((STUDY / "best.yaml").read_text("utf-8"))
    assert isinstance(content["model.hidden"], list)
    main(["fit", "--config", "points.yaml", "--config", str(STUDY / "best.yaml")])
    history = pd.read_csv("runs/points+best/version_0/metrics.csv")["val_loss"]
    assert history.min() == pytest.approx(best["value"], rel=1e-12)
    assert history.idxmin() + 1 == best["best_epoch"]


@pytest.mark.slow
def test_a_study_that_went_on_in_a_journal_file_is_as_one_that_never_stopped(
    copied, capsys
):
    copied(search)
    for count in ("1", "2"):
        main([*ARGS, "--trials", count, "--storage", "study.log", "--run_dir", "parts"])
    assert "continuing parts" in capsys.readouterr().out
    columns = ["value", "model.dropout", "model.optimizer.lr", "model.hidden"]
    pd.testing.assert_frame_equal(trials(Path("parts"))[columns], trials()[columns])
    assert Path("study.log").exists()
    assert not Path("parts/study.db").exists()


def test_files_that_a_kill_left_out_are_written_by_the_same_command(copied):
    copied(search)
    before = (STUDY / "best.yaml").read_text()
    (STUDY / "best.yaml").unlink()
    (STUDY / "trials.csv").unlink()
    main([*ARGS, "--trials", "2"])
    assert (STUDY / "best.yaml").read_text() == before
    assert len(trials()) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux")
def test_two_processes_at_once_share_a_study(space):
    run_at_once([partial(main, [*ARGS, "--trials", "2"])] * 2)
    table = trials()
    assert table["number"].tolist() == list(range(len(table)))
    assert set(table["state"]) == {"COMPLETE"}
    assert len(table) in (2, 3)
    assert table["model.optimizer.lr"].nunique() == len(table)
    assert not list(Path("runs/points").glob("study_1"))


@pytest.mark.slow
def test_a_trial_that_diverges_is_pruned(space):
    Path("space.yaml").write_text("model.optimizer.lr: [1e30]")
    study = main([*ARGS, *DRY, "--model.optimizer", "SGD", "--model.head", "softmax"])
    assert [trial.state.name for trial in study.trials] == ["PRUNED"]
    assert not Path("runs").exists()  # of a trial run


@pytest.mark.slow
def test_a_hopeless_trial_is_stopped_before_its_last_epoch(space, monkeypatch):
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number > 0)
    study = main([*ARGS, "--trials", "2", "--storage", "study.log"])
    assert trials()["state"].tolist() == ["COMPLETE", "PRUNED"]
    assert [len(trial.intermediate_values) for trial in study.trials] == [3, 1]


@pytest.mark.parametrize(
    ("text", "args", "word"),
    [
        ("model.dropout: [0.1]", ("--data.val_size", "null"), "val_loss"),
        ("model.dropout: [0.1]", ("--init_from", "runs"), "init_from"),
        ("data.val_size: [0.1]", (), "data.val_size=0.1 changes the rows"),
        pytest.param(
            "model.dropuot: [0.1, 0.2]",
            (),
            "Did you mean model.dropout?",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_mistakes_are_sentences(space, fails, text, args, word):
    Path("space.yaml").write_text(text)
    assert word in fails(*ARGS, *DRY, *args)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.l2: {low: 1e-5, high: 1e-2}", "val_data_loss"),
        ("model.dropout: {low: 0.1, top: 0.5}", "space: model.dropout: .*'top'"),
        ("model.dropout: []", "space: model.dropout: .*choices"),
    ],
)
def test_a_space_from_which_nothing_can_be_drawn_is_refused(text, message):
    Path("space.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        suggest(optuna.create_study().ask(), read_space("space.yaml", "val_loss"))


def test_a_place_that_cannot_be_opened_or_found_is_a_sentence():
    with pytest.raises(
        InputError, match=r"nosql://host/study cannot be read as a database"
    ):
        open_storage("nosql://host/study")
    with pytest.raises(InputError, match="Did you mean 'imdb'"):
        read_space("imbd", "val_loss")


def test_the_space_of_the_project_is_read():
    space = read_space("imdb", "val_acc")
    assert space["model.hidden"][2] == [16, 16]
    assert space["model.optimizer.lr"]["log"]
