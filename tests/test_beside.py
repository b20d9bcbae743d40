"""The comparison of the working tree with a revision."""

import os
import runpy
from pathlib import Path

import pytest

BESIDE = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks/beside.py"))
Usage = BESIDE["Usage"]
measure = BESIDE["measure"]


def test_a_process_is_measured_with_its_memory(tmp_path):
    code = "values = bytearray(200_000_000)\nfor _ in range(3_000_000): pass"
    small = measure(["-c", "pass"], tmp_path, dict(os.environ))
    large = measure(["-c", code], tmp_path, dict(os.environ))
    assert large.memory > small.memory + 150
    assert large.cpu > small.cpu
    assert large.wall > 0


def test_a_process_that_fails_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="1 / 0"):
        measure(["-c", "1 / 0"], tmp_path, dict(os.environ))


def test_the_table_marks_what_takes_more(tmp_path):
    usages = [Usage(1.0, 2.0, 100), Usage(3.0, 2.0, 100), Usage(2.0, 9.0, 100)]
    here = BESIDE["median"](usages)
    assert here == Usage(2.0, 2.0, 100)
    text = BESIDE["table"]({"imdb": (here, Usage(2.0, 1.0, 99))}, "v1.2.0")
    assert text.splitlines()[-1] == (
        "| imdb | 2.00 | 2.00 | 1.00 | 2.00 | 1.00 | 2.00 ! | 100 | 99 | 1.01 |"
    )
