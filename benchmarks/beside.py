"""CPU time, wall time and peak memory of the working tree next to a revision, as ratios.

    python benchmarks/beside.py b03bd3d9
    python benchmarks/beside.py v1.2.0 --only imdb quickstart --rounds 5 --output beside.md

Each workload runs in a new process, the two sides in turns, after a first round that is not counted
and fills the caches. The revision is checked out into a temporary worktree and runs in the same
environment. Ratios are those of the medians; above 1.05 they are marked. Reference sets are looked
for below ``DLP_DATA_DIR``; workloads whose set is absent are left out. All of it takes about a
quarter of an hour on two cores.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
#: A ratio above it is marked.
LIMIT = 1.05
SIDES = ("here", "there")
TABLE_CONFIG = """\
data:
  class_path: TableDataModule
  init_args: {path: wide.csv, target: y, bins: 16, batch_size: 4096, drop_duplicates: false}
model: {class_path: DenseModule, init_args: {head: regression, hidden: [32]}}
trainer: {max_epochs: 1}
"""
READ_CODE = """\
from dlp.datamodules import TableDataModule
options = {"parse_dates": ["day"]}
data = TableDataModule("mixed.csv", "y", id_column="code", read_csv=options, val_size=None)
data.examples("train")
"""
SERVE_CODE = """\
from starlette.testclient import TestClient
from dlp.commands import serve
from dlp.inference import Predictor
client = TestClient(serve.app(Predictor.load("wide")))
rows = [{f"x{place}": 0.5 for place in range(20)}]
for _ in range(200):
    assert client.post("/predict", json={"rows": rows}).status_code == 200
