"""Time and memory as data grow: texts, tables and images, drawn as docs/figures/growth.svg.

    python benchmarks/growth.py                     # all, half an hour; 16 GB of disk
    python benchmarks/growth.py tables --sizes 100000,1000000

Each point is a process of its own that makes its data, prepares them with nothing cached and trains
a small network for an epoch; what is freed it keeps, as a command of dlp does. Seconds are CPU
seconds of the process and its threads, which busy neighbours change little; memory is the peak
resident size, imports (some 0.5 GB) and the pages of mapped files included. Data are deleted after
each point, and points are kept below the cache folder: table and plot hold the newest of each.

- texts: reviews of IMDB (below DLP_DATA_DIR), drawn with replacement and each begun at another
  word, as Parquet; short ones are 20 words of them.
- tables: 10 numbers and a class, as Parquet.
- images: JPEGs of 32 x 32 pixels of noise, in two class folders.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from processes import version_of_dlp
from tables import PAGE, put

from dlp.files import cache_dir, write_text

SIZES = {
    "tables": [100_000, 1_000_000, 4_000_000, 10_000_000],
    "images": [1_000, 10_000, 100_000],
    "texts": [50_000, 500_000, 5_000_000],
    "short texts": [50_000, 500_000, 2_500_000],
}
#: Rows written at once.
PIECE = 250_000


def write_pieces(path: Path, rows: int, piece: Callable[[int], dict[str, Any]]) -> None:
    """Write a Parquet file whose pieces are made one after the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pa.table(piece(1))  # for its types alone
    with pq.ParquetWriter(path, first.schema) as writer:
        for start in range(0, rows, PIECE):
            writer.write_table(pa.table(piece(min(PIECE, rows - start)), first.schema))


def write_texts(path: Path, rows: int, words: int | None) -> None:
    """Write reviews drawn from IMDB's, of at most so many words."""
    import pyarrow.parquet as pq

    from dlp.files import data_dir

    known = pq.read_table(data_dir(None) / "imdb" / "plain_text" / "train-00000-of-00001.parquet")
    texts, labels = (known.column(name).to_pylist() for name in ("text", "label"))
    draw = np.random.default_rng(0)

    def piece(count: int) -> dict[str, Any]:
        chosen = draw.integers(len(texts), size=count).tolist()
        starts = draw.integers(10, size=count).tolist()
        some = [
            " ".join(texts[row].split(maxsplit=start + words)[start : start + words])
            if words
            else texts[row].split(" ", start)[-1]
            for row, start in zip(chosen, starts, strict=True)
        ]
        return {"text": some, "label": np.array([labels[row] for row in chosen], np.int64)}

    write_pieces(path, rows, piece)


def write_table(path: Path, rows: int) -> None:
    """Write 10 numbers a row, and a class that depends on their weighted sum."""
    draw = np.random.default_rng(0)
    weights = draw.normal(size=10)

    def piece(count: int) -> dict[str, Any]:
        x = draw.normal(size=(count, 10))
        columns = {f"x{number}": x[:, number] for number in range(10)}
        return {**columns, "y": (x @ weights + draw.normal(size=count) > 0).astype(np.int64)}

    write_pieces(path, rows, piece)


def write_images(folder: Path, count: int) -> None:
    """Write small JPEGs, half of them a little brighter."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for label in (0, 1):
        (folder / str(label)).mkdir(parents=True)
    for number in range(count):
        pixels = draw.integers(0, 200, (32, 32, 3), np.uint8) + np.uint8(40 * (number % 2))
        Image.fromarray(pixels).save(folder / str(number % 2) / f"{number}.jpg", quality=85)


def make(kind: str, rows: int, folder: Path) -> None:
    """Write the data of one point."""
    if kind == "images":
        write_images(folder / "data", rows)
    elif kind == "tables":
        write_table(folder / "data.parquet", rows)
    else:
        write_texts(folder / "data.parquet", rows, 20 if kind.startswith("short") else None)


def train(kind: str, folder: Path) -> dict[str, float]:
    """Prepare the data that lie in a folder and train for an epoch; return seconds and memory."""
    import torch
    from lightning import Callback, Trainer

    from dlp.cli import keep_freed_memory
    from dlp.datamodules import ImageFolderDataModule, TableDataModule, TextDataModule
    from dlp.modules import DenseModule

    class Start(Callback):
        """Notes when all is prepared."""

        prepared = 0.0

        def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
            """Note the time."""
            self.prepared = time.process_time()

    keep_freed_memory()
    torch.set_num_threads(1)
    start = Start()
    path = str(folder / "data.parquet")
    begin = time.process_time()
    data: Any
    if kind == "images":
        data = ImageFolderDataModule(folder / "data", image_size=32, batch_size=512, test_size=0.1)
    elif kind == "tables":
        data = TableDataModule(path, target="y", batch_size=512, test_size=0.1)
    else:
        data = TextDataModule(path, batch_size=512, test_size=0.1, task="classification")
    data.setup("fit")
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid")
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[start],
    )
    trainer.fit(model, datamodule=data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "prepare": start.prepared - begin,
        "epoch": time.process_time() - start.prepared,
        "gigabytes": peak / (1 << 30 if sys.platform == "darwin" else 1 << 20),
    }


def measure(kind: str, rows: int) -> dict[str, Any]:
    """Return a point, measured in processes and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DLP_CACHE_DIR": f"{folder}/cache"}
        for task in ("make", "train"):
            command = [sys.executable, str(Path(__file__).resolve()), kind]
            command += [f"--{task}", folder, "--sizes", str(rows)]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
    versions = f"dlp {version_of_dlp()} and torch {version('torch')}"
    return {**json.loads(done.stdout.splitlines()[-1]), "versions": versions}


