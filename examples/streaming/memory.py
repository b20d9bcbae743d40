"""Measure the peak memory of a fit on a table of 1 GB: ``python memory.py FOLDER``.

The script writes the table to FOLDER.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lightning import Trainer
from streaming import StreamingDataModule

from dlp.callbacks import EpochSeed
from dlp.modules import DenseModule

NUM_COLUMNS = 20
ROWS_PER_FILE = 100_000  # 11 MB
NUM_FILES = 90


def write_shards(folder: Path, num_files: int, num_rows: int) -> None:
    """Write files with normally distributed columns ``x0``, ``x1`` ... and a column ``y``.

    ``y`` is 1 if ``x0`` and ``x1`` have the same sign, and 0 otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_files):
        random = np.random.default_rng(number)
        columns = random.normal(size=(NUM_COLUMNS, num_rows)).astype(np.float32)
        table = {f"x{place}": column for place, column in enumerate(columns)}
        table["y"] = (columns[0] * columns[1] > 0).astype(np.int8)
        pq.write_table(pa.table(table), folder / f"{number:04}.parquet", row_group_size=16_384)


def fit(folder: Path, max_epochs: int, resumed: Path | None = None) -> Trainer:
    """Fit a dense net on a folder of shards."""
    torch.manual_seed(0)
    data = StreamingDataModule(folder)
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid", dropout=0.1)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        callbacks=[EpochSeed()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data, ckpt_path=resumed, weights_only=None if resumed is None else True)
    return trainer


def peak() -> float:
    """Return the peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(folder: Path) -> None:
    """Print the peak memory after a fit on two small files, and after a fit on all large files."""
    torch.set_num_threads(1)
    write_shards(folder / "small", 2, 2_000)
    fit(folder / "small", 1)
    before = peak()
    write_shards(folder / "large", NUM_FILES, ROWS_PER_FILE)
    written = peak()
    size = sum(path.stat().st_size for path in (folder / "large").iterdir()) / 1e6
    start = time.time()
    trainer = fit(folder / "large", 1)
    print(f"{size:,.0f} MB of Parquet, {time.time() - start:.0f} s per epoch")
    print(f"peak: small fit {before:,.0f} MB, writing {written:,.0f}, fit {peak():,.0f}")
    print(f"val_acc {trainer.callback_metrics['val_acc']:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
