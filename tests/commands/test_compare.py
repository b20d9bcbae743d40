import json

import pandas as pd
import pytest
import yaml

from dlp.cli import main


def write_run(folder, losses, **settings):
    """Write the files of a run that compare reads."""
    folder.mkdir(parents=True)
    config = {
        "data": {"class_path": "A", "init_args": {}},
        "model": {"init_args": settings},
    }
    (folder / "config.yaml").write_text(
        yaml.safe_dump({**config, "seed_everything": len(losses)})
    )
    frame = pd.DataFrame({"epoch": range(1, len(losses) + 1), "val_loss": losses})
    frame.to_csv(folder / "metrics.csv", index=False)
    best = min(losses)
    results = {"best_epoch": losses.index(best) + 1, "best": {"val_loss": best}}
    results["test"] = {"test_loss": best + 1, "rows": 100}
    (folder / "results.json").write_text(json.dumps(results))
    return str(folder)


def test_runs_that_differ_in_the_seed_alone_share_a_row(tmp_path):
    write_run(tmp_path / "runs/a/version_0", [3.0, 1.0, 2.0], hidden=[8])
    write_run(tmp_path / "runs/a/version_1", [4.0, 3.0], hidden=[8])
    write_run(tmp_path / "runs/b/version_0", [5.0, 4.0], hidden=[16])
    table = main(["compare", "runs/a", "b", "--output", "figure.png"])
    assert table.index.tolist() == ["a", "b"]
    assert table.loc["a", "runs"] == 2
    assert table.loc["a", "val_loss"] == pytest.approx(2.0)
    assert table.loc["a", "val_loss std"] == pytest.approx(2**0.5)
    assert table.loc["b", ["best epoch", "val_loss", "test_loss"]].tolist() == [
        2,
        4.0,
        5.0,
    ]
    assert "rows" not in table
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_runs_of_a_name_are_told_by_the_settings_that_differ(tmp_path):
    write_run(tmp_path / "runs/a/version_0", [1.0], hidden=[8], dropout=0.5)
    write_run(tmp_path / "runs/a/version_1", [1.0], hidden=[16], dropout=0.5)
    write_run(tmp_path / "runs/a/version_2", [1.0], dropout=0.5)
    labels = ["a hidden=[8]", "a hidden=[16]", "a"]
    assert main(["compare", "runs/a"]).index.tolist() == labels


def test_a_metric_must_exist(tmp_path, fails):
    write_run(tmp_path / "runs/a/version_0", [1.0])
    assert "val_loss" in fails("compare", "a", "--metric", "[val_los]")
