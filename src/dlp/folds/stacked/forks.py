"""Work shared by processes that begin as copies of this one, each on a core of its own.

A step of many small nets is a dozen operations of some microseconds. Threads that share each
operation wait for each other as often: with neighbours on both cores, steps of 40 Boston nets took
three times as long on two threads as on one. Processes that have half of the nets each wait once.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from dlp.cores import num_cores
from dlp.process import cpu_threads

_T = TypeVar("_T")


def num_processes() -> int:
    """Return how many processes may share work here: 1 where none can be a copy of this one."""
    if not sys.platform.startswith("linux"):  # libraries of macOS do not stand it
        return 1
    if multiprocessing.current_process().daemon:  # a worker of a pool may have none
        return 1
    return num_cores()


def run_at_once(works: Sequence[Callable[[], _T]]) -> list[_T]:
    """Return what each function returns: the first one runs here, each other one in a copy.

    A copy writes nothing to the terminal, ends with this process, and has one thread, as this
    process has meanwhile. Where a copy fails or is killed, its function runs here: it goes on, or
    says why it cannot.

    Args:
        works: Functions on the CPU, whose results can be pickled.
    """
    first, *others = works
    context = multiprocessing.get_context("fork")
    copies: list[tuple[BaseProcess, Connection]] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(cpu_threads(1))
        for other in others:
            receiver, sender = context.Pipe(duplex=False)
            theirs = other, sender, [receiver, *(each for _, each in copies)]
            copy = context.Process(target=_run_and_send, args=theirs, daemon=True)
            with warnings.catch_warnings():
                # Of threads that sleep, such as a progress bar's; none holds what a copy needs.
                warnings.filterwarnings("ignore", ".*multi-threaded.*fork")
                copy.start()
            stack.callback(_end, copy)
            sender.close()
            copies.append((copy, receiver))
        found = [first()]
        for other, (_, receiver) in zip(others, copies, strict=True):
            try:
                found.append(receiver.recv())
            except EOFError:
                found.append(other())
        return found


def _end(copy: BaseProcess) -> None:
    """End a copy that still runs, when this process needs it no more."""
    if copy.is_alive():
        copy.terminate()
    copy.join()


def _run_and_send(
    work: Callable[[], object], sender: Connection, receivers: Sequence[Connection]
) -> None:
    """Send the result of `work`; nothing if it fails, or if the first process is no more.

    Args:
        work: The function.
        sender: Where its result goes.
        receivers: Those of the first process: were they open here, a result would wait for ever.
    """
    for receiver in receivers:
        receiver.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends this
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with contextlib.suppress(Exception):
        sender.send(work())


class EndsWithItsParent(Callback):
    """Ends a copy whose first process was killed."""

    def __init__(self) -> None:
        self._parent = os.getppid()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look whether the first process is still there."""
        if os.getppid() != self._parent:
            os._exit(1)
