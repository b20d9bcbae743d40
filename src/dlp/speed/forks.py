"""Run functions at the same time in copies of this process, each on its own core."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")

#: Functions to run. They are not pickled, because a forked process inherits them.
_functions: Sequence[Callable[[], Any]] = ()


def num_cores() -> int:
    """Return the number of cores that this process may use, or 1 if it cannot be forked."""
    if sys.platform != "linux":
        return 1
    return len(os.sched_getaffinity(0))


def run_at_once(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Return the results of functions without arguments, each run in a copy of this process."""
    global _functions
    _functions = functions
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(functions), context, initializer=_begin) as pool:
        return list(pool.map(_run, range(len(functions))))


def _run(number: int) -> Any:
    return _functions[number]()


def _begin() -> None:
    """Prepare a copy of the process: it ends when its parent ends, and computes on one thread.

    The threads of OpenMP are not copied, so computing on several threads would hang.
    """
    death_signal = 1  # PR_SET_PDEATHSIG of prctl.h
    ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)
    torch.set_num_threads(1)
