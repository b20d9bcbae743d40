"""Run a process and measure it with all the processes that it starts."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAST = 2000
#: Unit of ru_maxrss in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Usage:
    """What a process took.

    Args:
        cpu: User and system seconds of the process and of those that it started.
        wall: Seconds from start to end.
        peak: Memory of the largest of these processes, in MB.
        start: Time of the start, as `time.time` has it.
        output: What the process printed.
    """

    cpu: float
    wall: float
    peak: float
    start: float
    output: str


class ProcessError(RuntimeError):
    """A process ended with another status than 0; the message has its last lines."""


def run(words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> Usage:
    """Run a process to its end.

    The peak of a process begins with the memory of the one that starts it, so the caller should
    import neither torch nor data.

    Args:
        words: Program and arguments.
        environment: Variables next to those of this process.
        folder: Working folder; None is the current one.

    Raises:
        ProcessError: If the process fails.
    """
    start = time.time()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            words,
            env={**os.environ, **environment},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.time() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        command = " ".join(words)
        raise ProcessError(f"{command} ended with status {process.returncode}:\n{text[-_LAST:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Usage(cpu, wall, usage.ru_maxrss * _UNIT / 1e6, start, text)
