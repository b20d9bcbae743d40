"""The comparison with a revision: what is measured, and the table."""

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def names_of(file, monkeypatch):
    """Return the names of a benchmark, whose neighbours it imports."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return runpy.run_path(str(BENCHMARKS / file))


@pytest.fixture
def beside(monkeypatch):
    return names_of("beside.py", monkeypatch)


@pytest.fixture
def measure(monkeypatch):
    return names_of("measure.py", monkeypatch)


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no wait4")


def test_a_process_is_measured_with_those_that_it_starts(measure, tmp_path):
    code = (
        "import subprocess, sys, os\n"
        "work = 'memory = bytearray(150_000_000)\\nfor _ in range(3_000_000): pass'\n"
        "subprocess.run([sys.executable, '-c', work], check=True)\n"
        "print(os.getcwd(), os.environ['SIDE'])"
    )
    usage = measure["run"]([sys.executable, "-c", code], {"SIDE": "now"}, tmp_path)
    assert usage.output.split() == [str(tmp_path), "now"]
    assert usage.peak > 150
    assert usage.cpu > 0.03
    assert usage.wall > 0.03


def test_a_process_that_fails_is_an_error_with_its_last_lines(measure):
    with pytest.raises(measure["ProcessError"], match="ZeroDivisionError"):
        measure["run"]([sys.executable, "-c", "1 / 0"], {})


def test_the_table_has_medians_and_ratios_and_marks_what_is_above_the_limit(beside):
    results = {
        "imdb": {
            "before": {"cpu": 10.0, "wall": 8.0, "peak": 400.0},
            "now": {"cpu": 11.66, "wall": 8.4, "peak": 550.0},
        },
        "help": {
            "before": {"cpu": 0.2, "wall": 0.3, "peak": 20.0},
            "now": {"cpu": 0.1, "wall": 0.3, "peak": 20.0},
        },
        "mnist": "skipped: DLP_DATA_DIR has no mnist",
    }
    head, _, imdb, help_, mnist, empty, last = beside["table"](results).splitlines()
    assert head.startswith(
        "| workload | CPU s, before | now | ratio | wall s, before |"
    )
    assert (
        imdb
        == "| imdb | 10 | 11.66 | **1.17** | 8 | 8.4 | 1.05 | 400 | 550 | **1.38** |"
    )
    assert help_ == "| help | 0.2 | 0.1 | 0.50 | 0.3 | 0.3 | 1.00 | 20 | 20 | 1.00 |"
    assert mnist.startswith("| mnist | skipped: DLP_DATA_DIR has no mnist |")
    assert mnist.count("|") == head.count("|")
    assert empty == ""
    assert last == "Above 1.05: imdb (CPU s 1.17), imdb (peak MB 1.38)."


def test_both_sides_are_measured_in_turns_after_a_run_that_does_not_count(
    beside, tmp_path
):
    log = tmp_path / "log"
    code = (
        "import os, pathlib, sys\n"
        "assert not os.listdir()\n"
        "name = pathlib.Path(os.environ['DLP_CACHE_DIR']).parent.name\n"
        f"open({str(log)!r}, 'a').write(name + os.environ['PYTHONPATH'] + ' ')"
    )
    sides = {}
    for name in ("before", "now"):
        (tmp_path / name).mkdir()
        sides[name] = beside["Side"](name.upper(), tmp_path / name)
    medians = beside["compare"](
        beside["Workload"](["-c", code]), sides, tmp_path, rounds=2
    )
    names = log.read_text().replace("BEFORE", "").replace("NOW", "").split()
    assert names[:2] == ["before", "now"]  # not counted
    assert names[2:] == ["before", "now", "now", "before"]
    assert {"beforeBEFORE", "nowNOW"} == set(log.read_text().split())
    assert list(medians) == ["before", "now"]
    assert medians["now"]["cpu"] > 0


@pytest.mark.parametrize(("seconds", "rounds"), [(0.1, 9), (5, 4), (60, 3)])
def test_short_workloads_are_measured_more_often(beside, seconds, rounds):
    assert beside["num_rounds"](seconds) == rounds


def test_sets_that_are_not_there_are_named(beside, tmp_path, monkeypatch):
    workload = beside["WORKLOADS"]["imdb"]
    assert beside["missing_data"](workload) == "skipped: DLP_DATA_DIR has no imdb"
    monkeypatch.setenv("DLP_DATA_DIR", str(tmp_path))
    (tmp_path / "imdb").mkdir()
    assert beside["missing_data"](workload) == ""
