"""A LightningDataModule for a table in Parquet files that is larger than the memory."""

from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor


class StreamingDataModule(LightningDataModule):
    """Rows of Parquet files, which are read block by block. The last file is the validation part.

    Each epoch reads the files in random order and shuffles the rows of each block. The order
    depends only on the seed and the epoch, so a resumed fit gets the same batches as an
    uninterrupted one.

    Args:
        path: Folder of Parquet files. All must have the same numeric columns.
        target: Column to predict, 0 or 1.
        batch_size: Number of rows per batch.
        block_size: Number of rows that are read and shuffled together.
        seed: Seed for the order of files and rows.
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
        """Yield the columns of each block of rows, file after file."""
        stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        yield from stream.with_format("numpy").iter(self.block_size)

    def train_dataloader(self) -> "Batches":
        """Return the training batches, in a different order in each epoch."""
        return Batches(self, self.files[:-1], shuffle=True)

    def val_dataloader(self) -> "Batches":
        """Return the batches of the last file."""
        return Batches(self, self.files[-1:], shuffle=False)


class Batches:
    """Batches ``(inputs, targets)`` from Parquet files.

    Args:
        data: Data module. Its Trainer knows the current epoch.
        files: Paths of Parquet files.
        shuffle: Whether to shuffle files and rows.
    """

    def __init__(self, data: StreamingDataModule, files: list[str], shuffle: bool) -> None:
        self.data = data
        self.files = files
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the Trainer's current epoch."""
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
