"""Tables whose matrix would be large: their rows are encoded batch by batch."""

import torch
from torch import Tensor

from dlp.datamodules.batches import StoredRows
from dlp.reader.table import TableCells, TableEncoder


class EncodedTable(StoredRows):
    """N rows as numbers and codes; a batch becomes a matrix when it is served.

    Args:
        encoder: Encoder that has read the cells.
        cells: Numbers and codes of the rows.
    """

    def __init__(self, encoder: TableEncoder, cells: TableCells) -> None:
        self.encoder = encoder
        self.cells = cells
        self.starts = cells.codes.starts

    def __len__(self) -> int:
        return len(self.cells.numbers)

    def select(self, index: Tensor) -> Tensor:
        """Return a batch, float32 (B, D)."""
        rows = index.numpy()
        codes = self.cells.codes.take(rows, self.starts)
        batch = TableCells(self.cells.numbers[rows], codes)
        return torch.from_numpy(self.encoder.matrix(batch))
