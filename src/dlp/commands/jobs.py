"""Several processes of one command that share its work, each with a log of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm.auto import tqdm

from dlp.console import bar_file
from dlp.errors import InputError


def run_jobs(
    commands: Sequence[Sequence[str]],
    logs: Path,
    title: str,
    total: int,
    done: Callable[[], int],
) -> None:
    """Run ``dlp`` commands at once, each in a process of its own, until all have ended.

    Where there are several GPUs, each process sees one of them.

    Args:
        commands: What stands after ``dlp``.
        logs: The folder of their logs, ``job_<number>.log``; those of processes that end well are
            removed.
        title: What the progress bar begins with.
        total: Units of work.
        done: Called from time to time: how many units are done.

    Raises:
        InputError: A process failed; the others went on to their end. It ends with what that one
            said last.
    """
    paths = [logs / f"job_{number}.log" for number in range(len(commands))]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, (command, path) in enumerate(zip(commands, paths, strict=True)):
            with path.open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "dlp", *command],
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env=_environment(number),
                    )
                )
        with tqdm(total=total, desc=title, dynamic_ncols=True, file=bar_file()) as bar:
            while any(process.poll() is None for process in processes):
                bar.update(done() - bar.n)
                time.sleep(0.2)
            bar.update(done() - bar.n)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()
    failed = [path for path, one in zip(paths, processes, strict=True) if one.returncode]
    for path in set(paths) - set(failed):
        path.unlink()
    if failed:
        said = failed[0].read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = said[-1].removeprefix("dlp: ") if said else "it said nothing"
        raise InputError(f"{len(failed)} of {len(paths)} processes failed ({failed[0]}): {last}")


def _environment(number: int) -> dict[str, str]:
    """Return the variables of process `number`."""
    environment = dict(os.environ)
    if torch.cuda.is_available() and (devices := torch.cuda.device_count()) > 1:
        known = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = [name for name in known.split(",") if name] or [*map(str, range(devices))]
        environment["CUDA_VISIBLE_DEVICES"] = names[number % len(names)]
    return environment
