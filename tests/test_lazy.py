import subprocess
import sys

import pytest

import dlp.datamodules
import dlp.modules
from dlp.lazy import lazy_exports

HEAVY = ("torch", "lightning", "torchmetrics", "datasets", "pandas", "scipy", "matplotlib")


@pytest.mark.parametrize("name", ["dlp", "dlp.modules", "dlp.datamodules", "dlp.callbacks"])
def test_an_import_loads_nothing_heavy(name):
    code = f"import sys, {name}; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("package", [dlp.modules, dlp.datamodules])
def test_every_listed_name_is_there_once_it_is_used(package):
    names = dir(package)
    assert names == sorted(names)
    assert len(names) >= 10
    for name in names:
        assert getattr(package, name).__name__ == name


def test_unknown_names_are_attribute_errors_as_import_and_hasattr_need_them():
    assert not hasattr(dlp.modules, "DensModule")
    with pytest.raises(AttributeError, match=r"'dlp\.modules' has no attribute 'DensModule'"):
        _ = dlp.modules.DensModule
    with pytest.raises(ImportError, match="cannot import name 'DensModule'"):
        from dlp.modules import DensModule  # noqa: F401 - the import is what is tested


def test_a_name_is_looked_up_in_the_submodule_that_is_its_home():
    getter, lister = lazy_exports("dlp", {"derived_seed": "seeds", "InputError": "errors"})
    assert lister() == ["InputError", "derived_seed"]
    from dlp.seeds import derived_seed

    assert getter("derived_seed") is derived_seed
