"""Whole batches: one slice of the stored tensors each, in an order that is a pure function.

Collating samples one by one costs 15 microseconds a sample; slicing costs 3 a batch. A plain
``DataLoader(rows, sampler=BatchOrder(...), batch_size=None)`` slices too, for 8 microseconds more a
batch of arrays (13 instead of 5): 1.1 % of an epoch of 400 rows, 0.9 % of Boston's by single rows.
Sparse texts it would select a batch at a time, which takes twice as long (135 microseconds instead
of 70 a batch of IMDB's, 6 % of an epoch).
Ours stays for what Lightning does to such a DataLoader: `overfit_batches` replaces its sampler by
one of single rows, so that a batch is one row without its first dimension (tested).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler

from dlp.seeds import derived_seed

#: Rows that are selected at once, by what can select several batches: a few MB of sparse texts.
_AT_ONCE = 4096
#: Changes a batch of inputs, given the numbers of its rows, (n,), and the seed of the epoch.
Augment: TypeAlias = Callable[[Any, Tensor, int], Any]


class Rows(Protocol):
    """Stored inputs: anything with a length that an int64 tensor of row numbers indexes."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __getitem__(self, index: Tensor) -> Any:
        """Return the batch that holds the rows `index` (n,)."""
        ...


@dataclass(eq=False)
class BatchOrder:
    """Which rows make up each batch of an epoch: a pure function of (seed, epoch, rank).

    With several processes all get equally many batches, so that none waits for ever: while
    training each takes every `num_replicas`-th batch (the last ones wrap around to the first); in
    evaluation each takes every `num_replicas`-th row, so that every row is seen once.

    Args:
        num_rows: Number of rows.
        batch_size: Rows a batch; the last one may be smaller.
        shuffle: A new permutation every epoch; else the order of the rows.
        seed: Seed of the permutations.
        num_replicas: Number of processes.
        rank: The number of this process.
    """

    num_rows: int
    batch_size: int
    shuffle: bool
    seed: int
    num_replicas: int = 1
    rank: int = 0
    epoch: int = field(default=0, init=False)
    _is_told: bool = field(default=False, init=False)

    @property
    def sampler(self) -> "BatchOrder":
        """Itself: Lightning looks for `set_epoch` on the sampler of a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) that the next iteration belongs to; Lightning calls this.

        Where nobody does, as in a loop without a Trainer, each whole iteration is an epoch.
        """
        self.epoch, self._is_told = epoch, True

    def __len__(self) -> int:
        """Return the number of batches of each process."""
        if self.shuffle:
            return _ceil(_ceil(self.num_rows, self.batch_size), self.num_replicas)
        return _ceil(_ceil(self.num_rows, self.num_replicas), self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the row numbers of each batch, int64 (at most batch_size,)."""
        if not self.shuffle:
            yield from self._each_row_once()
            return
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch))
        order = torch.randperm(self.num_rows, generator=generator)
        batches = _ceil(self.num_rows, self.batch_size)
        for number in range(len(self)):
            start = (self.rank + number * self.num_replicas) % batches * self.batch_size
            yield order[start : start + self.batch_size]
        if not self._is_told:
            self.epoch += 1

    def _each_row_once(self) -> Iterator[Tensor]:
        rows = torch.arange(self.num_rows)[self.rank :: self.num_replicas]
        if self.num_replicas > 1:  # shares may differ by a row: cut into equally many batches
            yield from rows.tensor_split(len(self))
            return
        for start in range(0, self.num_rows, self.batch_size):
            yield rows[start : start + self.batch_size]


class BatchLoader:
    """The iterable of (inputs, targets) batches that a Trainer takes instead of a DataLoader.

    Args:
        inputs: The stored inputs.
        targets: Tensor (N,) or (N, T), or None for unlabelled rows: batches are (inputs, None).
        order: Which rows make up each batch.
        augment: Changes the inputs of each batch, another way in every epoch.
    """

    def __init__(
        self,
        inputs: Rows,
        targets: Tensor | None,
        order: BatchOrder,
        augment: Augment | None = None,
    ) -> None:
        self.inputs = inputs
        self.targets = targets
        self.augment = augment
        self.batch_sampler = order
        self.batch_size = order.batch_size

    @property
    def dataset(self) -> Rows:
        """The inputs: Lightning's search for a batch size ends at their number."""
        return self.inputs

    @property
    def sampler(self) -> BatchOrder | SequentialSampler:
        """What tells Lightning whether rows are shuffled, which `overfit_batches` may not be."""
        order = self.batch_sampler
        return order if order.shuffle else SequentialSampler(range(order.num_rows))

    def __repr__(self) -> str:
        """Return what it is; Lightning's error says it of a loader that is given by itself."""
        return f"BatchLoader({len(self.inputs)} rows; overfit_batches needs the DataModule itself)"

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[tuple[Any, Tensor | None]]:
        """Yield the batches of the current epoch."""
        epoch = self.batch_sampler.epoch
        for index, inputs in self._read():
            targets = None if self.targets is None else _rows(self.targets, index)
            yield self._augmented(inputs, index, epoch), targets

    def inputs_of(self, index: Tensor, epoch: int) -> Any:
        """Return the inputs of the rows `index` as an epoch (from 0) sees them."""
        return self._augmented(self.inputs[index], index, epoch)

    def _augmented(self, inputs: Any, index: Tensor, epoch: int) -> Any:
        if self.augment is None:
            return inputs
        return self.augment(inputs, index, derived_seed(self.batch_sampler.seed, epoch, 1))

    def _read(self) -> Iterator[tuple[Tensor, Any]]:
        """Yield rows and inputs of each batch; slow inputs are read one batch ahead.

        What has a `select_batches` for several batches at once (sparse texts) selects some thousand
        rows by it.
        """
        if (select := getattr(self.inputs, "select_batches", None)) is not None:
            for indices in self._groups(max(1, _AT_ONCE // self.batch_size)):
                yield from zip(indices, select(indices), strict=True)
            return
        if not getattr(self.inputs, "slow", False):
            yield from ((index, _rows(self.inputs, index)) for index in self.batch_sampler)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead = None
            for index in self.batch_sampler:
                following = index, reader.submit(self.inputs.__getitem__, index)
                if ahead is not None:
                    yield ahead[0], ahead[1].result()
                ahead = following
            if ahead is not None:
                yield ahead[0], ahead[1].result()

    def _groups(self, size: int) -> Iterator[list[Tensor]]:
        """Yield the rows of each batch, `size` batches at a time."""
        order = iter(self.batch_sampler)
        for start in range(0, len(self), size):
            yield list(islice(order, min(size, len(self) - start)))
        next(order, None)  # an epoch that is broken off before does not count


def _rows(values: Rows, index: Tensor) -> Any:
    """Return ``values[index]``; of a tensor by what selects rows alone, in a third of the time."""
    if isinstance(values, Tensor):
        return values.index_select(0, index.to(values.device))
    return values[index]


def _ceil(rows: int, size: int) -> int:
    return -(-rows // size)
