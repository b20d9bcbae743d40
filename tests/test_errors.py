import re
import tomllib
from pathlib import Path

import pytest

from dlp.errors import InputError, extra

ROOT = Path(__file__).parents[1]


def test_a_missing_package_is_a_sentence_with_the_command_that_installs_it():
    command = re.escape('no_such_package is not installed: pip install "dlp-lightning[serve]".')
    with pytest.raises(InputError, match=command), extra("serve"):
        import no_such_package  # noqa: F401  # its absence is the test


def test_every_extra_that_a_sentence_names_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    names = {*re.findall(r'with extra\("(\w+)"\)', sources)}
    assert names <= {*project["optional-dependencies"]}
    assert "tune" in names
