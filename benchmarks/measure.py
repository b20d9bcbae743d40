"""Run a process, and measure it together with the processes that it starts."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAST = 2000
#: Unit of ru_maxrss, in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Usage:
    """Time and memory that a process used.

    Args:
        cpu: User and system seconds of the process and of the processes that it started.
        wall: Seconds from its start to its end.
        peak: Peak memory of the largest of these processes, in MB.
        start: Time of the start, as returned by `time.time`.
        output: What the process printed.
    """

    cpu: float
    wall: float
    peak: float
    start: float
    output: str


class ProcessError(RuntimeError):
    """Error of a process that ends with a status other than 0; contains its last lines."""


def run(words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> Usage:
    """Run a process to its end.

    The peak memory of a process starts at that of its parent. The caller should therefore import
    neither torch nor data.

    Args:
        words: Program and arguments.
        environment: Environment variables to set in addition to the current ones.
        folder: Working directory. None means the current one.

    Raises:
        ProcessError: If the process ends with a status other than 0.
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
