"""Functions run at once by copies of this process, each on a core of its own."""

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

#: Functions to run: a copy of the process has them, so they need not be pickled.
_functions: Sequence[Callable[[], Any]] = ()


def num_cores() -> int:
    """Return the number of processes that may run at once; 1 where copies are not possible."""
    if sys.platform != "linux":
        return 1
    return len(os.sched_getaffinity(0))


def run_at_once(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Return the result of each function, each run by a copy of this process."""
    global _functions
    _functions = functions
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(functions), context, initializer=_begin) as pool:
        return list(pool.map(_run, range(len(functions))))


def _run(number: int) -> Any:
    return _functions[number]()


def _begin() -> None:
    """End with the parent, and compute on one thread: OpenMP's threads are not copied."""
    death_signal = 1  # PR_SET_PDEATHSIG of prctl.h
    ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)
    torch.set_num_threads(1)
