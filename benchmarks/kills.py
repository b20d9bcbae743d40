"""Kill commands at random moments, resume them, and compare with uninterrupted runs.

    python benchmarks/kills.py --number 20 --seed 0

Each command runs in a fork of this process, which has imported everything (only on Linux). It gets
SIGKILL, SIGTERM or SIGINT at a random time, or before a random one of its file operations. Then the
script calls the command again, as a user would. The table is in docs/benchmarks.md. The exit status
is 1 if a command did not resume or did not end with the results of the uninterrupted run.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torchvision
import yaml
from PIL import Image

from dlp.callbacks.checkpoints import LastCheckpoint
from dlp.cli import COMMANDS, main
from dlp.inference import Predictor

Results = dict[str, str]

POINTS = """\
data: {class_path: TableDataModule, init_args: {path: points.csv, target: label, test_size: 0.2}}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [8], dropout: 0.2}}
trainer: {max_epochs: 6, enable_progress_bar: false}
test_after_fit: best
"""
TEXTS = """\
data: {class_path: TextDataModule, init_args: {path: texts.csv, test_size: 0.2}}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [8], dropout: 0.5}}
trainer: {max_epochs: 6, enable_progress_bar: false}
"""
IMAGES = """\
data: {class_path: ImageFolderDataModule, init_args: {path: photos, image_size: 32, val_size: 6}}
model: {class_path: ConvNetModule, init_args: {head: sigmoid, channels: [4, 4], dense: [8]}}
trainer: {max_epochs: 6, enable_progress_bar: false}
"""
FEATURES = """\
data: {class_path: ImageFolderDataModule, init_args: {path: photos, image_size: 32, val_size: 6}}
model:
  class_path: PretrainedModule
  init_args: {head: sigmoid, backbone: shufflenet_v2_x0_5, weights: backbone.pt, hidden: [4]}
trainer: {max_epochs: 6, enable_progress_bar: false, callbacks: [{class_path: CacheFeatures}]}
"""
CONFIGS = {"points": POINTS, "texts": TEXTS, "images": IMAGES, "features": FEATURES}
SPACE = "model.dropout: {low: 0.0, high: 0.5}\nmodel.hidden: [[4], [8]]\n"
NUM_TRIALS = 3
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUSES = {signal.SIGKILL: {-9}, signal.SIGTERM: {-15, 143}, signal.SIGINT: {-2, 130}}
_WRITES = os.O_WRONLY | os.O_RDWR
_RUN = "runs/points/version_0"
#: Modules that commands import only when they need them.
_MODULES = (
    "alembic.command",
    "attrs",
    "matplotlib.pyplot",
    "onnxruntime",
    "onnxscript",
    "pyarrow.feather",
    "sklearn.ensemble",
    "sqlalchemy.orm",
    "torch._dynamo",
    "torch.export",
)


def write_inputs(folder: Path) -> None:
    """Write the table, the texts, the images, the weights and the configs."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(2, 80))
    labels = np.where(x + y > 0, "yes", "no")
    pd.DataFrame({"x": x, "y": y, "label": labels}).to_csv(folder / "points.csv", index=False)
    words = np.array(["good", "bad", "film", "plot", "actor", "music", "end"])
    texts = [" ".join(draw.choice(words, 9)) for _ in range(60)]
    tones = ["yes" if text.count("good") > text.count("bad") else "no" for text in texts]
    pd.DataFrame({"text": texts, "label": tones}).to_csv(folder / "texts.csv", index=False)
    for number in range(24):
        path = folder / "photos" / ("cats", "dogs")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 100, (40, 40, 3)) + 100 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    torch.manual_seed(0)
    backbone = torchvision.models.shufflenet_v2_x0_5()
    torch.save(backbone.state_dict(), folder / "backbone.pt")
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "space.yaml").write_text(SPACE)


# Results to compare ----------------------------------------------------------------------------


def _weights(path: Path) -> str:
    """Return a digest of the weights in a checkpoint, and its state for answers (calibration)."""
    content = torch.load(path, weights_only=True)
    digest = hashlib.sha256()
    for name, tensor in content["state_dict"].items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return f"{digest.hexdigest()} {content['spec']['answer']}"


def _newest(folder: Path, kind: str = "version") -> Path:
    runs = folder.glob(f"runs/*/{kind}_*")
    return max(runs, key=lambda run: int(run.name.rpartition("_")[2]))


def fit_results(folder: Path) -> Results:
    """Return the metrics, results and weights of a fit."""
    run = _newest(folder)
    results = json.loads((run / "results.json").read_text())
    del results["seconds"], results["date"]
    content = {"metrics": (run / "metrics.csv").read_text(), "results": json.dumps(results)}
    for name in ("best", "last"):
        content[name] = _weights(run / f"checkpoints/{name}.ckpt")
    return content


def crossval_results(folder: Path) -> Results:
    """Return the summary and predictions of a cross-validation."""
    return {
        name: (_newest(folder) / name).read_text() for name in ("crossval.json", "out_of_fold.csv")
    }


