"""A table of many Parquet files that is larger than the memory, as a LightningDataModule."""

from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor


class StreamingDataModule(LightningDataModule):
    """Rows of Parquet files, read block by block; the last file validates.

    The order of an epoch follows from seed and epoch alone: files are drawn in random order, and
    the rows of a block are shuffled. So a resumed fit sees the batches of an unbroken one.

    Args:
        path: Folder of Parquet files with the same columns of numbers.
        target: Column to predict, 0 or 1.
        batch_size: Number of rows per batch.
        block_size: Number of rows that are read and shuffled together.
        seed: Seed of the order.
    """

    num_outputs = 2

    def __init__(
        self,
        path: str | Path,
        target: str = "y",
        batch_size: int = 2048,
        block_size: int = 16_384,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.files = sorted(map(str, Path(path).glob("*.parquet")))
        self.target = target
        self.batch_size = batch_size
        self.block_size = block_size
        self.seed = seed
        first = next(self.blocks(self.files[:1]))
        self.input_shape = (len(first) - 1,)

    def blocks(self, files: list[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns of each block of rows, files one after the other."""
        stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        yield from stream.with_format("numpy").iter(self.block_size)

    def train_dataloader(self) -> "Batches":
        """Return the training batches, in another order in each epoch."""
        return Batches(self, self.files[:-1], shuffle=True)

    def val_dataloader(self) -> "Batches":
        """Return the batches of the last file."""
        return Batches(self, self.files[-1:], shuffle=False)


class Batches:
    """Batches ``(inputs, targets)`` of some files.

    Args:
        data: Data module, whose Trainer knows the epoch.
        files: Paths of Parquet files.
        shuffle: Whether files and rows are shuffled.
    """

    def __init__(self, data: StreamingDataModule, files: list[str], shuffle: bool) -> None:
        self.data = data
        self.files = files
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the Trainer's epoch."""
        random = np.random.default_rng([self.data.seed, self.data.trainer.current_epoch])
        files = list(self.files)
        if self.shuffle:
            random.shuffle(files)
        for columns in self.data.blocks(files):
            targets = torch.from_numpy(columns.pop(self.data.target)).float()
            inputs = torch.from_numpy(np.stack(list(columns.values()), axis=1))
            rows = torch.arange(len(targets))
            if self.shuffle:
                rows = torch.from_numpy(random.permutation(len(targets)))
            for batch in rows.split(self.data.batch_size):
                yield inputs[batch], targets[batch]
