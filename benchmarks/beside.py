"""Measure the working tree next to a revision: CPU time, wall time and peak memory.

    python benchmarks/beside.py b03bd3d9
    python benchmarks/beside.py b03bd3d9 --only imdb reuters --rounds 7 --markdown table.md

The revision is checked out into a temporary worktree and runs with the same interpreter and
packages. Each measurement runs in its own process and in an empty folder. The two sides take turns,
and the side that begins alternates. A first run of each side fills its cache and is not counted.
All workloads take about 15 minutes on two cores. CONTRIBUTING.md says when to run them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from measure import ProcessError, Usage, run

ROOT = Path(__file__).resolve().parents[1]
#: Ratios above this limit are marked.
LIMIT = 1.05
#: Seconds to spend on each side of a workload, which decide on the number of rounds.
SECONDS = 20
#: Lowest and highest number of rounds.
LEAST, MOST = 3, 9
MEASURES = {"cpu": "CPU s", "wall": "wall s", "peak": "peak MB"}

READ_CSV = """
from dlp.datamodules import TableDataModule
data = TableDataModule("FILES/wide.csv", "y")
data.fit()
data.inputs("train")
"""
ROWS = """
row = {"x0": 1, "x1": 0, "x2": 0, "x3": 0, "x4": 0, "day": "2021-05-01", "town": "Nice"}
rows = [row | {"kind": "a", "flag": True}] * 10
"""
#: The whole command except for the socket: requests go directly to the app that it would serve.
SERVE = f"""{ROWS}
import uvicorn

class Server:
    def __init__(self, config):
        self.app = config.app

    def run(self):
        from starlette.testclient import TestClient
        client = TestClient(self.app, base_url="http://localhost")
        for _ in range(300):
            answer = client.post("/predict", json={{"rows": rows}})
            assert answer.status_code == 200, answer.text

uvicorn.Server = Server
from dlp.cli import main
main(["serve", "HOME/model"])
"""
PREDICTOR = f"""{ROWS}
from dlp.inference import Predictor
predictor = Predictor.load("HOME/model")
for _ in range(300):
    predictor.predict(rows)
"""
MODEL = ["-m", "dlp", "fit", "--config", "FILES/prices.yaml", "--run_dir", "HOME/model"]


def dlp(command: str) -> list[str]:
    """Return the arguments for the interpreter that run a dlp command."""
    return ["-m", "dlp", *command.split()]


@dataclass(frozen=True)
class Workload:
    """A command to measure, as arguments for the interpreter.

    In the arguments, FILES is replaced by the folder of the generated files, and HOME by the folder
    of a side, which is kept between the runs.

    Args:
        words: Arguments of the measured run.
        data: Folder below DLP_DATA_DIR that the command reads. Empty if it reads none.
        prepare: Arguments of a run that is needed once before the measurements.
    """

    words: list[str]
    data: str = ""
    prepare: list[str] = field(default_factory=list)


FEW_BATCHES = "--trainer.limit_train_batches 30 --trainer.limit_val_batches 10"
WORKLOADS = {
    "help": Workload(dlp("--help")),
    "import": Workload(["-c", "from dlp.modules import DenseModule"]),
    "quickstart": Workload(dlp("fit --config quickstart --trainer.max_epochs 2")),
    "imdb": Workload(dlp("fit --config imdb"), "imdb"),
    "reuters": Workload(dlp("fit --config reuters"), "reuters21578"),
    "folds": Workload(dlp("crossval --config housing_kfold --data.split_seed 0 --repeats 10")),
    "cats_dogs": Workload(
        dlp(f"fit --config cats_dogs --trainer.max_epochs 2 {FEW_BATCHES}"), "cats_vs_dogs"
    ),
    "mnist": Workload(
        dlp("fit --config mnist --trainer.max_epochs 1 --trainer.limit_train_batches 150"), "mnist"
    ),
    "csv": Workload(["-c", READ_CSV]),
    "bins": Workload(dlp("fit --config FILES/bins.yaml")),
    "predict": Workload(
        dlp("predict --ckpt_path HOME/model --data.predict_path FILES/rows.parquet --output p.csv"),
        prepare=MODEL,
    ),
    "serve": Workload(["-c", SERVE], prepare=MODEL),
    "predictor": Workload(["-c", PREDICTOR], prepare=MODEL),
}


@dataclass(frozen=True)
class Side:
    """One of the two versions of dlp.

    Args:
        source: Folder that contains the package.
        home: Folder for its cache and its trained model.
    """

    source: Path
    home: Path

    def measure(self, words: list[str], files: Path) -> Usage:
        """Run a process with this version in an empty folder."""
        environment = {
            "PYTHONPATH": str(self.source),
            "DLP_CACHE_DIR": str(self.home / "cache"),
        }
        words = [w.replace("FILES", str(files)).replace("HOME", str(self.home)) for w in words]
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            return run([sys.executable, *words], environment, Path(folder))


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """Check out a revision into a folder while the block runs."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def num_rounds(seconds: float) -> int:
    """Return how many times to measure a workload that takes this many seconds."""
    return min(max(round(SECONDS / seconds), LEAST), MOST)


