"""How sure predictions are: the temperature, intervals of values and sets of classes."""

import json
import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.cli import main
from dlp.evaluation.intervals import conformal_quantile, half_widths
from dlp.evaluation.temperature import best_temperature, log_loss
from dlp.inference import Predictor
from dlp.inference.card import Example, card
from dlp.recipes.recipe import load
from dlp.runs.folder import Run
from helpers.sets import write_points
from helpers.training import quiet_trainer

RUN = Path("runs/points/version_0")
VALUES = "--config points.yaml --trainer.max_epochs 1 --data.target x --model.head regression"
SOME_ROWS = [{"y": 0.5, "kind": "red", "label": "yes"}]


def logits(rows):
    table = Predictor.load(RUN).predict(rows)
    return np.log(table["prob_yes"] / table["prob_no"]).to_numpy()


def validates(rows):
    """Return which rows of the table are those of the validation part."""
    data = load(f"{RUN}/config.yaml").data()
    return rows.index.isin(data.examples("val").index)


def edit_checkpoint(change):
    """Change the content of the checkpoint that is calibrated."""
    path = RUN / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)


@pytest.fixture(scope="module")
def calibrated(run_of_points, tmp_path_factory):
    """Return what a run predicts before and after two calibrations, and their tables."""
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(run_of_points, folder, dirs_exist_ok=True)
    result = SimpleNamespace()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result.rows = pd.read_csv("points.csv")
        result.is_val = validates(result.rows)
        result.before = logits(result.rows)
        result.first = main(["calibrate", str(RUN)])
        result.second = main(["calibrate", str(RUN)])
        result.after = logits(result.rows)
        main(["predict", "--ckpt_path", str(RUN)])
        result.written = pd.read_csv(RUN / "predictions.csv")
        main(["test", "--ckpt_path", str(RUN)])
        result.report = json.loads((RUN / "mistakes.json").read_text())
    return result


def test_the_temperature_is_the_best_one_of_the_validation_part(calibrated):
    truth = calibrated.rows["label"] == "yes"
    logits = torch.tensor(calibrated.before)[calibrated.is_val, None]
    targets = torch.tensor(truth.to_numpy().astype(int))[calibrated.is_val]
    expected = best_temperature(logits, targets)
    fitted = calibrated.first.loc[1]
    assert fitted["temperature"] == pytest.approx(expected, rel=0.01)
    assert fitted["nll"] == pytest.approx(log_loss(logits, targets, expected), abs=1e-4)


def test_predict_and_predictor_divide_the_logits(calibrated):
    expected = calibrated.before / calibrated.first["temperature"][1]
    np.testing.assert_allclose(calibrated.after, expected, rtol=1e-4)
    written = calibrated.written
    odds = np.log(written["prob_yes"] / written["prob_no"])
    np.testing.assert_allclose(odds, expected[written["index"]], rtol=1e-4)


def test_the_set_has_each_class_with_the_quantile_of_its_rows(calibrated):
    probability = 1 / (1 + np.exp(-calibrated.after))
    likely = {}
    for name, column in (("no", 1 - probability), ("yes", probability)):
        own = column[calibrated.is_val & (calibrated.rows["label"] == name)]
        likely[name] = column >= -conformal_quantile(-own, 0.9) - 1e-6
        likely[name] |= column > 0.5
    written = calibrated.written
    sets = [
        ";".join(name for name in likely if likely[name][row])
        for row in written["index"]
    ]
    assert written["set"].tolist() == sets
    assert "no;yes" in sets


def test_a_second_calibration_begins_anew_and_the_diagram_of_a_test_shows_it(
    calibrated,
):
    pd.testing.assert_frame_equal(calibrated.first, calibrated.second)
    error = calibrated.report["calibration"]["error"]
    assert error == pytest.approx(calibrated.first["ece"].iloc[-1])


