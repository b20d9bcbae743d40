"""One measured process, and what it ran on."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any


def run(
    words: Sequence[str], environment: Mapping[str, str], limit: float, tells: bool = False
) -> dict[str, Any]:
    """Run a command in a folder of its own; return what it measured of itself, and more.

    ``whole`` is its seconds from start to end, ``peak`` the most memory that it, or a process that
    it started, has held, in MB; ``cpu`` its processor seconds; ``begun`` when it was started. What
    fails is an ``error``, with the last lines that it said.

    Args:
        words: The command.
        environment: Its environment.
        limit: Seconds after which it is killed.
        tells: Whether the last line of its stdout is JSON, which is taken over.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        begun, start = time.time(), time.perf_counter()
        process = subprocess.Popen(
            [*words], env=dict(environment), cwd=folder, stdout=output, stderr=errors
        )
        timer = threading.Timer(limit, process.kill)
        timer.start()
        _, status, used = os.wait4(process.pid, 0)
        whole = time.perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        lines, said = _lines(output), _lines(errors)
    if process.returncode:
        last = " / ".join(line for line in (*lines, *said)[-3:] if line.strip())
        return {"error": f"exit {process.returncode}: {last}"}
    told = _json(lines) if tells else {}
    if told is None:
        return {"error": f"it tells nothing: {' / '.join(lines[-3:])}"}
    peak = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    cpu = used.ru_utime + used.ru_stime
    return {**told, "whole": whole, "cpu": cpu, "peak": peak, "begun": begun}


def _lines(output: IO[bytes]) -> list[str]:
    output.seek(0)
    return output.read().decode(errors="replace").splitlines()


def _json(lines: Sequence[str]) -> dict[str, Any] | None:
    """Return what the last line says; None if it is no object of JSON."""
    try:
        found = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def machine(backends: Mapping[str, str]) -> dict[str, str]:
    """Return the processor, its cores, and the versions of all that dlp is compared with."""
    said = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        rows = cpuinfo.read_text(encoding="utf-8").splitlines()
        pairs = [row.partition(":")[::2] for row in rows]
        said = {key.strip(): value.strip() for key, value in pairs}
    name = said.get("model name", platform.processor() or platform.machine())
    flags = [
        flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in said.get("flags", "")
    ]
    kinds = [
        f"{key.removeprefix('cpu ')} {said[key]}" for key in ("cpu family", "model") if key in said
    ]
    facts = {
        "processor": " ".join([name, *kinds, *flags]),
        "cores": str(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "python": platform.python_version(),
    }
    facts |= {package: version(package) for package in ("torch", "lightning", "torchmetrics")}
    facts |= {name: of for name, of in os.environ.items() if name == "OMP_NUM_THREADS"}
    for backend, python in backends.items():
        names = {"tensorflow": "tensorflow tensorflow_cpu"}.get(backend, backend).split()
        found = [
            info.name.removesuffix(".dist-info").replace("-", " ")
            for package in ("keras", *names)
            for info in Path(python)
            .parents[1]
            .glob(f"lib/python*/site-packages/{package}-*.dist-info")
        ]
        facts[f"Keras on {backend}"] = ", ".join(found)
    return facts


def version_of_dlp(*more: str) -> str:
    """Return the last commit that changed what is measured, or the version outside a checkout.

    A commit of documents or tests alone measures nothing else than the one before. A ``+`` stands
    behind it where something is changed since.

    Args:
        more: Files beside the package and its configs that are measured too.
    """

    def asked(*words: str) -> str:
        git = ["git", "-C", str(Path(__file__).parents[1]), *words, "--", "src", "configs", *more]
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()

    changed = "+" if asked("status", "--porcelain") else ""
    return asked("log", "-1", "--format=%h") + changed or version("dlp-lightning")
