"""Where a training step's time goes, and how far it is from what the machine could do.

    pip install py-spy
    python benchmarks/step_profiles.py [WORKLOAD ...] [--py_spy PATH]

Each workload of against_keras.py runs twice as the command that it is. Once with `StepTimes`, which
notes when steps begin and lists the matrix products of one of them; once below py-spy, which looks
100 times a second where the process is, compiled code included. A sample counts for the code that
runs: compiled code of torch, or the package whose Python it is (the standard library counts for its
caller). What is below dlp's loader is loading, whatever runs there.

The limit of a step: each matrix product at the peak that the best of torch's ways reaches here, or
its operands and results once through memory (through the cache, where they are small), whichever
takes longer; then the numbers that RMSprop reads and writes. It leaves out activations, pooling,
loss, dropout, and what starts a kernel; of sparse texts it counts the additions alone.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from comparison_tables import measured_at
from machine_limits import decoding_rate, limit, machine_peaks
from processes import run, version_of_dlp
from tables import number, put, table
from workloads import FEW_IMAGES, NO_VALIDATION, WORKLOADS

from dlp.files import cache_dir, write_text

HERE = Path(__file__).resolve().parent
#: Workload -> epochs and the most steps of each: some seconds.
STEPS = {
    "imdb": (80, 30),
    "reuters": (80, 20),
    "boston": (120, 303),
    "mnist": (1, 400),
    "cached_head": (10, 100),
}
#: Images at a time when features are computed: the default of `CacheFeatures`.
FEATURES = 64
#: Part of the code -> its column.
PARTS = {
    "loading": "loading",
    "forward": "kernels: forward",
    "backward": "backward",
    "optimizer": "optimizer",
    "torch": "torch's Python",
    "lightning": "Lightning",
    "dlp": "dlp",
    "scipy": "SciPy, NumPy",
    "rest": "rest",
}
#: Frames below which steps, and the features of a frozen base, are computed.
STEP = r"advance \([^;]*/training_epoch_loop\.py"
OF_FEATURES = r"on_fit_start \([^;]*/callbacks/caching\.py"
PASSES = r"passes \([^;]*/dlp_way\.py"
#: Libraries of kernels; where the threads of one wait for the last, libgomp or libiomp is.
KERNELS = r"torch/lib/lib(torch|torch_cpu|c10|(gomp|iomp5)[^/]*)\.so"


def part_of(frames: list[str], loads: bool) -> str:
    """Return the part that a sample counts for: of ``NAME (FILE:LINE)`` and ``NAME (LIBRARY)``.

    Args:
        frames: The outermost first.
        loads: Whether what is below the loader is loading.
    """
    text = ";".join(frames)
    if loads and "/dlp/datamodules/loader.py" in text:
        return "loading"
    for frame in reversed(frames):
        place = re.split("/site-packages/|/src/", frame.rpartition("(")[2].rstrip(")"))[-1]
        is_made_here = frame.startswith("0x") and place == "?"  # oneDNN's and MKL's kernels are
        if is_made_here or re.match(KERNELS, place):
            return phase_of(frames)
        if re.match("torch(vision)?/", place):
            return "torch"
        if re.match("(lightning|lightning_utilities|torchmetrics)/", place):
            return "lightning"
        if re.match(r"dlp/|.*/dlp_way\.py", place):
            return "dlp"
        if re.match(r"(scipy|numpy)(\.libs)?/", place):
            return "scipy"
    return "rest"


def phase_of(frames: list[str]) -> str:
    """Return what a kernel of torch serves; the innermost frame that tells is right.

    Lightning calls forward and backward within the optimizer's step.
    """
    for frame in reversed(frames):
        if "_engine_run_backward" in frame:
            return "backward"
        if re.search(r"/optim/|/optimizers\.py", frame):
            return "optimizer"
        if re.match(r"(\w+\.)?training_step \(", frame):
            return "forward"
    return "forward"


def shares(samples: Iterable[str], within: str, loads: bool = True) -> dict[str, float]:
    """Return which part of the samples that hold a frame (a pattern) each part of the code has."""
    found: Counter[str] = Counter()
    for line in samples:
        stack, _, count = line.rpartition(" ")
        if re.search(within, stack):
            found[part_of(stack.split(";"), loads)] += int(count)
    total = sum(found.values())
    return {part: of / total for part, of in found.items()} | {"samples": float(total)}


class Profile:
    """A workload's command, run twice.

    Args:
        name: Its name.
        py_spy: The profiler.
        quick: Whether it is a trial on few rows.
    """

    def __init__(self, name: str, py_spy: str, quick: bool) -> None:
        self.name, self.workload, self.py_spy = name, WORKLOADS[name], py_spy
        self.quick, self.kind = quick, self.workload.job.kind
        self.home = cache_dir() / "step_profiles"
        self.cache = self.home / ("of_features" if self.kind == "features" else "cache")
        self.epochs, self.steps = STEPS.get(re.sub("_(repeated|bf16)$", "", name), (1, 60))
        if quick:
            self.epochs, self.steps = max(3, self.epochs // 8), min(self.steps, 20)

    def words(self, command: str, epochs: int) -> list[str]:
        """Return the words of a fit, or of a cross-validation."""
        workload = self.workload
        words = ["-m", "dlp", command, *workload.words, "--run_dir", "run"]
        if command == "fit":
            words += () if "--test_after_fit" in words else ("--test_after_fit", "null")
            words += () if NO_VALIDATION[0] in words else NO_VALIDATION
        if self.name == "finetune":  # the step is the same
            words += FEW_IMAGES
        if self.quick:
            words += workload.quick
        if command == "crossval":
            words += ["--repeats", str(workload.folds // 4)]
        else:
            words += ["--trainer.limit_train_batches", str(self.steps)]
        return [*words, "--trainer.max_epochs", str(epochs)]

    def started(self, words: list[str], tells: bool = False, **more: str) -> dict[str, Any]:
        """Run Python; return its seconds, and if it `tells` so what it measured of itself."""
        if self.kind == "features":
            shutil.rmtree(self.cache / "features", ignore_errors=True)
        path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        own = {"DLP_CACHE_DIR": str(self.cache), "PYTHONPATH": path}
        result = run(words, {**os.environ, **own, **more}, 600, tells)
        if "error" in result:
            raise SystemExit(f"{self.name}: {result['error']}")
        return result

    def noted(self) -> dict[str, Any]:
        """Return what `StepTimes` notes of the fit."""
        more = {"STEP_TIMES_OF_FEATURES": "1"} if self.kind == "features" else {}
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "times.json"
            epochs = self.epochs if self.workload.command == "fit" else 1
            words = [sys.executable, *self.words("fit", epochs)]
            words += ["--trainer.callbacks+", "step_times.StepTimes"]
            self.started(words, STEP_TIMES=str(place), **more)
            found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return found

    def profiled(self, words: list[str], within: str, loads: bool = True) -> dict[str, float]:
        """Return the shares of what happens below a frame."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "stacks.txt"
            spy = [
                self.py_spy,
                "record",
                "--native",
                "--full-filenames",
                "--subprocesses",
                "-r",
                "100",
            ]
            spy += ["--format", "raw", "-o", str(place), "--", sys.executable, *words]
            self.started(spy)
            with place.open(encoding="utf-8", errors="replace") as samples:
                return shares(samples, within, loads)

    def measured(self) -> dict[str, Any]:
        """Return seconds of a step, shares, and the machine's least seconds for it."""
        kind, fits = self.kind, self.workload.command == "fit"
        if kind == "input":
            return self.passes()
        noted = self.noted()
        peak = machine_peaks(noted["threads"])
        if kind == "features":
            times = FEATURES / noted["rows"]
            found = self.profiled(self.words("fit", 1), OF_FEATURES)
            seconds = noted["features"] * times
        elif fits:
            times, seconds = 1.0, statistics.median(noted["steps"])
            found = self.profiled(self.words("fit", self.epochs), STEP)
        else:
            times, words = self.workload.folds, self.words("crossval", self.epochs)
            found = self.profiled(words, STEP)
            few = self.epochs // 5
            took = [
                self.started([sys.executable, *self.words("crossval", epochs)])["cpu"]
                for epochs in (self.epochs, few)
            ]
            seconds = (took[0] - took[1]) / (self.epochs - few) / self.steps
        flops, least = limit(noted, peak, times)
        facts = {"seconds": seconds, "flops": flops, "least": least, "threads": noted["threads"]}
        return {**facts, "shares": found, "peak": peak}

    def passes(self) -> dict[str, Any]:
        """Return the same of a batch of images that is read; the first pass decodes."""
        folder = self.home / self.name
        job = replace(self.workload.job, folder=str(folder), epochs=8)
        way = str(HERE / "dlp_way.py")
        if not (folder / "jpegs").exists():
            words = [way, "export", job.dump(), "0", *self.workload.words_for(self.quick)]
            self.started([sys.executable, *words])
        shutil.rmtree(self.cache, ignore_errors=True)
        words = [way, "passes", job.dump()]
        times = self.started([sys.executable, *words], tells=True)
        first, *others = times["epochs"]
        many = [way, "passes", replace(job, epochs=40).dump()]
        found, threads = self.profiled(many, PASSES, loads=False), torch.get_num_threads()
        peak, files = machine_peaks(threads), sorted((folder / "jpegs").rglob("*.jpg"))[:200]
        pixels = 150 * 150 * 3 * job.batch
        bytes_moved = pixels * (1 + 4 + (4 + 4 if job.augment else 0))
        share = job.batch / times["rows"]
        decoding = [times["rows"] / first, decoding_rate(files, threads)]
        facts = {"seconds": statistics.median(others) * share, "flops": 0.0, "threads": threads}
        least = bytes_moved / peak["memory"]
        return {**facts, "least": least, "shares": found, "peak": peak, "decoding": decoding}