def tune_results(folder: Path) -> Results:
    """Return the number of finished trials, and whether the study and the table agree on them."""
    study = _newest(folder, "study")
    with sqlite3.connect(study / "study.db") as database:
        query = "SELECT number FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
        numbers = [number for (number,) in database.execute(query)]
    states = pd.read_csv(study / "trials.csv").set_index("number")["state"]
    finished = states[states.isin(["COMPLETE", "PRUNED"])]
    is_sound = len(set(numbers)) == len(numbers) and sorted(finished.index) == sorted(numbers)
    return {"trials": f"{len(numbers)}, sound: {is_sound}"}


def file_results(folder: Path) -> Results:
    """Return the predictions and the report of a run if they exist, and its checkpoint."""
    run = folder / _RUN
    content = {}
    for name in ("predictions.csv", "report.html"):
        if (run / name).exists():
            content[name] = (run / name).read_text()
    content["weights"] = _weights(run / "checkpoints/best.ckpt")
    return content


def export_results(folder: Path) -> Results:
    """Return the predictions of an exported model."""
    path = folder / _RUN / "exported/model.onnx"
    if not path.exists():
        return {}
    rows = pd.read_csv(folder / "points.csv").head()
    return {"scores": str(Predictor.load(path).scores(rows).tolist())}


# Commands ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A command to kill.

    Args:
        words: Words of the command.
        results: Function that takes the folder of the command and returns the results to compare.
        needs_run: Whether the command works on a finished fit.
    """

    words: list[str]
    results: Callable[[Path], Results]
    needs_run: bool = False


_CROSSVAL = ["crossval", "--config", "points.yaml", "--num_folds", "3"]
CASES = {
    "fit (table)": Case(["fit", "--config", "points.yaml"], fit_results),
    "fit (texts, tokenised)": Case(["fit", "--config", "texts.yaml"], fit_results),
    "fit (images, decoded)": Case(["fit", "--config", "images.yaml"], fit_results),
    "fit (features, computed)": Case(["fit", "--config", "features.yaml"], fit_results),
    "crossval (stacked)": Case(_CROSSVAL, crossval_results),
    "crossval (serial, kept)": Case(
        [*_CROSSVAL, "--engine", "serial", "--keep", "true"], crossval_results
    ),
    "tune": Case(
        ["tune", "--config", "points.yaml", "--space", "space.yaml", "--trials", str(NUM_TRIALS)],
        tune_results,
    ),
    "predict": Case(["predict", "--ckpt_path", _RUN], file_results, needs_run=True),
    "export": Case(["export", _RUN], export_results, needs_run=True),
    "calibrate": Case(["calibrate", _RUN], file_results, needs_run=True),
    "report": Case(["report", _RUN], file_results, needs_run=True),
}


@dataclass(frozen=True)
class Strike:
    """A signal at a time, in seconds, or before a file operation, counted from 0."""

    signal: signal.Signals
    seconds: float | None = None
    operation: int | None = None


def run(folder: Path, words: list[str], strike: Strike | None = None) -> tuple[int, int]:
    """Run a command in a fork of this process; return its status and number of file operations."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _run_child(folder, words, strike, sender)
    os.close(sender)
    if strike is not None and strike.seconds is not None:
        time.sleep(strike.seconds)
        os.kill(child, strike.signal)
    _, status = os.waitpid(child, 0)
    with os.fdopen(receiver) as pipe:
        operations = int(pipe.read() or 0)
    return os.waitstatus_to_exitcode(status), operations


def _run_child(folder: Path, words: list[str], strike: Strike | None, sender: int) -> None:
    log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(folder)
    signal.alarm(300)  # ends a command that hangs
    operations = 0

    def count(event: str, args: tuple[Any, ...]) -> None:
        nonlocal operations
        if event == "open":
            is_write = bool(args[2] & _WRITES)
        else:
            is_write = event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir")
        if (
            not is_write
            or isinstance(args[0], int)
            or folder not in Path(args[0]).absolute().parents
        ):
            return
        operations += 1
        if strike is not None and strike.operation == operations - 1:
            os.kill(os.getpid(), strike.signal)

    sys.addaudithook(count)
    status = 0
    try:
        main(words)
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    os.write(sender, str(operations).encode())
    sys.stdout.flush()
    os._exit(status)


# Checks -----------------------------------------------------------------------------------------


