"""Every config and variation runs with every command, on tiny sets in the files of their origin."""

import re

import pytest
import yaml

from dlp import load
from dlp.cli import main
from dlp.configs import named_configs
from dlp.datamodules.tables import housing
from dlp.datamodules.text import reuters
from dlp.recipes.settings import num_threads
from helpers.reference_sets import SMALLER, write_all

TRIAL = [
    f"--trainer.{name}" for name in ("fast_dev_run=true", "enable_progress_bar=false")
]
TRIAL += ["--trainer.enable_model_summary=false"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Write the reference sets; texts and images are stored once for all tests."""
    folder = tmp_path_factory.mktemp("sets")
    return folder, write_all(folder), tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def reference_sets(sets, monkeypatch):
    folder, (reuters_sha256, california_sha256), cache = sets
    monkeypatch.setenv("DLP_DATA_DIR", str(folder))
    monkeypatch.setenv("DLP_CACHE_DIR", str(cache))
    monkeypatch.setattr(reuters, "SHA256", reuters_sha256)
    monkeypatch.setattr(housing, "CALIFORNIA_SHA256", california_sha256)


def run(command, *configs):
    content = yaml.safe_load(named_configs()[configs[0]].read_text("utf-8"))
    words = [word for config in configs for word in ("--config", config)]
    for part in ("data", "model"):
        words += SMALLER.get(content[part]["class_path"], [])
    if command == "crossval" and "num_folds" not in content["data"].get(
        "init_args", {}
    ):
        words += ["--num_folds", "2"]
    main([command, *words, *TRIAL])


def maybe_slow(is_slow):
    """Return the marks of a parameter."""
    return [pytest.mark.slow] if is_slow else []


def recipe_runs():
    """Pair each recipe with each command.

    Quick are the first recipe of each data set, and the fits of the others but those of a backbone
    that the first one has.
    """
    data_sets = set()
    backbones = set()
    for config, path in named_configs().items():
        content = yaml.safe_load(path.read_text("utf-8"))
        data = content["data"]["class_path"]
        backbone = content["model"].get("init_args", {}).get("backbone")
        for command in ("fit", "crossval", "data"):
            is_slow = backbone in backbones if command == "fit" else data in data_sets
            yield pytest.param(config, command, marks=maybe_slow(is_slow))
        data_sets.add(data)
        if backbone is not None:
            backbones.add(backbone)


@pytest.mark.parametrize(("config", "command"), list(recipe_runs()))
def test_every_recipe_runs(config, command, tmp_path):
    if command == "crossval" and "finetune" in config:
        pytest.skip("starts from weights that have seen the rows")
    run(command, config)
    assert list(tmp_path.iterdir()) == []


def variation_runs():
    """Yield the variations; the first of each recipe is quick."""
    seen = set()
    for variation, path in named_configs("variations").items():
        recipe = re.search(r"--config (\w+)", path.read_text("utf-8"))[1]
        has_backbone = recipe.startswith("cats_dogs_f")  # VGG16, which takes a second
        yield pytest.param(variation, marks=maybe_slow(recipe in seen or has_backbone))
        seen.add(recipe)


@pytest.mark.parametrize("variation", list(variation_runs()))
def test_every_variation_runs_by_its_comment(variation):
    comment = named_configs("variations")[variation].read_text("utf-8").splitlines()[1]
    assert comment.startswith("# dlp fit --config ")
    run("fit", *re.findall(r"--config (\w+)", comment))


def test_the_convnets_have_the_sizes_that_their_configs_tell(sets):
    def parameters(config, **keys):
        recipe = load(config, **keys)
        return sum(
            weights.numel() for weights in recipe.model(recipe.data()).parameters()
        )

    sizes = {"data.per_class": 12, "data.val_size": 6, "data.test_size": 6}
    assert parameters("mnist") == 93_322
    assert parameters("cats_dogs", **sizes) == 3_453_121


@pytest.mark.parametrize(("units", "expected"), [(256, 1), (512, 7)])
def test_a_small_dense_net_on_a_cpu_runs_on_one_thread(units, expected, monkeypatch):
    monkeypatch.setattr("torch.accelerator.is_available", bool)
    monkeypatch.setattr("dlp.recipes.settings.own_number_of_threads", lambda: 7)
    recipe = load("mnist_dense", **{"model.hidden": [units]})
    assert num_threads(recipe.config) == expected
