"""Measure the working tree next to a revision: CPU time, wall time and peak memory.

    python benchmarks/beside.py b03bd3d9
    python benchmarks/beside.py b03bd3d9 --only imdb reuters --rounds 7 --markdown table.md

The revision is checked out into a temporary worktree and runs with the same interpreter and
packages. Each measurement is a process of its own in an empty folder. The two sides are measured in
turns, and which one begins alternates. A first run of each side fills its cache and does not count.
All workloads take some 15 minutes on two cores. CONTRIBUTING.md says when to run them.
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
#: Ratios above it are marked.
LIMIT = 1.05
#: Seconds of a workload and side from which its rounds follow, and their bounds.
SECONDS = 20
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
#: The whole command, but for the socket: requests reach the app of the server it would start.
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
    """Return the words of a command after the interpreter."""
    return ["-m", "dlp", *command.split()]


@dataclass(frozen=True)
class Workload:
    """Words after the interpreter; FILES and HOME become folders.

    Args:
        words: What is measured.
        data: Folder below DLP_DATA_DIR that it reads; empty for none.
        prepare: What is run once before; HOME is the folder of a side, which stays.
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
    """One of the two versions.

    Args:
        source: Folder that holds the package.
        home: Folder of its cache and its trained model.
    """

    source: Path
    home: Path

    def measure(self, words: list[str], files: Path) -> Usage:
        """Run a process of this version in an empty folder."""
        environment = {
            "PYTHONPATH": str(self.source),
            "DLP_CACHE_DIR": str(self.home / "cache"),
        }
        words = [w.replace("FILES", str(files)).replace("HOME", str(self.home)) for w in words]
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            return run([sys.executable, *words], environment, Path(folder))


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """Check a revision out into a folder, as long as the block runs."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def num_rounds(seconds: float) -> int:
    """Return how often a workload of some seconds is measured."""
    return min(max(round(SECONDS / seconds), LEAST), MOST)


def compare(
    workload: Workload, sides: dict[str, Side], files: Path, rounds: int | None
) -> dict[str, dict[str, float]]:
    """Measure a workload in turns; return the median of each measure by side."""
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
    """Return the medians and their ratios in Markdown; ratios above the limit are bold.

    Args:
        results: For each workload, the measures of the revision and of the working tree in this
            order, or a sentence that says why there are none.
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
    """Return why a workload cannot be measured; empty if it can."""
    folder = os.environ.get("DLP_DATA_DIR")
    if not workload.data or (folder and (Path(folder) / workload.data).is_dir()):
        return ""
    return f"skipped: DLP_DATA_DIR has no {workload.data}"


def main() -> None:
    """Measure the workloads of the command line and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", help="tag or commit, such as that of the last release")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, help="rounds of each workload; default by duration")
    parser.add_argument("--json", type=Path, help="file of the medians")
    parser.add_argument("--markdown", type=Path, help="file of the table")
    args = parser.parse_args()
    commit = f"{args.revision}^{{commit}}"
    find = ["git", "-C", str(ROOT), "rev-parse", "--quiet", "--verify", commit]
    if subprocess.run(find, stdout=subprocess.DEVNULL).returncode:
        parser.error(f"git knows no {args.revision!r}; .ci/last_release names the last release.")
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
