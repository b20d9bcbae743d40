"""Temperature of a classifier's probabilities."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlp.cli import main
from dlp.inference import Predictor
from dlp.lightning_cli.recipe import load

RUN = Path("runs/points/version_0")


def logits(rows):
    table = Predictor.load(RUN).predict(rows)
    return np.log(table["prob_yes"] / table["prob_no"]).to_numpy()


@pytest.fixture(scope="module")
def calibrated(run_of_points, tmp_path_factory):
    """Return rows, their logits before and after, and the tables of two calibrations."""
    folder = tmp_path_factory.mktemp("calibrated") / "copy"
    shutil.copytree(run_of_points, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = pd.read_csv("points.csv")
        rows["is_val"] = rows.index.isin(load(f"{RUN}/config.yaml").data().examples("val").index)
        before, tables = logits(rows), [main(["calibrate", str(RUN)])]
        report = json.loads((RUN / "mistakes.json").read_text())
        (RUN / "reliability.png").unlink()
        tables.append(main(["calibrate", str(RUN)]))
        main(["predict", "--ckpt_path", str(RUN)])
        return rows, before, logits(rows), tables, report, pd.read_csv(RUN / "predictions.csv")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "--data.target x --model.head regression",
            "calibrate is for classifiers; points predicts",
        ),
        ("--model.threshold 0.3", "that of points has 0.3. Calibrate first, then choose"),
    ],
)
def test_values_and_other_thresholds_are_refused(settings, message, points, fails):
    main(["fit", "--config", "points.yaml", "--trainer.max_epochs", "1", *settings.split()])
    assert message in fails("calibrate", "points")


def test_the_temperature_minimises_the_loss_of_the_validation_part(calibrated):
    rows, before, _, (table, _), *_ = calibrated
    signed = (before * np.where(rows["label"] == "yes", 1, -1))[rows["is_val"]]
    grid = np.exp(np.linspace(-3, 5, 4001))
    losses = [np.log1p(np.exp(-signed / temperature)).mean() for temperature in grid]
    assert table["temperature"][1] == pytest.approx(grid[np.argmin(losses)], rel=0.01)
    assert table["nll"][1] == pytest.approx(min(losses), abs=1e-6)


def test_predict_and_predictor_divide_the_logits(calibrated):
    _, before, after, (table, _), _, written = calibrated
    np.testing.assert_allclose(after, before / table["temperature"][1], rtol=1e-4)
    odds = np.log(written["prob_yes"] / written["prob_no"])
    np.testing.assert_allclose(odds, after[written["index"]], rtol=1e-4)


def test_a_second_calibration_begins_anew_and_the_diagram_is_drawn_anew(calibrated):
    *_, (first, second), report, _ = calibrated
    pd.testing.assert_frame_equal(first, second)
    assert report["calibration"]["error"] == pytest.approx(first["ece"].iloc[-1])