def compare(
    workload: Workload, sides: dict[str, Side], files: Path, rounds: int | None
) -> dict[str, dict[str, float]]:
    """Measure the sides in turns on a workload; return the median of each measure for each side."""
    seconds = 0.0
    for side in sides.values():
        if workload.prepare and not (side.home / "model").exists():
            side.measure(workload.prepare, files)
        seconds = side.measure(workload.words, files).wall  # not counted
    usages: dict[str, list[Usage]] = {name: [] for name in sides}
    order = list(sides)
    for _ in range(rounds or num_rounds(seconds)):
        for name in order:
            usages[name].append(sides[name].measure(workload.words, files))
        order.reverse()
    medians = {}
    for name, values in usages.items():
        medians[name] = {key: median(asdict(usage)[key] for usage in values) for key in MEASURES}
    return medians


def table(results: dict[str, dict[str, dict[str, float]] | str]) -> str:
    """Return a Markdown table of the medians and their ratios. Ratios above the limit are bold.

    Args:
        results: For each workload, the measures of the revision and of the working tree, in this
            order, or a sentence that says why they are missing.
    """
    head = ["workload"]
    for title in MEASURES.values():
        head += [f"{title}, before", "now", "ratio"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    marked = []
    for name, sides in results.items():
        if isinstance(sides, str):
            lines.append(f"| {name} | {sides} |" + " |" * (len(head) - 2))
            continue
        before, now = sides.values()
        cells = [name]
        for key, title in MEASURES.items():
            ratio = now[key] / before[key]
            text = f"{ratio:.2f}"
            if ratio > LIMIT:
                text = f"**{text}**"
                marked.append(f"{name} ({title} {ratio:.2f})")
            cells += [f"{before[key]:.4g}", f"{now[key]:.4g}", text]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Above {LIMIT}: {', '.join(marked) or 'none'}."])


def missing_data(workload: Workload) -> str:
    """Return why a workload cannot be measured, or an empty text if it can."""
    folder = os.environ.get("DLP_DATA_DIR")
    if not workload.data or (folder and (Path(folder) / workload.data).is_dir()):
        return ""
    return f"skipped: DLP_DATA_DIR has no {workload.data}"


def main() -> None:
    """Measure the workloads from the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", help="tag or commit to compare with, such as the last release")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, help="rounds of each workload; default by duration")
    parser.add_argument("--json", type=Path, help="file to write the medians to")
    parser.add_argument("--markdown", type=Path, help="file to write the table to")
    args = parser.parse_args()
    commit = f"{args.revision}^{{commit}}"
    find = ["git", "-C", str(ROOT), "rev-parse", "--quiet", "--verify", commit]
    if subprocess.run(find, stdout=subprocess.DEVNULL).returncode:
        parser.error(f"expected a tag or commit, got {args.revision!r}; see .ci/last_release.")
    results: dict[str, dict[str, dict[str, float]] | str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("files", "before", "now"):
            (folder / each).mkdir()
        files = folder / "files"
        run([sys.executable, str(ROOT / "benchmarks/beside_files.py"), str(files)], {})
        with checkout(args.revision, folder / "checkout") as old:
            sides = {
                "before": Side(old / "src", folder / "before"),
                "now": Side(ROOT / "src", folder / "now"),
            }
            for workload in args.only:
                result: dict[str, dict[str, float]] | str = missing_data(WORKLOADS[workload])
                try:
                    result = result or compare(WORKLOADS[workload], sides, files, args.rounds)
                except ProcessError as error:
                    print(error, file=sys.stderr)
                    result = "failed"
                results[workload] = result
                print(workload, result, file=sys.stderr, flush=True)
    text = table(results)
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
