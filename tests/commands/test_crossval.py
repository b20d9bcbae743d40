import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dlp.cli import main

RUN = Path("runs/points/version_0")
ARGS = ("crossval", "--config", "points.yaml", "--num_folds", "3", "--trainer.accelerator", "cpu")


@pytest.fixture
def validated(points, capsys):
    """Work in a folder with three finished folds; return what was printed."""
    main([*ARGS])
    return capsys.readouterr().out


def summary(run=RUN):
    return json.loads((run / "crossval.json").read_text("utf-8"))


def test_a_run_of_folds_and_what_it_leaves(validated):
    content = summary()
    assert [(fold["repeat"], fold["fold"]) for fold in content["folds"]] == [
        (0, k) for k in range(3)
    ]
    values = [fold["metrics"]["val_acc"] for fold in content["folds"]]
    assert content["mean"]["val_acc"] == pytest.approx(sum(values) / 3)
    assert content["engine"] == "stacked"
    assert set(content["baseline"]) == {"majority_class", "class_frequencies"}
    assert len(pd.read_json(RUN / "folds.jsonl", lines=True)) == 3
    assert (RUN / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "next: dlp " in validated
    assert "curves.png, folds.jsonl" in validated


def test_an_equal_command_trains_nothing_again(validated, capsys):
    before = summary()
    main([*ARGS])
    out = capsys.readouterr().out
    assert f"going on with {RUN}" in out
    assert "repeat 0, fold 0:" not in out
    assert summary() == before


def test_more_repetitions_go_on(validated, capsys):
    main([*ARGS, "--repeats", "2"])
    assert "repeat 0, fold 2:" not in capsys.readouterr().out
    assert len(summary()["folds"]) == 6


@pytest.mark.parametrize(
    "change", [("--num_folds", "4"), ("--model.dropout", "0.1"), ("--seed_everything", "1")]
)
def test_another_config_is_another_run(validated, change):
    main([*ARGS, *change])
    assert len(summary()["folds"]) == 3
    assert len(summary(Path("runs/points/version_1"))["folds"]) in (3, 4)


def test_the_saved_config_validates_the_same_folds_and_fits_one(validated):
    config = yaml.safe_load((RUN / "config.yaml").read_text("utf-8"))
    assert config["data"]["init_args"]["num_folds"] == 3
    main(["crossval", "--config", str(RUN / "config.yaml"), "--run_dir", "again"])
    assert summary(Path("again")) == summary()
    main(["fit", "--config", str(RUN / "config.yaml"), "--trainer.fast_dev_run", "true"])


def test_a_splitter_by_its_class(points):
    splitter = "sklearn.model_selection.ShuffleSplit"
    main(
        [*ARGS, "--splitter", splitter, "--splitter.n_splits", "2", "--splitter.random_state", "0"]
    )
    assert len(summary()["folds"]) == 2


def test_a_trial_writes_nothing(points):
    main([*ARGS, "--trainer.fast_dev_run", "true"])
    assert not Path("runs").exists()


def test_what_cannot_be_stacked_says_so(points, capsys):
    main([*ARGS, "--trainer.gradient_clip_val", "1", "--trainer.max_epochs", "1"])
    assert "engine: serial, since trainer.gradient_clip_val is set" in capsys.readouterr().out
    assert summary()["engine"] == "serial"


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--init_from", "runs"), "init_from"),
        (("--trainer.max_epochs", "null"), "max_epochs"),
        (("--monitor", "val_mae"), "val_acc"),
        (("--engine", "parallel"), "stacked"),
        (("--num_folds", "1"), "num_folds"),
        (("--splitter", "sklearn.model_selection.ShuffleSplit"), "random_state"),
        (("--data.time_column", "x", "--repeats", "2"), "repeat"),
    ],
)
def test_mistakes_are_sentences(points, fails, args, word):
    assert word in fails(*ARGS, *args)
