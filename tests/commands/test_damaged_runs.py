"""Files of a run that are damaged or of another kind: one sentence each, no traceback."""

import json

import pytest
import torch
from onnx import TensorProto, helper

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


def test_a_damaged_description_in_a_checkpoint_is_a_sentence(run):
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for key in ("network", "head", "inputs", "answer"):
        for value in (None, [1], {"path": "x"}):
            torch.save(checkpoint | {"spec": checkpoint["spec"] | {key: value}}, path)
            with pytest.raises(InputError):
                Predictor.load(path)


def test_a_damaged_export_is_a_sentence(tmp_path):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "copy", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"dlp": json.dumps({"format": 1})})
    content = model.SerializeToString()
    path = tmp_path / "model.onnx"
    for damaged in (b"", content[:-50], bytes(300), content):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"model\.onnx cannot be read"):
            Predictor.load(path)
