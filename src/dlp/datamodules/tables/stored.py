"""Rows of a table whose matrix would be large. They are expanded batch by batch."""

import torch
from torch import Tensor

from dlp.datamodules.batches import StoredRows
from dlp.reader.table import ConvertedTable, TableEncoder


class StoredTable(StoredRows):
    """N rows as numbers and codes. Each batch is expanded to a matrix when it is served.

    Args:
        encoder: Encoder that has converted the rows.
        converted: Numbers and codes of the rows.
    """

    def __init__(self, encoder: TableEncoder, converted: ConvertedTable) -> None:
        self.encoder = encoder
        self.converted = converted
        self.starts = converted.codes.starts

    def __len__(self) -> int:
        return len(self.converted.numbers)

    def select(self, index: Tensor) -> Tensor:
        """Return a batch, float32 (B, D)."""
        numbers, codes = self.converted
        indices = index.numpy()
        batch = ConvertedTable(numbers[indices], codes.take(indices, self.starts))
        return torch.from_numpy(self.encoder.expand(batch))
