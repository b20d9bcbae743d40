"""Processes that have torch and dlp loaded when they begin: a fresh one takes seconds for it.

They are children of a clean process that has only imported, not of the one that runs the tests:
what tests have set or opened (threads, a GPU, patches) is not theirs.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from dlp import cli

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["lightning", "pytest", "dlp.commands.fit", "dlp.commands.crossval", "dlp.tune"]
)


def begin(
    target: Callable[..., object], args: Sequence[Any], log: Path, environment: Mapping[str, str]
) -> BaseProcess:
    """Begin a function of a module in a process of its own, in the folder we are in.

    Args:
        target: The function.
        args: Its arguments.
        log: Where what the process says is added.
        environment: The variables of the process.
    """
    process = _CONTEXT.Process(target=_inside, args=(target, args, log, dict(environment)))
    process.start()
    return process


def ended(processes: Sequence[BaseProcess], seconds: float = 180) -> list[int | None]:
    """Wait for the end of processes and return their statuses; end those that take too long."""
    for process in processes:
        process.join(seconds)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def _inside(
    target: Callable[..., object], args: Sequence[Any], log: Path, environment: dict[str, str]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    target(*args)


def _dlp(words: Sequence[str]) -> None:
    sys.argv = ["dlp", *words]
    cli.main()


class DLP:
    """``python -m dlp ...``, begun and waited for as by `subprocess.Popen`."""

    def __init__(self, command, *, stdout, stderr, env):
        assert command[:3] == [sys.executable, "-m", "dlp"]
        self.process = begin(_dlp, [command[3:]], Path(stdout.name).resolve(), env)
        self.terminate, self.wait = self.process.terminate, self.process.join

    @property
    def returncode(self):
        return self.process.exitcode

    def poll(self):
        return self.returncode
