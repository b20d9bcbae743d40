"""A CSV with 4.4 % positives, on the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlp.cli import main

pytestmark = pytest.mark.usefixtures("undrawn_figures")

DATA = [
    *("--data", "TableDataModule", "--data.path", "pay.csv", "--data.target", "kind"),
    *("--data.stratify", "true", "--data.batch_size", "8", "--model", "DenseModule"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]
METRICS = "[recall, f1, average_precision]"


def fit(run, *options):
    """Fit and test into the folder `run`."""
    main(
        [
            *("fit", *DATA, "--data.test_size", "0.3", "--test_after_fit", "best"),
            *("--trainer.max_epochs", "3", "--run_dir", run, *options),
        ]
    )


@pytest.fixture
def payments(tmp_path, monkeypatch):
    """A table of 500 payments of which 22 are fraud, in the working directory."""
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 4))
    worth = x[:, 0] + 0.5 * random.normal(size=500)
    kind = np.where(worth >= np.sort(worth)[-22], "fraud", "ok")
    frame = pd.DataFrame(x, columns=list("abcd")).assign(kind=kind)
    frame.to_csv(tmp_path / "pay.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return frame


def read(name):
    """Return the content of a file of the run ``run``."""
    return json.loads(Path("run", name).read_text())


def test_the_majority_alone_is_said_and_balanced_weights_find_the_rare_class(payments, capsys):
    fit("run")
    said = capsys.readouterr().out
    assert "no better than always answering 'ok': val_acc 0.9" in said
    assert "a rare class is found by --model.class_weight balanced" in said
    assert read("results.json")["beats_baseline"] is False
    fit("other", "--model.class_weight", "balanced")
    assert "no better" not in capsys.readouterr().out
    main(["predict", "--ckpt_path", "other/checkpoints/best.ckpt", "--output", "out.csv"])
    found = pd.read_csv("out.csv")
    fraud = found["true"] == "fraud"
    assert fraud.sum() >= 6
    assert (found["class"] == "fraud")[fraud].mean() > 0.7
    assert (payments.kind.iloc[found["index"]].to_numpy() == found["true"]).all()


@pytest.mark.parametrize("rule", ["f1", "{false_negative: 20, false_positive: 1}"])
def test_a_chosen_threshold_is_printed_kept_and_used(payments, rule, capsys):
    options = ["--data.positive_class", "fraud", "--model.head", "sigmoid"]
    fit("run", *options, "--model.threshold", rule, "--model.metrics", METRICS)
    said = capsys.readouterr().out
    chosen = read("results.json")["threshold"]
    assert f"threshold {chosen:.4g}, chosen on the validation part" in said
    assert "positive class: fraud" in said
    recall = read("results.json")["test"]["test_recall"]
    mistakes = read("mistakes.json")
    assert mistakes["threshold"] == chosen
    found_fraud = next(of for of in mistakes["scores"] if of["name"] == "fraud")
    assert found_fraud["recall"] == pytest.approx(recall)
    main(["predict", "--ckpt_path", "run/checkpoints/best.ckpt"])
    found = pd.read_csv("run/predictions.csv")
    given = np.where(found["prob_fraud"].astype(np.float32) > np.float32(chosen), "fraud", "ok")
    assert found["class"].tolist() == given.tolist()
    fraud = found["true"] == "fraud"
    assert (found["class"] == "fraud")[fraud].mean() == pytest.approx(recall)


def test_folds_with_weights_or_chosen_thresholds_are_trained_one_after_the_other(payments, capsys):
    main(
        [
            *("crossval", *DATA, "--data.num_folds", "3", "--trainer.max_epochs", "1"),
            *("--model.class_weight", "balanced"),
        ]
    )
    assert "class_weight differs from fold to fold" in capsys.readouterr().out
