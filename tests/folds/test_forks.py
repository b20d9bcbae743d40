"""Processes that share a stack of folds: copies of this one."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from test_crossval import dense, numbers

from dlp.crossval import cross_validate
from dlp.errors import InputError
from dlp.folds.stacked.forks import num_processes, run_at_once
from dlp.process import cpu_threads

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="a process is copied on Linux alone"
)


def test_each_work_has_a_process_and_results_keep_their_order():
    with cpu_threads(2):
        found = run_at_once([lambda: (os.getpid(), torch.get_num_threads())] * 3)
        assert torch.get_num_threads() == 2
    assert found[0] == (os.getpid(), 1)
    assert len({number for number, _ in found}) == 3
    assert {threads for _, threads in found} == {1}


@pytest.mark.parametrize("end", ["error", "kill"])
def test_what_a_copy_does_not_end_is_done_here(end):
    here = os.getpid()

    def work():
        if os.getpid() != here:
            if end == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("no memory in a copy")
        return "done"

    assert run_at_once([work, work]) == ["done", "done"]


def test_an_error_of_a_copy_is_raised_here_and_one_here_ends_the_copies():
    def refuse():
        raise InputError("no target fits.")

    with pytest.raises(InputError, match="no target fits"):
        run_at_once([lambda: None, refuse])
    with pytest.raises(InputError, match="no target fits"):
        run_at_once([refuse, lambda: time.sleep(600)])
    assert not multiprocessing.active_children()


def test_a_copy_with_much_to_say_ends_when_nobody_listens_any_more(tmp_path):
    note = tmp_path / "copies"

    def work():
        with note.open("a") as opened:
            opened.write(f"{os.getpid()}\n")
        return bytes(1 << 20)  # more than a pipe holds

    def end_at_once():
        while not note.exists() or len(note.read_text().splitlines()) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    if (first := os.fork()) == 0:
        run_at_once([end_at_once, work, work])
    os.waitpid(first, 0)
    copies = [int(number) for number in note.read_text().split()]
    until = time.monotonic() + 20
    while any(map(_runs, copies)):
        assert time.monotonic() < until
        time.sleep(0.01)


def _runs(process):
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_worker_of_a_pool_shares_with_nobody():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(num_processes) == 1


def test_folds_shared_by_processes_are_the_same_folds(monkeypatch, tmp_path):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    alone = cross_validate(numbers(), dense, 3, num_folds=6)
    asked = []

    def noting(works):
        asked.append(len(works))
        return run_at_once(works)

    monkeypatch.setattr("dlp.folds.stacked.stacks.run_at_once", noting)
    monkeypatch.setattr("dlp.folds.stacked.stacks.num_processes", lambda: 8)
    monkeypatch.setattr("dlp.folds.stacked.stacks._MOVES", 1)
    shared = cross_validate(numbers(), dense, 3, num_folds=6, folder=tmp_path, processes=3)
    assert asked == [3]
    for one, other in zip(alone.folds, shared.folds, strict=True):
        assert (one.repeat, one.fold) == (other.repeat, other.fold)
        for name, curve in one.history.items():
            assert curve == pytest.approx(other.history[name], rel=1e-5)
    assert not list(tmp_path.glob("stack_*"))
    cross_validate(numbers(), dense, 3, num_folds=6)
    assert asked == [3]  # it is nobody's choice but the caller's


def test_the_number_of_processes_is_checked():
    with pytest.raises(InputError, match="processes must be 1 or more, got 0"):
        cross_validate(numbers(), dense, 3, processes=0)
