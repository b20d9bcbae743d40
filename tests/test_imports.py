import re
import sys

import pytest
import torch.nn.functional as F

from dlp.errors import InputError
from dlp.imports import imported
from dlp.modules.heads import SigmoidHead


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """Make a working directory with a module in it, which Python's own path does not name."""
    (tmp_path / "own_code.py").write_text("def my_loss(logits, targets):\n    return 0 * logits\n")
    (tmp_path / "own_needs.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    return tmp_path


@pytest.mark.parametrize("path", ["torch.nn.functional.l1_loss", "torch.nn.functional:l1_loss"])
def test_a_dot_or_a_colon_stands_before_the_name(path):
    assert imported("loss", path) is F.l1_loss


@pytest.mark.parametrize("path", ["own_code.my_loss", "own_code:my_loss"])
def test_the_working_directory_is_looked_in_for_every_kind_and_the_path_stays(path, own_code):
    before = list(sys.path)
    assert imported("features", path).__name__ == "my_loss"
    head = SigmoidHead(2, loss=path, metrics=[path])
    assert head.make_metrics().keys() == {"my_loss"}
    assert sys.path == before


def test_a_working_directory_on_the_path_keeps_its_place(own_code, monkeypatch):
    monkeypatch.syspath_prepend(own_code)
    before = list(sys.path)
    assert imported("features", "own_code.my_loss").__module__ == "own_code"
    assert sys.path == before


@pytest.mark.parametrize(
    ("path", "known", "message"),
    [
        ("bec", ["bce", "mse"], "unknown loss 'bec'. Did you mean 'bce'? Accepted: bce, mse."),
        ("my_loss", [], "the loss 'my_loss' is no import path. Accepted: module.name"),
        ("..my_loss", ["bce"], "the loss '..my_loss' is no import path"),
        ("own_code.", ["bce"], "the loss 'own_code.' is no import path"),
        ("", [], "the loss '' is no import path"),
        ("own_code.my_los", [], "own_code has no 'my_los'. Did you mean 'my_loss'?"),
        ("torch.nn.BCLoss", ["bce"], "torch.nn has no 'BCLoss'. Did you mean 'BCELoss'?"),
        ("no_such_module.x", [], "No module named 'no_such_module'. A module must lie in the work"),
        ("own_needs.x", [], "cannot be imported: No module named 'no_such_package'"),
    ],
)
@pytest.mark.usefixtures("own_code")
def test_what_cannot_be_imported_is_said_with_the_nearest_name(path, known, message):
    with pytest.raises(InputError, match=re.escape(message)):
        imported("loss", path, known)
