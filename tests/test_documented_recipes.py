"""The documented recipes for own data: they run as they stand, and are those that were measured."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from table_examples import houses
from text_files import reviews, write_csv

from dlp.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
#: What a person changes, and what a benchmark adds.
OWN = {"path", "target", "text_column", "label_column", "split_seed", "task"}
QUIET = {"enable_progress_bar", "enable_model_summary"}


def recipe(kind):
    """Return the page's recipe of a DataModule, and its text."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [text for text in blocks if f"class_path: {kind}" in text]
    return yaml.safe_load(found), found


@pytest.fixture
def measured(monkeypatch):
    """Return the benchmark that measures recipes."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("own_data", ROOT / "benchmarks" / "own_data.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "own_data", module)
    spec.loader.exec_module(module)
    return module


def without(settings, names):
    return {name: value for name, value in settings.items() if name not in names}


@pytest.mark.parametrize(
    ("kind", "name"), [("TextDataModule", "reviews_3000"), ("TableDataModule", "boston")]
)
def test_the_recipe_is_the_one_that_was_measured(kind, name, measured):
    ours, _ = recipe(kind)
    theirs = measured.SETS[name].recipe(Path("data.csv"), 0, before=False)
    for part in ("data", "model"):
        assert without(ours[part]["init_args"], OWN) == without(theirs[part]["init_args"], OWN)
        assert ours[part]["class_path"] == theirs[part]["class_path"]
    assert ours["trainer"] == without(theirs["trainer"], QUIET)
    assert ours["test_after_fit"] == theirs["test_after_fit"]


def results(name):
    return json.loads(Path(f"runs/{name}/version_0/results.json").read_text())


def test_texts_by_the_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_csv(Path("reviews.csv"), reviews(60), header=("review", "verdict"))
    Path("reviews.yaml").write_text(recipe("TextDataModule")[1])
    main(["fit", "--config", "reviews.yaml", "--trainer.max_epochs", "2"])
    assert "logistic regression on TF-IDF" in capsys.readouterr().out
    assert set(results("reviews")["baselines"]) == {"linear"}


def test_a_table_by_the_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame = houses(100)
    frame.loc[::9, "area"] = None
    frame.to_csv("houses.csv", index=False)
    Path("houses.yaml").write_text(recipe("TableDataModule")[1])
    main(["fit", "--config", "houses.yaml", "--trainer.max_epochs", "2"])
    assert re.search(r"(baselines?|better).*test_mae", capsys.readouterr().out)
    assert set(results("houses")["baselines"]) == {"linear", "boosting"}
