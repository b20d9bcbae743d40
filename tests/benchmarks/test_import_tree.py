"""What imports cost by package: how Python's notes are read, and the tree that they make."""

import sys

import pytest


@pytest.fixture
def import_tree(load):
    return load("import_tree")


#: Of ``-X importtime``: what is imported stands before what imports it, and deeper.
NOTES = """\
import time: self [us] | cumulative | imported package
import time:    100000 |     100000 |     numpy
import time:    200000 |     300000 |   torch
import time:     60000 |      60000 |         scipy.signal
import time:    700000 |     760000 |       torchmetrics.audio
import time:     50000 |     810000 |     torchmetrics
import time:      1000 |       1000 |     lightning.fabric
import time:    390000 |    1201000 |   lightning
a warning of somebody
import time:      2000 |       2000 |   site
"""


def test_a_package_holds_what_it_imports_and_its_own_modules_are_one(import_tree):
    found, modules = import_tree.packages(NOTES.splitlines())
    assert modules == 8
    assert found[()] == pytest.approx(1.503)
    assert found[("torch",)] == pytest.approx(0.3)
    assert found[("torch", "numpy")] == pytest.approx(0.1)
    assert found[("lightning",)] == pytest.approx(1.201)
    assert found[("lightning", "torchmetrics")] == pytest.approx(0.81)
    assert found[("lightning", "torchmetrics", "scipy.signal")] == pytest.approx(0.06)


def test_the_dearest_come_first_and_what_takes_no_time_is_left_out(import_tree):
    before, _ = import_tree.packages(NOTES.splitlines())
    lines = import_tree.tree([before], [{(): 0.3, ("torch",): 0.3}])
    assert [line.split() for line in lines] == [
        ["all", "1.50", "0.30"],
        ["lightning", "1.20", "-"],
        ["torchmetrics", "0.81", "-"],
        ["scipy.signal", "0.06", "-"],
        ["torch", "0.30", "0.30"],
        ["numpy", "0.10", "-"],
    ]


def test_the_page_has_a_place_for_the_trees(import_tree):
    page = sys.modules["tables"].PAGE.read_text(encoding="utf-8")
    assert "<!-- import tree: begin -->" in page
