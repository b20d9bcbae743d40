"""A run recorded by a callback: from the command line, from Python, in any Trainer."""

import json
from pathlib import Path

import pytest
import torch
from helpers.sets import write_points
from helpers.training import small_fit
from lightning import Trainer

import dlp
from dlp.cli import main
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule
from dlp.runs import RunRecorder


@pytest.fixture
def points(tmp_path):
    write_points(tmp_path)
    with (tmp_path / "points.yaml").open("a", encoding="utf-8") as config:
        config.write("test_after_fit: best\n")


def content(path):
    """Return what a file says, without the seconds and the path of another run."""
    if path.suffix == ".ckpt":
        return {k: v.tolist() for k, v in torch.load(path, weights_only=True)["state_dict"].items()}
    if path.name == "results.json":
        return {**json.loads(path.read_text("utf-8")), "seconds": None}
    return path.read_bytes()


def test_python_writes_the_folder_that_the_command_line_writes(points):
    main(["fit", "--config", "points.yaml"])
    recipe = dlp.load("points.yaml")
    data = recipe.data()
    model = recipe.model(data)
    trainer = recipe.trainer()
    trainer.fit(model, data)
    trainer.test(model, data, ckpt_path="best", weights_only=True, verbose=False)
    first, second = Path("runs/points/version_0"), Path("runs/points/version_1")
    files = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert files == sorted(path.relative_to(second) for path in second.rglob("*.*"))
    assert {"config.yaml", "metrics.csv", "results.json"} < {path.name for path in files}
    different = [str(file) for file in files if content(first / file) != content(second / file)]
    assert different == []


def test_a_trainer_of_a_recipe_records_nothing_if_asked(points):
    recipe = dlp.load("points.yaml")
    data = recipe.data()
    recipe.trainer(run_dir=None).fit(recipe.model(data), data)
    assert not Path("runs").exists()


def test_any_trainer_records_a_run(tmp_path):
    x = torch.randn(60, 4).numpy()
    data = ArrayDataModule(x, (x[:, 0] > 0).astype(int), batch_size=16, test_size=10)
    model = DenseModule(data.input_shape, data.num_outputs, head="sigmoid")
    recorder = RunRecorder("arrays", baselines=True)
    trainer = Trainer(max_epochs=2, callbacks=[recorder], logger=False, enable_progress_bar=False)
    trainer.fit(model, data)
    best = recorder.best_model_path
    trainer.test(model, data, ckpt_path=best, weights_only=True, verbose=False)
    names = {path.name for path in Path("runs/arrays/version_0").rglob("*.*")}
    assert {"metrics.csv", "results.json", "best.ckpt", "last.ckpt", "worst.csv"} <= names
    assert "config.yaml" not in names
    test = recorder.run.results()["test"]
    assert test["checkpoint"] == "best.ckpt"
    linear = test["baselines"]["linear model"]
    assert linear["lead"] == pytest.approx(linear["acc"] - test["test_acc"])


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_resumed_run_goes_on_in_its_folder(tmp_path):
    small_fit(RunRecorder("arrays"), max_epochs=2)
    folder = Path("runs/arrays/version_0")
    path = folder / "checkpoints/last.ckpt"
    recorder = RunRecorder(folder=folder, is_resumed=True)
    small_fit(recorder, path=path, max_epochs=3)
    assert len((folder / "metrics.csv").read_text().splitlines()) == 4
    assert not Path("runs/arrays/version_1").exists()


def test_a_fit_that_never_began_leaves_no_folder(tmp_path):
    class Broken(DenseModule):
        def configure_optimizers(self):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        small_fit(RunRecorder("arrays"), model=Broken)
    assert not Path("runs/arrays/version_0").exists()