def table(points: dict[str, dict[int, dict[str, Any]]]) -> str:
    """Return the table of all points; growth is against the point before."""
    lines = [
        "| data | rows | prepare, s | epoch, s | peak memory, GB | rows, time: times more |",
        "|---|---|---|---|---|---|",
    ]
    for kind, of_kind in points.items():
        before = None
        for rows, found in of_kind.items():
            taken, growth = found["prepare"] + found["epoch"], ""
            if before is not None:
                growth = f"{rows / before[0]:.1f}, {taken / before[1]:.1f}"
            lines.append(
                f"| {kind} | {rows:,} | {found['prepare']:.2f} | {found['epoch']:.2f} | "
                f"{found['gigabytes']:.2f} | {growth} |"
            )
            before = rows, taken
    measured: dict[str, list[str]] = {}
    for kind, of_kind in points.items():
        for versions in dict.fromkeys(found["versions"] for found in of_kind.values()):
            measured.setdefault(versions, []).append(kind)
    said = "; ".join(f"{versions} ({', '.join(kinds)})" for versions, kinds in measured.items())
    said = f"One run a point, CPU seconds; {said}."
    return "\n".join([*lines, "", said])


def draw(points: dict[str, dict[int, dict[str, Any]]], path: Path) -> None:
    """Draw seconds and memory over rows, on logarithmic axes: the dotted line is linear growth."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"  # the same picture for the same numbers
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.1), layout="constrained")
    titles = {"prepare": "preparing, CPU s", "epoch": "an epoch, CPU s", "gigabytes": "peak, GB"}
    for place, (name, title) in zip(axes, titles.items(), strict=True):
        for kind, of_kind in points.items():
            place.loglog(
                list(of_kind), [found[name] for found in of_kind.values()], "o-", label=kind
            )
        low, high = place.get_xlim()
        least = min(found[name] / rows for of in points.values() for rows, found in of.items())
        bottom, top = place.get_ylim()
        place.plot([low, high], [least * low, least * high], ":", color="grey", label="linear")
        place.set(title=title, xlabel="rows", xlim=(low, high), ylim=(bottom, top))
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names))  # below all lines
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, write and draw; or (in the processes this starts) do a part of one point."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", default=list(SIZES), metavar="kind")
    parser.add_argument("--sizes", help="rows, separated by commas")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")] if given.sizes else None
    if given.make or given.train:
        assert sizes is not None
        [kind], [rows] = given.kinds, sizes
        if given.make:
            make(kind, rows, given.make)
        else:
            print(json.dumps(train(kind, given.train)))
        return
    home = cache_dir() / "growth.json"
    known = json.loads(home.read_text(encoding="utf-8")) if home.exists() else {}
    for kind in given.kinds:
        for rows in sizes or SIZES[kind]:
            known[f"{kind} {rows}"] = found = measure(kind, rows)
            print(kind, rows, found, flush=True)
            write_text(home, json.dumps(known, indent=1))
    lacking = [f"{kind} {rows}" for kind in SIZES for rows in SIZES[kind]]
    lacking = [point for point in lacking if point not in known]
    if lacking:
        print("neither table nor plot is written: not measured yet:", ", ".join(lacking))
    else:
        points = {kind: {n: known[f"{kind} {n}"] for n in SIZES[kind]} for kind in SIZES}
        put("growth", table(points))
        draw(points, PAGE.parent / "figures" / "growth.svg")


if __name__ == "__main__":
    main()