@pytest.mark.slow
def test_the_proposed_threshold_decides_predictions_and_counts_mistakes(fitted, capsys):
    main(["test", "--config", "points.yaml"])
    before = json.loads((RUN / "results.json").read_text())["test"]
    main(["calibrate", "points"])
    assert json.loads((RUN / "results.json").read_text())["test"] == before
    printed = capsys.readouterr().out
    assert "val: threshold 0.5 finds " in printed
    assert "“no” for “yes”" in printed
    command = re.search(r"next: dlp (.*)", printed)[1].split()
    main(command)
    threshold = float(command[-1])
    answers = Predictor.load(RUN).predict(pd.read_csv("points.csv"))
    assert ((answers["class"] == "yes") == (answers["prob_yes"] > threshold)).all()
    main(["test", "--config", "points.yaml"])
    assert json.loads((RUN / "mistakes.json").read_text())["threshold"] == threshold


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_checkpoint_that_is_saved_after_a_test_keeps_the_calibration(fitted):
    main(["calibrate", str(RUN), "--threshold", "0.3"])
    recipe = load(RUN / "config.yaml")
    data = recipe.data()
    model = recipe.model(data)
    trainer = quiet_trainer()
    path = RUN / "checkpoints/best.ckpt"
    trainer.test(model, data, ckpt_path=path, weights_only=True)
    trainer.save_checkpoint("again.ckpt")
    answers = [Predictor.load(each).spec.answer for each in (path, "again.ckpt")]
    assert answers[0].threshold == 0.3
    assert answers[0].quantiles is not None
    assert answers[1] == answers[0]


def test_without_a_threshold_it_is_that_of_the_training(fitted):
    edit_checkpoint(lambda content: content["spec"].update(threshold=0.45))
    main(["calibrate", "points", "--threshold", "0.3"])
    main(["calibrate", "points"])
    assert json.loads((RUN / "results.json").read_text())["threshold"] == 0.45


@pytest.fixture(scope="module")
def decided(run_of_points, tmp_path_factory):
    """Return what a run says after a threshold was set."""
    folder = tmp_path_factory.mktemp("decided")
    shutil.copytree(run_of_points, folder, dirs_exist_ok=True)
    result = SimpleNamespace()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.chdir(folder)
        main(["calibrate", "points", "--threshold", "0.3"])
        result.calibrated = printed.getvalue().splitlines()
        main(["test", "--config", "points.yaml"])
        result.tested = printed.getvalue().splitlines()
        result.results = json.loads((RUN / "results.json").read_text())
        result.report = json.loads((RUN / "mistakes.json").read_text())
        model = Predictor.load(RUN).models[0]
        example = Example("", "rows", "example.json")
        result.card = card(model, Run(RUN), "best.ckpt", "0", example)
        data = load(f"{RUN}/config.yaml").data()
        examples = data.examples("test")
        rows = result.rows = pd.read_csv("points.csv").iloc[examples.index]
        probabilities = Predictor.load(RUN).predict(rows)["prob_yes"]
        is_yes = rows["label"] == "yes"
        result.accuracy = ((probabilities > 0.3) == is_yes).mean()
        result.accuracy_at_half = ((probabilities > 0.5) == is_yes).mean()
    return result


def test_all_scores_of_a_test_are_at_the_threshold_that_was_set(decided):
    assert decided.accuracy != decided.accuracy_at_half
    test = decided.results["test"]
    assert test["threshold"] == 0.3
    assert test["test_acc"] == pytest.approx(decided.accuracy)
    right = 1 - decided.report["wrong"] / decided.report["rows"]
    assert right == pytest.approx(decided.accuracy)


def test_the_scores_at_a_half_are_named_so(decided):
    assert decided.results["test"]["at_0.5"]["acc"] == pytest.approx(
        decided.accuracy_at_half
    )
    lines = [line.partition(":")[0] for line in decided.tested]
    assert "test, threshold 0.3" in lines
    assert "test, threshold 0.5" in lines
    summary = decided.results["test"]["summary"]
    assert f"({decided.accuracy_at_half:.1%} at the threshold 0.5)" in summary


def test_the_card_has_the_scores_at_both_thresholds(decided):
    assert "Classes are predicted at the threshold 0.3." in decided.card
    rows = [line for line in decided.card.splitlines() if line.startswith("this model")]
    accuracies = [float(row.split()[-1]) for row in rows]
    assert accuracies == pytest.approx(
        [decided.accuracy, decided.accuracy_at_half], rel=1e-4
    )


