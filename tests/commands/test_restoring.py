"""Runs are restored; files that are damaged or of another kind end in one sentence."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from lightning import Trainer
from onnx import TensorProto, helper

from dlp.cli import main
from dlp.commands import export
from dlp.datamodules.tables import table
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules import PretrainedModule
from dlp.recipes import restore
from dlp.recipes.restoring import load_predictor
from dlp.runs.folder import Run
from helpers.backbones import TinyBackbone
from helpers.sets import image_folder

RUN = Path("runs/points/version_0")
PAGE = Path(__file__).parents[2] / "docs/project/index.md"


def test_the_lines_of_the_page_restore_a_run(fitted):
    pattern = r"```python\n(from dlp.recipes import restore\n.*?)```"
    (snippet,) = re.findall(pattern, PAGE.read_text(), re.S)
    names = {}
    exec(snippet.replace("reviews", "points"), names)
    checkpoint = torch.load(RUN / "checkpoints/best.ckpt", weights_only=True)
    torch.testing.assert_close(
        dict(names["module"].state_dict()), dict(checkpoint["state_dict"])
    )
    assert names["run"].folder == RUN
    assert not names["module"].training


def test_the_generator_goes_on_after_a_restore(fitted):
    state = torch.get_rng_state()
    restore(RUN)
    assert torch.get_rng_state().equal(state)


def test_a_checkpoint_outside_of_a_run_is_a_sentence(fitted):
    path = (RUN / "checkpoints/best.ckpt").rename("best.ckpt")
    with pytest.raises(InputError, match=r"best.ckpt is not in the folder of a run"):
        restore(path)


@pytest.fixture
def reads(monkeypatch):
    """Return the list of the files that torch reads from now on."""
    files = []
    load = torch.load

    def listed(file, *args, **options):
        files.append(file)
        return load(file, *args, **options)

    monkeypatch.setattr(torch, "load", listed)
    return files


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            "fit --ckpt_path points --trainer.max_epochs 4 --test_after_fit null",
            marks=pytest.mark.slow,
        ),
        pytest.param("test --config points.yaml", marks=pytest.mark.slow),
        "predict --config points.yaml --data.predict_path points.csv",
        "calibrate points",
        "export points",
    ],
    ids=lambda words: words.partition(" ")[0],
)
def test_a_command_reads_its_checkpoint_once(fitted, words, reads, monkeypatch):
    monkeypatch.setattr(table, "_ROWS_PER_PIECE", 50)  # of 120 rows
    monkeypatch.setattr(export, "_write_model", lambda *_: "0")  # it takes seconds
    monkeypatch.setattr(export, "move", lambda *_: None)
    main(words.split())
    assert len(reads) == 1


def test_pieces_are_predicted_as_all_rows_at_once(fitted, monkeypatch):
    words = "predict --config points.yaml --data.predict_path points.csv --output"
    main([*words.split(), "all.csv"])
    monkeypatch.setattr(table, "_ROWS_PER_PIECE", 50)
    main([*words.split(), "pieces.csv"])
    pd.testing.assert_frame_equal(
        pd.read_csv("pieces.csv"), pd.read_csv("all.csv"), rtol=1e-5
    )


class OwnModule(PretrainedModule):
    """Subclass of the user."""


@pytest.mark.slow
def test_a_module_and_a_backbone_of_ones_own_are_restored_without_the_weights_file():
    image_folder(Path("images"), side=32)
    tensors = TinyBackbone("tiny").model.state_dict()
    del tensors["deep.index"]
    torch.save(tensors, "weights.pt")
    images = {"path": "images", "image_size": 32, "val_size": 4}
    backbone = {"backbone": "helpers.backbones.TinyBackbone", "weights": "weights.pt"}
    model = {"head": "sigmoid", **backbone}
    config = {
        "data": {"class_path": "ImageFolderDataModule", "init_args": images},
        "model": {"class_path": f"{__name__}.OwnModule", "init_args": model},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    Path("own.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    main(["fit", "--config", "own.yaml"])
    Path("weights.pt").unlink()
    module = restore("own").module
    assert type(module) is OwnModule
    assert type(module.network.backbone) is TinyBackbone
    (model,) = load_predictor(Run.find("own")).models
    assert type(model.module.network.backbone) is TinyBackbone


def test_a_trial_of_predict_writes_nothing(fitted):
    for typed in (["--config", "points.yaml"], ["--ckpt_path", str(RUN)]):
        before = {*Path().rglob("*.csv")}
        main(["predict", *typed, "--trainer.fast_dev_run", "true"])
        assert {*Path().rglob("*.csv")} == before


def test_a_trial_of_predict_takes_the_weights_of_its_checkpoint(fitted, monkeypatch):
    paths = []
    monkeypatch.setattr(
        Trainer, "predict", lambda *_, ckpt_path, **__: paths.append(ckpt_path)
    )
    main(["predict", "--ckpt_path", str(RUN), "--trainer.fast_dev_run", "true"])
    assert paths == [RUN / "checkpoints/best.ckpt"]


@pytest.mark.parametrize("name", ["results.json", "metrics.csv", "config.yaml"])
def test_a_damaged_file_of_a_run_is_a_sentence(fitted, name, fails):
    for content in (b"[1, 2]", bytes(range(256))):
        (RUN / name).write_bytes(content)
        assert f"points/version_0/{name} " in fails("compare", "points")


def test_a_damaged_description_in_a_checkpoint_is_a_sentence(fitted):
    path = RUN / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for key in ("module", "encoder", "answer"):
        for value in (None, [1], {"path": "x"}):
            torch.save(checkpoint | {"spec": checkpoint["spec"] | {key: value}}, path)
            with pytest.raises(InputError):
                Predictor.load(path)


def test_a_damaged_export_is_a_sentence(tmp_path):
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"
    )
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "copy", [x], [y]
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    helper.set_model_props(model, {"dlp": json.dumps({"format": 1})})
    content = model.SerializeToString()
    path = tmp_path / "model.onnx"
    for damaged in (b"", content[:-50], bytes(300), content):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"model\.onnx cannot be read"):
            Predictor.load(path)


def test_strategies_whose_processes_return_nothing_are_refused(points, fails):
    arguments = ("--trainer.strategy", "ddp_spawn", "--trainer.fast_dev_run", "true")
    message = fails("predict", "--config", "points.yaml", *arguments)
    assert "ddp_spawn" in message
    assert "--trainer.strategy ddp" in message
