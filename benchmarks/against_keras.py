"""Measure dlp's commands against Keras 3, in turns, and rewrite the table in docs/benchmarks.md.

    python benchmarks/against_keras.py [WORKLOAD ...] --rounds 3 --keras keras/tf keras/jax

Each measurement runs in its own process. Keras is installed in separate environments, one for each
backend (``python -m venv keras/jax && keras/jax/bin/pip install keras jax``). ``--other DIR`` also
measures another version of dlp, from the ``src`` and ``configs`` in a checkout. Results are stored
in ``runs/benchmarks.jsonl``; ``--table`` only writes the page, without new measurements.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import run as run_process

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
RESULTS = Path("runs") / "benchmarks.jsonl"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
ONE_EPOCH = "--trainer.limit_val_batches 0 --test_after_fit null --trainer.max_epochs"
RANDOM = "--model.weights null --test_after_fit null"
#: Epochs of a fold on Boston. Keras trains only `Workload.epochs` of them.
ALL_EPOCHS = 100
FEW = "--data.per_class 350 --data.val_size 100 --data.test_size 100"


@dataclass(frozen=True)
class Workload:
    """One comparison.

    Args:
        title: Name in the table.
        command: Words after ``dlp``.
        measures: Measures to show: ``fit`` (seconds of the fit), ``epoch`` (seconds of an epoch),
            ``first`` (seconds until the first batch), ``whole`` (seconds of the command), ``peak``
            (memory in MB).
        keras: Name of the network in keras_way.py. Empty if Keras is not measured.
        epochs: Number of epochs that Keras trains.
        batch_size: Rows per batch in Keras.
        folds: Number of fits that the time of Keras is extrapolated to.
        keras_folds: Number of these fits that are measured.
    """

    title: str
    command: str
    measures: tuple[str, ...]
    keras: str = ""
    epochs: int = 1
    batch_size: int = 512
    folds: int = 1
    keras_folds: int = 1


WORKLOADS = {
    "imdb": Workload(
        "IMDB, 20 epochs", "fit --config imdb", ("fit", "whole", "peak"), "imdb", 20
    ),
    "reuters": Workload(
        "Reuters, 9 epochs", "fit --config reuters --test_after_fit null",
        ("fit", "whole", "peak"), "reuters", 9,
    ),
    "boston": Workload(
        "Boston, K=4 x 100 epochs, batch 1", "crossval --config housing_kfold",
        ("whole",), "boston", 5, 1, 4, 4,
    ),
    "boston_repeated": Workload(
        "Boston, 10 x K=4 x 100 epochs",
        "crossval --config housing_kfold --data.split_seed 0 --repeats 10",
        ("whole",), "boston", 5, 1, 40, 4,
    ),
    "mnist": Workload(
        "MNIST convnet, an epoch", f"fit --config mnist {ONE_EPOCH} 2", ("epoch",), "mnist", 2, 64
    ),
    "cats_dogs": Workload(
        "cats and dogs convnet, an epoch", f"fit --config cats_dogs {ONE_EPOCH} 3",
        ("epoch",), "cats_dogs", 2, 20,
    ),
    "augmented": Workload(
        "the same with augmentation", f"fit --config cats_dogs_augmented {ONE_EPOCH} 3", ("epoch",)
    ),
    "features": Workload(
        "dense net on stored features, an epoch",
        f"fit --config cats_dogs_features {RANDOM} {FEW} --trainer.max_epochs 6", ("epoch",),
    ),
    "finetune": Workload(
        "VGG16's deepest stage, 500 images, an epoch",
        f"fit --config cats_dogs_finetune {RANDOM} {FEW} --init_from null --data.augmentation null "
        "--trainer.limit_val_batches 0 --trainer.max_epochs 2", ("epoch",),
    ),
    "quickstart": Workload(
        "quickstart, first batch", "fit --config quickstart --trainer.max_epochs 1",
        ("first", "whole"),
    ),
}  # fmt: skip


def run(words: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a process; return its wall and CPU seconds, peak memory in MB, and printed times."""
    usage = run_process(words, environment)
    lines = [line for line in usage.output.splitlines() if line.startswith("TIMES ")]
    times: dict[str, Any] = json.loads(lines[-1][6:]) if lines else {}
    values = {"whole": usage.wall, "cpu": usage.cpu, "peak": usage.peak}
    if epochs := times.get("epochs"):
        values |= {"fit": sum(epochs), "epoch": statistics.median(epochs[1:] or epochs)}
    if times.get("first"):
        values["first"] = times["first"] - usage.start
    return values


def run_dlp(workload: Workload, checkout: Path) -> dict[str, float]:
    """Run a command from a checkout, with its own run folder."""
    folder = RESULTS.parent / "benchmarks" / f"{checkout.name}_{time.time_ns()}"
    words = workload.command.split()
    config = words.index("--config") + 1
    words[config] = str(checkout / "configs" / f"{words[config]}.yaml")
    words = [sys.executable, "-m", "dlp", *words, "--run_dir", str(folder)]
    if words[3] == "fit":
        words += ["--trainer.callbacks+", "epoch_times.EpochTimes"]
    path = f"{checkout / 'src'}{os.pathsep}{HERE}"
    return run(
        words, {"PYTHONPATH": path, "DLP_CACHE_DIR": str(RESULTS.parent / f"cache_{checkout.name}")}
    )


