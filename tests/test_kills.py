import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "benchmarks" / "kills.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="commands are copies of a process")
def test_commands_go_on_after_a_kill_as_if_unbroken():
    words = [sys.executable, str(HARNESS), "--number", "20", "--seed", "0"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("\n") == 13  # a row per command
