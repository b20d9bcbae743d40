import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.cli import main
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.runs.restoring import load_predictor

RECIPE = """\
data:
  class_path: {}
  init_args: {{path: rows.csv, {}: answer, test_size: 0.2}}
model: {{class_path: DenseModule, init_args: {{head: {}, hidden: [4]}}}}
trainer: {{max_epochs: 1, enable_progress_bar: false, enable_model_summary: false}}
test_after_fit: best
"""
DRAW = np.random.default_rng(0)
KINDS = DRAW.choice(["red", "green", "caf\u00e9"], (60, 4))
NOTES = [*map(" ".join, KINDS[:, 1:])]
NUMBERS = pd.DataFrame(DRAW.normal(size=(60, 2)), columns=["a", "b"])
ROWS = {
    "table": NUMBERS.assign(kind=KINDS[:, 0], note=NOTES, answer=NUMBERS["a"] * 100),
    "text": pd.DataFrame(
        {"text": map(" ".join, KINDS), "answer": KINDS[:, 0] == "red"}
    ),
}
FITS = {
    "table": ("TableDataModule", "text_columns: [note], target", "regression"),
    "text": ("TextDataModule", "label_column", "sigmoid"),
}


def fit_and_export(kind):
    ROWS[kind].to_csv("rows.csv", index=False)
    Path("mine.yaml").write_text(RECIPE.format(*FITS[kind]), encoding="utf-8")
    main(["fit", "--config", "mine.yaml"])
    main(["calibrate", "mine", "--coverage", "0.6"])
    main(["predict", "--config", "mine.yaml", "--data.predict_path", "rows.csv"])
    main(["export", "mine"])


@pytest.fixture(
    scope="module", params=[pytest.param(key, marks=pytest.mark.slow) for key in ROWS]
)
def run(request, made):
    """Return the folder of a run that is tested and exported, and its rows."""
    folder = made(partial(fit_and_export, request.param))
    return folder / "runs/mine/version_0", ROWS[request.param]


def test_checkpoint_and_export_predict_as_the_trainer_does(run):
    folder, rows = run
    expected = pd.read_csv(next(folder.glob("predictions_rows.csv")), index_col="index")
    for path in (folder, folder / "exported"):
        result = Predictor.load(path).predict(rows.set_axis(range(100, 160)))
        assert [*result.index] == [*range(100, 160)]
        numbers = expected.filter(regex="value|prob_|low|high")
        assert len(numbers.columns) + ("class" in result) * 2 == len(result.columns)
        np.testing.assert_allclose(
            result.select_dtypes("number"), numbers, rtol=1e-5, atol=1e-6
        )
        words = result.filter(["class", "set"]).astype(str).to_dict("list")
        assert words == expected.filter(words).astype(str).to_dict("list")
        for row in range(9):  # of other numbers of words
            alone = (
                Predictor.load(path)
                .predict(rows[row : row + 1])
                .select_dtypes("number")
            )
            np.testing.assert_allclose(
                alone, numbers[row : row + 1], rtol=1e-5, atol=1e-6
            )
    assert (
        b".py" not in (folder / "exported/model.onnx").read_bytes()
    )  # a path of this machine


def test_the_numbers_of_the_card_are_those_of_the_results(run):
    card = (run[0] / "exported/README.md").read_text("utf-8")
    test = json.loads((run[0] / "results.json").read_text("utf-8"))["test"]
    _, _, table = card.partition("12 test rows")
    header, of_this_model, *_ = table.partition("```text\n")[2].splitlines()
    names = header.split()
    scores = of_this_model.removeprefix("this model").split()
    for name in ("loss", "mae" if "test_mae" in test else "acc"):
        score = scores[names.index(name)]
        assert float(score) == pytest.approx(test[f"test_{name}"], rel=1e-5)
    assert "12 test rows" in card
    assert "coverage: 0.6" in card


class Command:
    """Object whose unpickling runs a command."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_code_of_a_file_is_refused(tmp_path):
    torch.save({"state_dict": {}, "spec": Command()}, "a.ckpt")
    with pytest.raises(InputError):
        Predictor.load("a.ckpt")
    assert not (tmp_path / "harmed").exists()


def test_features_of_ones_own_run_are_imported_and_no_export_brings_them(fails):
    code = "def doubled(frame):\n    return frame.assign(a=2 * frame['a'])\n"
    Path("own_features.py").write_text(code, encoding="utf-8")
    ROWS["table"].to_csv("rows.csv", index=False)
    kind, target, head = FITS["table"]
    target = f"features: own_features.doubled, {target}"
    Path("mine.yaml").write_text(RECIPE.format(kind, target, head), encoding="utf-8")
    main(["fit", "--config", "mine.yaml"])
    main(["predict", "--config", "mine.yaml", "--data.predict_path", "rows.csv"])
    expected = pd.read_csv("runs/mine/version_0/predictions_rows.csv")["value"]
    answers = load_predictor("mine").predict(ROWS["table"])["answer"]
    np.testing.assert_allclose(answers, expected, rtol=1e-5)
    assert "features: doubled, whose code a file cannot bring" in fails(
        "export", "mine"
    )
    with pytest.raises(InputError, match=r"Predictor.load\(features="):
        Predictor.load("mine")
