"""Every file in configs/ and every command its comments name, on small sets in the true format."""

import re
import shlex

import pytest
import yaml
from test_cats_dogs import pets  # noqa: F401 - a fixture
from test_housing import archive as california  # noqa: F401 - a fixture
from test_imdb import hub  # noqa: F401 - a fixture
from test_mnist import folder as mnist  # noqa: F401 - a fixture
from test_reuters import archive as reuters  # noqa: F401 - a fixture
from test_reuters import sgml  # noqa: F401 - a fixture of a fixture

from dlp.cli import main
from dlp.named_configs import config_folder

RECIPES = sorted(config_folder().glob("*.yaml"))
VARIATIONS = sorted(config_folder().glob("variations/*.yaml"))
DRY = ["--trainer.fast_dev_run", "true"]


@pytest.fixture
def here(tmp_path, monkeypatch, california, hub, mnist, pets, reuters):  # noqa: F811 - fixtures
    """Work in an empty folder beside the reference sets."""
    monkeypatch.setenv("DLP_DATA_DIR", str(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def test_there_are_configs():
    assert {path.stem for path in RECIPES} >= {
        *("quickstart", "imdb", "reuters", "housing", "mnist", "cats_dogs", "cats_dogs_augmented"),
    }
    assert {path.stem for path in VARIATIONS} >= {
        *("smaller", "bigger", "deeper", "l1", "l2", "l1_l2", "dropout", "bottleneck", "one_hot"),
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe(path, here, tmp_path, capsys):
    small = []
    if path.stem.startswith("cats_dogs"):  # on images of their own size in the next test
        small = ["--data.image_size", "64"]
    if "backbone: vgg16" in path.read_text():  # itself built in the next test
        small = ["--model.backbone", "squeezenet1_1", "--data.image_size", "32"]
    for command in ("fit", "validate", "test", "predict", "crossval"):
        main([command, "--config", path.stem, *DRY, *small])
        nothing = "nothing to validate" in capsys.readouterr().out
        unvalidated = "val_size: null" in path.read_text() and "num_folds" not in path.read_text()
        assert nothing == (command == "validate" and unvalidated)
    assert not list(here.iterdir())
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("path", RECIPES + VARIATIONS, ids=lambda path: path.stem)
def test_comment_says_what_how_and_what_to_expect(path, here):
    """The first comment names the experiment, a command that runs and the metric to expect."""
    what, command, expect = path.read_text().splitlines()[:3]
    assert re.fullmatch(r"# .{10,95}", what)
    assert expect.startswith("# Expect: ")
    program, *words = shlex.split(command.removeprefix("# "))
    assert program == "dlp"
    assert path.stem in words
    if any(word.startswith("cats_dogs_f") for word in words):  # VGG16 itself, on few pixels
        words += ["--data.image_size", "32"]
    main([*words, *DRY])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_says_what_decides_the_result(path):
    """Nothing of the experiment is left to a default that may change."""
    config = yaml.safe_load(path.read_text())
    assert {"data", "model", "trainer"} <= set(config)
    assert {"batch_size", "val_size"} <= set(config["data"]["init_args"])
    assert "head" in config["model"]["init_args"]
    assert "max_epochs" in config["trainer"]


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_a_whole_run_of_a_text_recipe(name, here):
    main(["fit", "--config", name, "--data.val_size", "4", "--trainer.max_epochs", "2"])
    main(["test", "--config", name])
    main(["predict", "--config", name])
    run = here / "runs" / name / "version_0"
    header = (run / "predictions.csv").read_text().splitlines()[0]
    assert "text,true,class,prob_" in header


@pytest.mark.usefixtures("undrawn_figures")
def test_the_documented_search_of_a_recipe_runs(here):
    page = (config_folder().parent / "docs" / "tuning.md").read_text(encoding="utf-8")
    *_, block = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    short = 'with_keys({"data.val_size": 4, "trainer.max_epochs": 1, '
    code = block.replace("with_keys({", short).replace("trials=50", "trials=1")
    assert code.count(short) == code.count("trials=1") == 1
    exec(code, {})
    assert (here / "runs/imdb/study_0/imdb_best.yaml").is_file()
