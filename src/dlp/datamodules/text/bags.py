"""Select batches from encoded texts."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import scipy
import torch
from torch import Tensor

from dlp.bag_of_words import BagOfWords
from dlp.datamodules.batches import StoredRows
from dlp.reader.encoder import Bags

_ROWS_PER_SELECTION = 4096


class BagRows(StoredRows):
    """Encoded texts as rows of a sparse matrix (N, num_words).

    Args:
        bags: Encoded texts.
        num_words: Number of columns.
    """

    def __init__(self, bags: Bags, num_words: int) -> None:
        ids, offsets, weights = bags
        ends = np.append(offsets, offsets.dtype.type(len(ids)))
        is_binary = (weights == 1).all()
        # Ones are stored as bytes to save memory; each batch is converted to floats.
        stored = weights.astype(np.int8) if is_binary else weights
        shape = (len(offsets), num_words)
        self.matrix = scipy.sparse.csr_array((stored, ids, ends), shape)

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def select(self, index: Tensor) -> BagOfWords:
        """Return the batch of the texts with the given indices, (B,)."""
        return self._select_together([index])[0]

    def select_each(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, BagOfWords]]:
        """Yield the indices of each batch and the batch.

        Several batches are selected together, because a call to SciPy takes a long time.
        """
        remaining = iter(indices)
        for index in remaining:
            num_batches = max(1, _ROWS_PER_SELECTION // max(1, len(index)))
            together = [index, *islice(remaining, num_batches - 1)]
            yield from zip(together, self._select_together(together), strict=True)

    def _select_together(self, indices: Sequence[Tensor]) -> list[BagOfWords]:
        """Return one batch for each array of indices, all selected in a single call."""
        rows = self.matrix[torch.cat(list(indices)).numpy()]
        ids = torch.from_numpy(rows.indices)
        offsets = torch.from_numpy(rows.indptr)
        weights = torch.from_numpy(rows.data).float()
        batches = []
        first = 0
        for index in indices:
            last = first + len(index)
            start = int(offsets[first])
            entries = slice(start, int(offsets[last]))
            batch = BagOfWords(ids[entries], offsets[first:last] - start, weights[entries])
            batches.append(batch)
            first = last
        return batches