"""
FIT = ["-m", "dlp", "fit", "--config"]
FOLDS = ["-m", "dlp", "crossval", "--config", "housing_kfold", "--repeats", "10"]
PREDICT = ["-m", "dlp", "predict", "--config", "wide.yaml", "--data.predict_path", "wide.csv"]


class Workload(NamedTuple):
    """Work of one process.

    Args:
        arguments: Arguments of Python.
        rounds: Number of counted rounds; long work has fewer.
        data: Folder below ``DLP_DATA_DIR`` that it needs; empty for none.
    """

    arguments: list[str]
    rounds: int = 5
    data: str = ""


WORKLOADS = {
    "import dlp.modules": Workload(["-c", "import dlp.modules"], 7),
    "help": Workload(["-m", "dlp", "--help"], 7),
    "quickstart": Workload([*FIT, "quickstart", "--trainer.max_epochs", "1"]),
    "imdb": Workload([*FIT, "imdb"], data="imdb"),
    "reuters": Workload([*FIT, "reuters"], data="reuters21578"),
    "40 folds": Workload([*FOLDS, "--trainer.max_epochs", "20"], 3),
    "mnist, 1 epoch": Workload([*FIT, "mnist", "--trainer.max_epochs", "1"], 3, "mnist"),
    "cats and dogs, 2 epochs": Workload(
        [*FIT, "cats_dogs", "--trainer.max_epochs", "2"], 3, "cats_vs_dogs"
    ),
    "CSV of 500,000 x 11": Workload(["-c", READ_CODE]),
    "fit of 1 M x 20 with bins": Workload([*FIT, "wide.yaml"], 3),
    "predict 1 M rows": Workload(PREDICT, 3),  # with the model of the fit above
    "200 served predictions": Workload(["-c", SERVE_CODE], 3),
}


class Usage(NamedTuple):
    """What a process and its children took: seconds of the processors, seconds, megabytes."""

    cpu: float
    wall: float
    memory: float


def measure(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Usage:
    """Run Python in a new process and return what it took.

    Raises:
        RuntimeError: If the process fails.
    """
    # A small process starts it: the peak memory of a child begins with that of its parent.
    code = (
        "import resource, subprocess, sys, time\n"
        "start = time.perf_counter()\n"
        "run = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "wall = time.perf_counter() - start\n"
        "print(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)\n"
        "sys.exit(run.returncode)"
    )
    command = [sys.executable, "-c", code, *arguments]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{' '.join(arguments)[:200]} failed:\n{run.stderr[-2000:]}")
    cpu, wall, memory = map(float, run.stdout.split())
    return Usage(cpu, wall, memory)


def median(usages: Sequence[Usage]) -> Usage:
    """Return the median of each figure."""
    return Usage(*map(statistics.median, zip(*usages, strict=True)))


def table(results: dict[str, tuple[Usage, Usage]], revision: str) -> str:
    """Return the figures of both sides and their ratios as a Markdown table."""
    lines = [
        f"| workload | CPU s | {revision} | ratio | wall s | {revision} | ratio "
        f"| peak MB | {revision} | ratio |",
        "| --- |" + " ---: |" * 9,
    ]
    for name, (here, there) in results.items():
        cells = [name]
        for place, ours in enumerate(here):
            theirs = there[place]
            ratio = ours / theirs
            mark = " !" if ratio > LIMIT else ""
            digits = 0 if place == 2 else 2
            cells += [f"{ours:.{digits}f}", f"{theirs:.{digits}f}", f"{ratio:.2f}{mark}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_tables(folder: Path) -> None:
    """Write a table of mixed columns, a wide one of numbers, and its config."""
    random = np.random.default_rng(0)
    count = 500_000
    frame = pd.DataFrame({f"x{place}": random.normal(size=count).round(4) for place in range(5)})
    frame["code"] = [f"K{number:07}" for number in random.permutation(count)]
    frame["town"] = random.choice(["Paris", "Lyon", "Nice", "Lille"], count)
    frame["day"] = random.choice(pd.date_range("2020-01-01", periods=900).astype(str), count)
    frame["count"] = random.integers(0, 1000, count)
    frame["flag"] = random.random(count) < 0.3
    frame["y"] = frame.x0 + frame["count"] / 100
    frame.to_csv(folder / "mixed.csv", index=False)
    wide = pd.DataFrame(random.normal(size=(1_000_000, 20)).round(4))
    wide.columns = [f"x{place}" for place in range(20)]
    wide["y"] = wide.x0 - wide.x1
    wide.to_csv(folder / "wide.csv", index=False)
    (folder / "wide.yaml").write_text(TABLE_CONFIG)


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Yield a worktree of a revision."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", path, revision], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", path], check=True)


def run_round(
    workload: Workload, trees: dict[str, Path], folder: Path, number: int
) -> dict[str, Usage]:
    """Run a workload on both sides; which side begins alternates."""
    usages = {}
    for side in SIDES if number % 2 else reversed(SIDES):
        environment = {
            **os.environ,
            "PYTHONPATH": str(trees[side] / "src"),
            "DLP_CACHE_DIR": str(folder / f"cache_{side}"),
        }
        usages[side] = measure(workload.arguments, folder / side, environment)
    return usages


def main() -> None:
    """Measure the workloads and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", help="tag or commit to compare with")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, metavar="NAME", help="workloads")
    parser.add_argument("--rounds", type=int, help="counted rounds of each workload")
    parser.add_argument("--output", type=Path, help="file of the table, Markdown")
    options = parser.parse_args()
    sets = os.environ.get("DLP_DATA_DIR", "no folder")
    results = {}
    with checkout(options.revision) as tree, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = {"here": ROOT, "there": tree}
        (folder / "here").mkdir()
        write_tables(folder / "here")
        subprocess.run(["cp", "-r", folder / "here", folder / "there"], check=True)
        for title, workload in WORKLOADS.items():
            if options.only and title not in options.only:
                continue
            if workload.data and not Path(sets, workload.data).is_dir():
                print(f"{title}: left out, since DLP_DATA_DIR has no {workload.data}", flush=True)
                continue
            run_round(workload, trees, folder, 0)  # fills the caches
            rounds = []
            for number in range(options.rounds or workload.rounds):
                rounds.append(run_round(workload, trees, folder, number))
            here = median([usages["here"] for usages in rounds])
            there = median([usages["there"] for usages in rounds])
            results[title] = (here, there)
            print(table({title: results[title]}, options.revision).splitlines()[-1], flush=True)
    text = table(results, options.revision)
    print(f"\n{text}")
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