def run_keras(workload: Workload, python: Path, backend: str) -> dict[str, float]:
    """Run keras_way.py. The time of folds and epochs that are not measured is extrapolated."""
    rows = RESULTS.parent / f"{workload.keras}.npz"
    words = [str(python), str(HERE / "keras_way.py"), workload.keras, str(rows)]
    words += [str(workload.epochs), str(workload.batch_size), str(workload.keras_folds)]
    values = run(words, {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if workload.folds > 1:
        start_up, epoch = values["whole"] - values["fit"], values["epoch"]
        first = values["fit"] / workload.keras_folds - (workload.epochs - 1) * epoch  # compiles
        values["whole"] = start_up + workload.folds * (first + (ALL_EPOCHS - 1) * epoch)
    return values


def export_rows(workload: Workload) -> None:
    """Write the training and validation rows of a workload to a file for Keras."""
    import torch

    import dlp

    path = RESULTS.parent / f"{workload.keras}.npz"
    if path.exists():
        return
    data = dlp.load(workload.command.split()[2]).data()
    arrays = {}
    for part in ("train", "val"):
        if not data.has(part):
            continue
        inputs = data.inputs(part)
        rows = inputs[torch.arange(len(inputs))]
        if isinstance(rows, tuple):
            arrays[f"{part}_ids"] = rows.ids.numpy()
            arrays[f"{part}_ends"] = np.append(rows.offsets.numpy(), len(rows.ids))
        elif rows.ndim == 4:
            pixels = (rows * 255).round().to(torch.uint8)
            arrays[f"{part}_x"] = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        else:
            arrays[f"{part}_x"] = rows.numpy()
        targets = data.examples(part).targets
        arrays[f"{part}_y"] = data.targets.encode(targets)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def write_table() -> None:
    """Write a table with the medians of all rounds, and the ratio of the fastest Keras to dlp."""
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in RESULTS.read_text().splitlines():
        result = json.loads(line)
        for measure, value in result["values"].items():
            values[result["workload"], measure][result["way"]].append(value)
    ways = [*dict.fromkeys(way for named in values.values() for way in named)]
    head = ["workload, seconds", *ways, "best Keras / dlp"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, workload in WORKLOADS.items():
        for measure in workload.measures:
            named = values[name, measure]
            if not named:
                continue
            medians = {way: statistics.median(numbers) for way, numbers in named.items()}
            keras = [value for way, value in medians.items() if way.startswith("keras")]
            ratio = f"{min(keras) / medians['dlp']:.2f}" if keras and "dlp" in medians else "-"
            cells = [
                f"{medians[way]:.2f} ({min(named[way]):.2f} to {max(named[way]):.2f})"
                if way in medians
                else "-"
                for way in ways
            ]
            lines.append(f"| {workload.title}: {measure} | {' | '.join(cells)} | {ratio} |")
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    table = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Measure the workloads from the command line in turns, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keras", nargs="*", type=Path, default=[], metavar="DIR")
    parser.add_argument("--other", type=Path, metavar="DIR", help="checkout of another version")
    parser.add_argument("--table", action="store_true", help="only write the page")
    args = parser.parse_args()
    checkouts = {"dlp": HERE.parent}
    if args.other:
        checkouts[f"dlp {args.other.name}"] = args.other
    for number in range(0 if args.table else args.rounds):
        for name in args.workloads or WORKLOADS:
            for way, measure in ways_of(WORKLOADS[name], checkouts, args.keras).items():
                values = measure()
                shown = {key: round(value, 2) for key, value in values.items()}
                print(number, name, way, shown, flush=True)
                with RESULTS.open("a") as file:
                    file.write(json.dumps({"workload": name, "way": way, "values": values}) + "\n")
    write_table()


def ways_of(
    workload: Workload, checkouts: dict[str, Path], environments: list[Path]
) -> dict[str, Callable[[], dict[str, float]]]:
    """Return the functions that measure a workload, by the name of what they run."""
    ways = {way: partial(run_dlp, workload, path) for way, path in checkouts.items()}
    for folder in environments if workload.keras else []:
        # In a separate process, because the peak memory of a child process starts at that of its
        # parent.
        export = multiprocessing.get_context("spawn").Process(target=export_rows, args=(workload,))
        export.start()
        export.join()
        packages = [*folder.glob("lib/*/site-packages/*")]
        backend = next(p.name for p in packages if p.name in ("tensorflow", "jax", "torch"))
        python = folder.absolute() / "bin" / "python"
        ways[f"keras {backend}"] = partial(run_keras, workload, python, backend)
    return ways


if __name__ == "__main__":
    main()
