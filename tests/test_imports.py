"""A fit imports what it needs: pandas takes half a second and 150 MB, scikit-learn a second."""

import json
import subprocess
import sys

import pytest

from dlp.recipes.command_line import typed_recipe
from helpers.reference_sets import SMALLER, write_all, write_parquet
from helpers.sets import image_folder, points_table

#: Modules that take long to import.
SLOW_IMPORTS = ["pandas", "sklearn", "scipy.stats", "matplotlib.pyplot", "datasets"]
TABLE = {"pandas": "the rows are a data frame"}
TEST = {"pandas": "the worst rows of the test are written as a data frame"}
#: Recipe -> the slow imports that its fit brings, and why. One process fits the recipes in this
#: order, and an import stays: a recipe brings at least what those before it bring.
ALLOWED = {
    "imdb": {},
    "pictures.yaml": {},
    "arrays.yaml": {},
    "texts.yaml": {},
    "cats_dogs": {},
    "reuters": TEST,
    "mnist": TEST,
    "quickstart": TEST,
    "points.yaml": TABLE,
    "housing": TABLE,
    "housing_california": TABLE,
}
SIZES = {
    "imdb": SMALLER["IMDBDataModule"],
    "reuters": SMALLER["ReutersDataModule"],
    "cats_dogs": SMALLER["CatsVsDogsDataModule"],
}
RECIPES = {
    "points": "{class_path: TableDataModule, init_args: {path: points.csv, target: label}}",
    "texts": "{class_path: TextDataModule, init_args: {path: texts.csv}}",
    "pictures": "{class_path: ImageFolderDataModule, init_args: {path: pictures, image_size: 8}}",
    "arrays": "{class_path: few_numbers.Numbers}",
}
NUMBERS = """\
import numpy as np
from dlp.datamodules import ArrayDataModule

class Numbers(ArrayDataModule):
    def __init__(self):
        super().__init__(np.arange(40.0).reshape(20, 2), np.arange(20) % 2)
"""
FIT = """\
import json, sys
from unittest.mock import patch
from dlp.cli import main

for step in json.loads(sys.argv[1]):
    for name, value in step["patches"].items():
        patch(name, value).start()
    main(["fit", *step["words"]])
    print("imported", json.dumps(list(sys.modules)))
"""


def write_recipes(folder):
    """Write a recipe for each kind of a user's rows, with the rows."""
    points_table(folder / "points.csv")
    image_folder(folder / "pictures")
    texts = [f"a {'good' if row % 2 else 'bad'} film,{row % 2}" for row in range(20)]
    (folder / "texts.csv").write_text("\n".join(["text,label", *texts]))
    (folder / "few_numbers.py").write_text(NUMBERS)
    for name, data in RECIPES.items():
        model = "{class_path: DenseModule, init_args: {head: sigmoid, hidden: [4]}}"
        if name == "pictures":
            model = (
                "{class_path: ConvNetModule, init_args: {head: softmax, channels: [2]}}"
            )
        (folder / f"{name}.yaml").write_text(f"data: {data}\nmodel: {model}\n")


def fit_in_one_process(steps):
    """Fit recipes one after the other in a new process; return what is imported after each."""
    words = [sys.executable, "-c", FIT, json.dumps(steps)]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if line.startswith("imported ")]
    return [json.loads(line.removeprefix("imported ")) for line in lines]


@pytest.mark.slow
def test_a_fit_imports_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("DLP_DATA_DIR", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    write_recipes(tmp_path)
    reuters_sha256, california_sha256 = write_all(tmp_path)
    write_parquet(tmp_path)
    patches = {
        "reuters": {"dlp.datamodules.text.reuters.SHA256": reuters_sha256},
        "housing_california": {
            "dlp.datamodules.tables.housing.CALIFORNIA_SHA256": california_sha256
        },
    }
    steps = []
    for name in ALLOWED:
        words = ["--config", name, *SIZES.get(name, [])]
        words += ["--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"]
        step = {"words": words, "patches": patches.get(name, {})}
        for target, value in step["patches"].items():
            monkeypatch.setattr(target, value)
        recipe = typed_recipe("data", words, lambda recipe: None)
        recipe.data().fit()  # fills the cache: to read the files needs more
        steps.append(step)
    imported = fit_in_one_process(steps)
    for (recipe, allowed), modules in zip(ALLOWED.items(), imported, strict=True):
        slow = [name for name in SLOW_IMPORTS if name in modules]
        assert slow == list(allowed), recipe
