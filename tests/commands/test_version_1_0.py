"""Runs, folds and exports of version 1.0, as it wrote them, are read."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from dlp.cli import main
from dlp.inference import Predictor

INPUTS = {"points": ["x", "y", "kind"], "texts": "text"}
each_run = pytest.mark.parametrize("old", INPUTS)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    """Work in a copy of the folder."""
    shutil.copytree(Path(__file__).parents[1] / "version_1_0", tmp_path, dirs_exist_ok=True)


@each_run
def test_its_predictions_are_those_of_then(old):
    run = Path(f"runs/{old}/version_0")
    before = pd.read_csv(run / "predictions.csv", index_col="index")
    rows = pd.read_csv(f"{old}.csv")[INPUTS[old]].loc[before.index]
    for path in (run, run / "exported"):
        after = Predictor.load(path).predict(rows)
        assert after["class"].tolist() == before["class"].tolist()
        expected = before[list(after)]
        pd.testing.assert_frame_equal(
            after, expected, rtol=1e-5, check_names=False, check_dtype=False
        )


@pytest.mark.slow
@each_run
@pytest.mark.filterwarnings("ignore:.*not a registered subtype:UserWarning")
def test_it_is_tested_reported_and_trained_further(old):
    main(["test", "--config", f"{old}.yaml"])
    assert main(["report", old]).exists()
    trainer = main(["fit", "--ckpt_path", f"runs/{old}/version_0", "--trainer.max_epochs", "2"])
    assert trainer.current_epoch == 2
    assert len(pd.read_csv(f"runs/{old}/version_0/metrics.csv")) == 2


def test_its_folds_predict_and_are_not_mixed_with_new_ones(fails):
    row = pd.read_csv("points.csv").head(1)
    folds = Predictor.load("runs/folds/version_0")
    assert len(folds.models) == 2
    assert len(folds.predict(row)) == 1
    assert "the rows have changed" in fails("calibrate", "runs/folds/version_0")
