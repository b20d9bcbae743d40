import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from dlp.speed.forks import run_at_once

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux")


def test_each_function_has_a_process_of_one_thread_and_results_keep_their_order():
    here = os.getpid()
    functions = [lambda n=n: (n, os.getpid(), torch.get_num_threads()) for n in range(3)]
    results = run_at_once(functions)
    assert [number for number, _, _ in results] == [0, 1, 2]
    assert here not in {process for _, process, _ in results}
    assert {threads for _, _, threads in results} == {1}


def test_copies_end_with_a_process_that_was_killed(tmp_path):
    note = tmp_path / "copies"

    def work():
        with note.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(60)

    if (first := os.fork()) == 0:
        run_at_once([work, work])
    until = time.monotonic() + 30
    while not note.exists() or len(note.read_text().splitlines()) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    while any(is_alive(int(process)) for process in note.read_text().split()):
        assert time.monotonic() < until
        time.sleep(0.01)


def is_alive(process):
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