def check_readable(folder: Path) -> None:
    """Read each file that a user could take for a result. A damaged file raises an error."""
    for path in folder.rglob("[!.]*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".csv":
            pd.read_csv(path)
        elif path.suffix == ".ckpt":
            torch.load(path, weights_only=True)
        elif path.suffix == ".yaml":
            yaml.safe_load(path.read_text())
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".jsonl":
            for line in path.read_text().splitlines(keepends=True):
                assert not line.endswith("\n") or json.loads(line)
        elif path.suffix == ".db":
            with sqlite3.connect(path) as database:
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def check_killed(case: Case, folder: Path, strike: Strike, status: int, known: Results) -> None:
    """Check the status, the messages and the files of a killed command."""
    assert status in STATUSES[strike.signal], f"status {status}"
    log = folder.with_suffix(".log").read_text()
    assert "Traceback" not in log, "a traceback"
    check_readable(folder)
    hidden = [path.name for path in folder.rglob(".*") if path.name != ".lock"]
    assert strike.signal == signal.SIGKILL or not hidden, f"leaves {hidden}"
    if case.needs_run:
        old = case.results(folder.parent / "fitted")
        for name, content in case.results(folder).items():
            assert content in (old.get(name), known[name]), f"{name} is half"


def go_on(case: Case, folder: Path) -> int:
    """Call the command again as a user would; a fit is resumed from its last checkpoint."""
    words = case.words
    if words[0] == "fit":
        finished = list(folder.glob("runs/*/version_0/checkpoints/last.ckpt"))
        if finished:
            words = ["fit", "--ckpt_path", str(finished[0].parents[1].relative_to(folder))]
    status, _ = run(folder, words)
    return status


class Harness:
    """Folders with inputs, and uninterrupted runs to compare with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "inputs").mkdir()
        write_inputs(root / "inputs")
        shutil.copytree(root / "inputs", root / "fitted")
        run(root / "fitted", CASES["fit (table)"].words)
        self.unbroken: dict[str, tuple[Results, float, int]] = {}

    def copy(self, case: Case, name: str) -> Path:
        """Return a new folder in which a command can run."""
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").write_text("")
        return Path(shutil.copytree(self.root / ("fitted" if case.needs_run else "inputs"), folder))

    def known(self, name: str) -> tuple[Results, float, int]:
        """Return the results, seconds and number of file operations of an uninterrupted run."""
        if name not in self.unbroken:
            case = CASES[name]
            folder = self.copy(case, re.sub(r"\W+", "_", name))
            run(folder, case.words)  # the first run is slower and not measured
            folder = self.copy(case, re.sub(r"\W+", "_", name))
            start = time.perf_counter()
            status, operations = run(folder, case.words)
            assert status == 0, folder.with_suffix(".log").read_text()
            seconds = time.perf_counter() - start
            self.unbroken[name] = (case.results(folder), seconds, operations)
        return self.unbroken[name]

    def kill(self, name: str, draw: np.random.Generator) -> str | None:
        """Kill a command once and resume it; return what is wrong, or None."""
        case = CASES[name]
        known, seconds, operations = self.known(name)
        number = SIGNALS[draw.integers(len(SIGNALS))]
        status = 0
        while status == 0:  # again if it ended before the signal
            folder = self.copy(case, "killed")
            strike = Strike(number, seconds=draw.uniform(0, seconds))
            if draw.random() < 0.5:
                strike = Strike(number, operation=int(draw.integers(operations)))
            status, _ = run(folder, case.words, strike)
        try:
            check_killed(case, folder, strike, status, known)
            status = go_on(case, folder)
            assert status == 0, f"going on ends with {status}"
            check_readable(folder)
            results = case.results(folder)
            names = [each for each in known if results.get(each) != known[each]]
            assert not names, f"other {', '.join(names)}"
        except Exception as error:
            moment = strike.seconds if strike.operation is None else f"operation {strike.operation}"
            return f"{strike.signal.name} at {moment}: {error!r}"
        return None


def benchmark(number: int, seed: int, only: str, keep: Path | None) -> int:
    """Print a row for each command; return the number of failures."""
    kills: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    names = [name for name in CASES if only in name]
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder))
        with suppress(KeyboardInterrupt):  # Ctrl-C: print the table of the attempts so far
            for attempt in range(number):
                name = names[attempt % len(names)]
                problem = harness.kill(name, np.random.default_rng([seed, attempt]))
                kills[name] += 1
                if problem is not None:
                    failures[name] += 1
                    print(f"attempt {attempt}, {name}: {problem}", flush=True)
                    if keep is not None:
                        shutil.copytree(f"{folder}/killed", keep / str(attempt))
                        shutil.copy(f"{folder}/killed.log", keep / f"{attempt}.log")
    print("| command | kills | equal in the end | failed |\n| --- | --- | --- | --- |")
    for name in names:
        equal = kills[name] - failures[name]
        print(f"| {name} | {kills[name]} | {equal} | {failures[name]} |")
    return failures.total()


def warm_up() -> None:
    """Import the modules of all commands, and let fits save ``last.ckpt`` more often."""
    os.environ["DLP_CACHE_DIR"] = "cache"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it by default
    torch.set_num_threads(1)
    for command in COMMANDS.values():
        import_module(f"dlp.commands.{command.module}")
    for module in _MODULES:
        import_module(module)
    LastCheckpoint.__init__.__defaults__ = (None, 0.03)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kill only commands with this in their name")
    parser.add_argument("--keep", type=Path, help="folder to copy failed attempts to")
    args = parser.parse_args()
    warm_up()
    sys.exit(benchmark(args.number, args.seed, args.only, args.keep) > 0)