def test_a_threshold_that_is_set_has_one_line_and_the_next_commands(decided):
    lines = [
        line
        for line in decided.calibrated
        if line.startswith(("val: threshold", "next:"))
    ]
    assert lines[0].startswith("val: threshold 0.3 finds")
    checkpoint = RUN / "checkpoints/best.ckpt"
    assert lines[1:] == [
        f"next: dlp test --ckpt_path {checkpoint}",
        f"next: dlp report {RUN}",
        f"next: dlp export {checkpoint}",
    ]


def test_a_run_that_was_trained_on_all_rows_is_refused(points, fails):
    main(
        [
            "fit",
            "--config",
            "points.yaml",
            "--config",
            "retrain",
            "--trainer.max_epochs",
            "1",
        ]
    )
    assert "has no validation part" in fails("calibrate", "points+retrain")


def test_a_model_that_diverged_is_refused(fitted, fails):
    edit_checkpoint(
        lambda content: [w.fill_(np.nan) for w in content["state_dict"].values()]
    )
    for command in (["calibrate", "points"], ["predict", "--config", "points.yaml"]):
        assert "predicts NaN or infinity" in fails(*command)
    assert not (RUN / "predictions.csv").exists()


def fit_and_calibrate():
    write_points(Path.cwd())
    main(["fit", *VALUES.split()])
    main(["calibrate", "points", "--coverage", "0.8"])


def test_the_half_width_is_the_quantile_of_the_residuals_of_the_validation_part(copied):
    copied(fit_and_calibrate)
    table = main(["calibrate", "points", "--coverage", "0.8"])
    rows = pd.read_csv("points.csv")
    answers = Predictor.load(RUN).predict(rows)
    pairs = pd.DataFrame({"value": answers["x"], "truth": rows["x"]})[validates(rows)]
    curve = half_widths(*pairs.to_numpy().T, 0.8)
    assert len(curve[0]) == 2
    np.testing.assert_allclose(
        [table["x"], table["high"] - table["x"]], curve, rtol=1e-5
    )
    widths = np.interp(answers["x"], *curve)
    np.testing.assert_allclose(answers["high"] - answers["x"], widths, rtol=1e-5)
    assert json.loads((RUN / "results.json").read_text())["coverage"] == 0.8


def test_a_coverage_for_which_there_are_too_few_rows_is_refused(copied, fails):
    copied(fit_and_calibrate)
    message = fails("calibrate", "points", "--coverage", "0.99")
    assert "24 rows are too few for --coverage 0.99" in message
    assert "at most 24/25" in message


def test_a_target_called_as_an_end_of_its_interval_is_refused(copied, fails):
    copied(fit_and_calibrate)
    edit_checkpoint(
        lambda content: content["spec"]["answer"].update(output_names=["low"])
    )
    assert "low and high" in fails("calibrate", "points")


@pytest.mark.slow
def test_a_resumed_fit_forgets_the_intervals(copied):
    copied(fit_and_calibrate)
    main(f"fit --ckpt_path {RUN}/checkpoints/best.ckpt --trainer.max_epochs 2".split())
    assert "low" not in Predictor.load(RUN / "checkpoints/last.ckpt").predict(SOME_ROWS)


@pytest.mark.slow
def test_folds_share_the_half_width_of_the_rows_out_of_fold(points, fails):
    main(
        f"crossval {VALUES} --num_folds 2 --data.drop_columns [label] --keep true".split()
    )
    table = main(["calibrate", str(RUN)])
    rows = pd.read_csv(RUN / "out_of_fold.csv")
    expected = half_widths(*rows[["value", "target"]].to_numpy().T, 0.9)
    half_width = (table["high"] - table["low"]) / 2
    np.testing.assert_allclose([table["x"], half_width], expected, rtol=1e-6)
    checkpoint = f"{RUN}/checkpoints/fold_0_0.ckpt"
    assert "checkpoint contains only the model" in fails(
        "fit", "--ckpt_path", checkpoint
    )
    assert "low" in Predictor.load(RUN).predict(SOME_ROWS)
