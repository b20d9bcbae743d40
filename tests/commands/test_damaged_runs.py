"""Files of a run that are damaged or of another kind: one sentence each, no traceback."""

import copy
import json
from pathlib import Path

import pytest
import torch

from dlp.cli import main
from dlp.errors import InputError
from dlp.inference import Predictor

OTHERS = [b"", b"[1, 2]", b"null", b"3", b'"x"', b"[" * 2000 + b"]" * 2000, bytes(range(256))]
VALUES = [None, 3, -1, "x", [1], {"q": 1}]


@pytest.fixture
def run(fitted):
    return fitted / "runs/points/version_0"


@pytest.mark.parametrize("content", OTHERS)
@pytest.mark.parametrize("name", ["results.json", "metrics.csv", "config.yaml"])
def test_a_damaged_file_of_a_run_is_a_sentence(run, name, content, capsys):
    (run / name).write_bytes(content)
    try:
        main(["compare", "points"])
        assert content in (b"", b"null")  # an empty config
    except SystemExit:
        assert f"points/version_0/{name} " in capsys.readouterr().err


@pytest.mark.parametrize("key", ["best", "calibration", "modes", "monitor", "test", "verdict"])
def test_a_page_of_damaged_results_is_a_sentence_or_drawn(run, key, capsys):
    results = json.loads((run / "results.json").read_text())
    for value in (3, [1], {"q": 1}):
        (run / "results.json").write_text(json.dumps(results | {key: value}))
        for command in ("report", "compare"):
            try:
                main([command, "points"])
            except SystemExit:
                assert "points/version_0" in capsys.readouterr().err


def alterations(tree, depth=3):
    """Yield copies of nested dictionaries and lists with one value of another kind."""
    places = tree if isinstance(tree, dict) else range(len(tree[:2]))
    for place in places:
        for value in VALUES:
            other = copy.copy(tree)
            other[place] = value
            yield other
        if depth > 1 and isinstance(tree[place], dict | list):
            for value in alterations(tree[place], depth - 1):
                other = copy.copy(tree)
                other[place] = value
                yield other


@pytest.mark.filterwarnings("ignore:column .* unseen")
def test_an_altered_entry_of_a_checkpoint_is_refused_or_predicts(run):
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    row = Predictor.load(path).reader.typical()
    refused = 0
    for entry in alterations(checkpoint["use"]):
        torch.save(checkpoint | {"use": entry}, path)
        try:
            assert len(Predictor.load(path).predict([row])) == 1
        except InputError:
            refused += 1
    assert refused > 100


def test_a_damaged_export_is_a_sentence(tmp_path):
    exported = "version_1_0/runs/points/version_0/exported/model.onnx"
    content = (Path(__file__).parents[1] / exported).read_bytes()
    path = tmp_path / "model.onnx"
    altered = content.replace(b'"prediction"', b'"forecasted"')
    for damaged in (b"", content[:100], content[:-50], bytes(300), altered):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"model\.onnx cannot be read"):
            Predictor.load(path)
