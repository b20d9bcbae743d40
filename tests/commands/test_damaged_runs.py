"""Files of a run that are damaged or of another kind: one sentence each, no traceback."""

import json
from pathlib import Path

import pytest
import torch

from dlp.errors import InputError
from dlp.inference import Predictor


@pytest.fixture
def run(fitted):
    return fitted / "runs/points/version_0"


@pytest.mark.parametrize("name", ["results.json", "metrics.csv", "config.yaml"])
def test_a_damaged_file_of_a_run_is_a_sentence(run, name, fails):
    for content in (b"[1, 2]", b"[" * 2000 + b"]" * 2000, bytes(range(256))):
        (run / name).write_bytes(content)
        assert f"points/version_0/{name} " in fails("compare", "points")


@pytest.mark.parametrize(("command", "key"), [("report", "test"), ("compare", "modes")])
def test_results_of_another_form_are_a_sentence(run, command, key, fails):
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | {key: [1]}))
    assert "points/version_0" in fails(command, "points")


def test_a_damaged_entry_of_a_checkpoint_is_a_sentence(run):
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for key in ("network", "head", "inputs"):
        for value in (None, [1], {"class": "x"}):
            torch.save(checkpoint | {"use": checkpoint["use"] | {key: value}}, path)
            with pytest.raises(InputError):
                Predictor.load(path)


def test_a_damaged_export_is_a_sentence(tmp_path):
    exported = "version_1_0/runs/points/version_0/exported/model.onnx"
    content = (Path(__file__).parents[1] / exported).read_bytes()
    path = tmp_path / "model.onnx"
    altered = content.replace(b'"prediction"', b'"forecasted"')
    for damaged in (b"", content[:100], content[:-50], bytes(300), altered):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"model\.onnx cannot be read"):
            Predictor.load(path)
