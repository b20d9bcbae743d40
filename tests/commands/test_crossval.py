import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dlp.cli import main

RUN = Path("runs/points/version_0")
ARGS = (
    "crossval",
    "--config",
    "points.yaml",
    "--num_folds",
    "3",
    "--trainer.accelerator",
    "cpu",
)


def summary(run=RUN):
    return json.loads((run / "crossval.json").read_text("utf-8"))


def test_a_run_of_folds_and_what_it_leaves(validated):
    content = summary()
    folds = [(fold["repeat"], fold["fold"]) for fold in content["folds"]]
    assert folds == [(0, 0), (0, 1), (0, 2)]
    values = [fold["metrics"]["val_acc"] for fold in content["folds"]]
    assert content["engine"] == "stacked"
    assert set(content["baseline"]) == {"majority_class", "class_frequencies"}
    assert (RUN / "curves.png").read_bytes().startswith(b"\x89PNG")
    names = sorted(path.name for path in (RUN / "checkpoints").iterdir())
    assert names == ["fold_0_0.ckpt", "fold_0_1.ckpt", "fold_0_2.ckpt"]
    frame = pd.read_csv(RUN / "out_of_fold.csv")
    assert list(frame) == ["index", "fold", "target", "class", "prob_no", "prob_yes"]
    correct = (frame["target"] == frame["class"]).groupby(frame["fold"]).mean()
    assert correct.tolist() == pytest.approx(values)


@pytest.mark.slow
def test_more_repetitions_go_on(validated, capsys):
    main([*ARGS, "--repeats", "2"])
    output = capsys.readouterr().out
    assert f"continuing {RUN}" in output
    assert "repeat 0, fold 2:" not in output
    assert "next: dlp " in output
    assert f"wrote {RUN}" in output
    assert len(summary()["folds"]) == 6


@pytest.mark.slow
def test_calls_share_the_folds_and_the_last_one_writes_the_summary(
    points, fails, capsys
):
    assert "folds: expected 0 to 2, got 3." in fails(*ARGS, "--folds", "[0, 3]")
    assert (RUN / "config.yaml").exists()
    main([*ARGS, "--folds", "[0, 2]"])
    assert "1 folds are missing" in capsys.readouterr().out
    assert not (RUN / "crossval.json").exists()
    main([*ARGS, "--folds", "[1]"])
    assert [fold["fold"] for fold in summary()["folds"]] == [0, 1, 2]


def test_the_saved_config_validates_the_same_folds_and_fits_one(validated):
    config = yaml.safe_load((RUN / "config.yaml").read_text("utf-8"))
    assert config["data"]["init_args"]["num_folds"] == 3
    main(["crossval", "--config", str(RUN / "config.yaml"), "--run_dir", "again"])
    assert summary(Path("again")) == summary()
    main(
        ["fit", "--config", str(RUN / "config.yaml"), "--trainer.fast_dev_run", "true"]
    )


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--init_from", "runs"), "init_from"),
        (("--trainer.max_epochs", "null"), "max_epochs"),
        (("--monitor", "val_mae"), "val_acc"),
        (("--num_folds", "1"), "num_folds"),
        (("--run_dir", "points.csv/run"), "run_dir points.csv/run cannot be created"),
        (
            ("--seed_everything", "-5"),
            "seed_everything: expected 0 to 4294967295, got -5",
        ),
    ],
)
def test_mistakes_are_sentences(points, fails, args, word):
    assert word in fails(*ARGS, *args)


def test_the_checkpoint_of_any_fold_is_exported(validated, capsys):
    main(["export", str(RUN / "checkpoints/fold_0_1.ckpt")])
    assert "wrote " in capsys.readouterr().out
    assert (RUN / "exported/model.onnx").is_file()
