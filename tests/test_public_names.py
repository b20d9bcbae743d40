"""What users import by name: there, light, and typed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

import dlp.callbacks
import dlp.datamodules
import dlp.modules
import dlp.visualization
from dlp.parsing.short_names import SHORT_NAMES

HEAVY = ("torch", "lightning", "torchmetrics", "datasets", "pandas", "scipy", "matplotlib")
PACKAGES = (dlp.modules, dlp.datamodules, dlp.callbacks, dlp.visualization)

SCRIPT = """
import lightning
import numpy as np

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule, DenseNet
from dlp.visualization import activations

data = ArrayDataModule(np.zeros((8, 3), np.float32), np.zeros(8), batch_size=4)
model = DenseModule(input_shape=(3,), num_outputs=2, head="sigmoid", hidden=(16, 16), dropout=0.5)
lightning.Trainer(max_epochs=1, callbacks=[History()]).fit(model, data)
maps = activations(DenseNet((3,), 2), np.zeros((1, 3)), ["layers.0"])
"""


def test_imports_load_nothing_heavy_until_a_name_is_used():
    names = ["dlp", *(package.__name__ for package in PACKAGES)]
    code = f"import sys, {', '.join(names)}; print(*({{*{HEAVY}}} & {{*sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_listed_name_is_there_once_it_is_used(package):
    names = dir(package)
    assert names == sorted(names) == package.__all__
    assert len(names) >= 9
    for name in names:
        assert getattr(package, name).__name__ == name


def test_a_star_gives_the_public_names():
    found = {}
    exec("from dlp.modules import *", found)
    assert found.keys() - {"__builtins__"} == {*dlp.modules.__all__}
    assert found["DenseModule"] is dlp.modules.DenseModule


def test_configs_may_name_what_is_public_without_its_package():
    names = {*dlp.modules.__all__, *dlp.datamodules.__all__, *dlp.callbacks.__all__}
    assert names - SHORT_NAMES.keys() == {"ArrayDataModule"}


def test_a_command_imports_what_it_names_alone():
    code = """
import sys
from dlp.deferred_imports import defer_imports
defer_imports()
import dlp.commands.crossval, dlp.commands.fit
from dlp.recipe import Recipe

Recipe.parse(["--config", "reuters", "--trainer.callbacks", "MistakesReport"]).trainer()
print(*({"datasets", "matplotlib", "pandas", "torchvision", "torch._dynamo"} & {*sys.modules}),
      *({"scipy.sparse", "scipy.special", "sklearn"} & {*sys.modules}))
recipe = Recipe.parse(["--config", "quickstart", "--trainer.callbacks", "CacheFeatures"])
print(recipe.config.trainer.callbacks.class_path)
try:
    Recipe.parse(["--config", "quickstart", "--data", "ImageFoldrDataModule"])
except ValueError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, callback, error = run.stdout.splitlines()
    assert loaded == ""
    assert callback == "dlp.callbacks.CacheFeatures"
    assert "Did you mean 'ImageFolderDataModule'?" in error


def test_unknown_names_are_attribute_errors_as_import_and_hasattr_need_them():
    assert not hasattr(dlp.modules, "DensModule")
    with pytest.raises(AttributeError, match=r"dlp\.modules.*DensModule"):
        _ = dlp.modules.DensModule
    with pytest.raises(ImportError, match="cannot import name 'DensModule'"):
        from dlp.modules import DensModule  # noqa: F401 - the import is what is tested


def test_a_type_checker_sees_real_signatures(tmp_path, monkeypatch):
    wrong = {
        "hidden": (SCRIPT.replace("hidden=", "hiden="), 'argument "hiden" for "DenseModule"'),
        "head": (SCRIPT.replace('"sigmoid"', '"sigmod"'), 'Argument "head" to "DenseModule"'),
        "batch": (SCRIPT.replace("batch_size=", "bach_size="), 'argument "bach_size" for "Array'),
        "name": (SCRIPT.replace("DenseNet", "DensNet"), '"dlp.modules" has no attribute "DensNet"'),
        "layers": (SCRIPT.replace('["layers.0"]', "3"), 'Argument 3 to "activations"'),
    }
    (tmp_path / "right.py").write_text(SCRIPT)
    for name, (script, _) in wrong.items():
        (tmp_path / f"{name}.py").write_text(script)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MYPYPATH", str(Path(dlp.__file__).parents[1]))
    # Without torch's and Lightning's own types, which take half a minute to read, it takes seconds.
    options = ["--strict", "--no-site-packages", "--ignore-missing-imports", "--config-file="]
    options += ["--follow-imports=silent", f"--cache-dir={tmp_path / 'cache'}"]
    said, problems, _ = api.run([*options, *map(str, sorted(Path().glob("*.py")))])
    assert problems == ""
    assert "right.py" not in said
    for name, (_, message) in wrong.items():
        assert re.search(rf"^{name}\.py:\d+: error: .*{re.escape(message)}", said, re.M), said
    assert said.count("error: ") == len(wrong), said
