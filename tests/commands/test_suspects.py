from pathlib import Path

import pandas as pd
import pytest

from dlp.cli import main

RUN = Path("runs/points/version_0")
FOLDS = ("--num_folds", "3", "--data.test_size", "null", "--trainer.accelerator", "cpu")
ARGS = ("crossval", "--config", "points.yaml", *FOLDS)
FLIPPED = [3, 30, 60, 90]


@pytest.fixture
def table(points):
    """Return the table of points with four flipped labels; the last row is the first, flipped."""
    frame = pd.read_csv("points.csv")
    frame.loc[len(frame)] = frame.loc[0]
    rows = [*FLIPPED, len(frame) - 1]
    frame.loc[rows, "label"] = frame["label"].map({"yes": "no", "no": "yes"})[rows]
    frame.to_csv("points.csv", index=False)
    return frame


def test_flipped_labels_and_contradictions_are_among_the_first(table, capsys):
    main([*ARGS, "--trainer.max_epochs", "100"])
    suspects = main(["suspects", "points", "--count", "10"])
    assert len(suspects) == 10
    assert suspects["probability"].is_monotonic_increasing
    assert set(FLIPPED) <= set(suspects["index"])
    assert suspects["true"].tolist() == table["label"][suspects["index"]].tolist()
    pd.testing.assert_frame_equal(
        pd.read_csv(RUN / "suspects.csv"), suspects, check_dtype=False
    )
    assert pd.read_csv(RUN / "contradictions.csv")["index"].tolist() == [0, 120]
    assert "2 rows have the same input" in capsys.readouterr().out


@pytest.mark.slow
def test_no_suspects_are_a_sentence(points, capsys):
    frame = pd.read_csv("points.csv")
    frame["label"] = ["yes" if x > 0 else "no" for x in frame["x"]]
    frame[frame["x"].abs() > 0.5].to_csv("points.csv", index=False)
    main([*ARGS, "--trainer.max_epochs", "100", "--model.optimizer.lr", "0.03"])
    assert len(main(["suspects", "points"])) == 0
    printed = capsys.readouterr().out
    assert "the predicted class is" in printed
    assert "Empty DataFrame" not in printed


def test_a_run_without_folds_is_refused(points, fails):
    assert "folds.jsonl, which dlp crossval writes" in fails("suspects", "points")


def test_rows_that_have_changed_since_are_refused(validated, fails):
    pd.read_csv("points.csv").drop(0).to_csv("points.csv", index=False)
    assert "the rows of the data have changed since" in fails("suspects", "points")


def test_folds_that_all_diverged_are_counted_and_refused(points, fails, capsys):
    main([*ARGS, "--trainer.max_epochs", "1", "--model.optimizer.lr", "1e30"])
    assert "3 folds diverged, first repeat 0, fold 0" in capsys.readouterr().out
    assert "the training diverged" in fails("suspects", "points")


@pytest.mark.slow
def test_the_largest_error_of_a_value_comes_first(table):
    table.loc[17, "x"] = 1000
    table.to_csv("points.csv", index=False)
    settings = (
        "--data.target",
        "x",
        "--model.head",
        "regression",
        "--trainer.max_epochs",
        "1",
    )
    main([*ARGS, *settings])
    assert main(["suspects", "points"])["index"][0] == 17
