"""What the tests of benchmarks/ share."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
OWN = [path.stem for path in FOLDER.glob("*.py")]


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a file of benchmarks/, for this test alone."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in OWN:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in OWN:
        sys.modules.pop(name, None)