def row(name: str, of: dict[str, Any]) -> list[str]:
    """Return a workload's row of the table."""
    cells = [f"{100 * of['shares'].get(part, 0):.0f}" for part in PARTS]
    flops = f"{of['flops'] / 1e9:.3g}" if of["flops"] else "-"
    least, seconds = of["least"], of["seconds"]
    times = [f"{1000 * one:.3g}" for one in (seconds, least)]
    return [name, times[0], *cells, flops, times[1], f"{100 * least / seconds:.0f}"]


def text_of(results: dict[str, Any]) -> str:
    """Return the table, and what the machine can do."""
    known = {name: results[name] for name in WORKLOADS if name in results}
    head = ["workload", "step, ms", *(f"{title}, %" for title in PARTS.values())]
    head += ["GFLOP", "limit, ms", "reached, %"]
    lines = [table(head, [row(name, of) for name, of in known.items()]), ""]
    for threads in sorted({of["threads"] for of in known.values()}):
        peaks = [of["peak"] for of in known.values() if of["threads"] == threads]
        best = {key: max(one[key] for one in peaks) / 1e9 for key in peaks[0]}
        lines.append(
            f"{threads} thread{'s' * (threads > 1)}: {number(best['float32'])} GFLOP/s in float32, "
            f"{number(best['bfloat16'])} in bfloat16; copying {number(best['memory'])} GB/s in "
            f"memory, {number(best['cache'])} in the cache."
        )
    for name, of in known.items():
        if "decoding" in of:
            own, alone = of["decoding"]
            lines.append(
                f"{name}: {number(own)} images/s in the pass that decodes; decoding alone "
                f"{number(alone)}."
            )
    return "\n".join([*lines, f"torch {torch.__version__}; {measured_at(known)}."])


def main() -> None:
    """Measure workloads, and write the table of all that are known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--py_spy", default=shutil.which("py-spy"), help="the profiler")
    parser.add_argument("--quick", action="store_true", help="try it on few rows, and only print")
    given = parser.parse_args()
    if unknown := set(given.workloads) - set(WORKLOADS):
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    if not given.py_spy:
        parser.error("there is no py-spy: pip install py-spy, or give --py_spy PATH")
    home = cache_dir() / "step_profiles" / ("quick.json" if given.quick else "results.json")
    home.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(home.read_text(encoding="utf-8")) if home.exists() else {}
    for name in given.workloads or WORKLOADS:
        of = Profile(name, given.py_spy, given.quick).measured()
        results[name] = {**of, "dlp": version_of_dlp()}
        write_text(home, json.dumps(results, indent=1))
        print(row(name, of), f"{of['shares']['samples']:.0f} samples", flush=True)
    print(text_of(results)) if given.quick else put("step profiles", text_of(results))


if __name__ == "__main__":
    main()
