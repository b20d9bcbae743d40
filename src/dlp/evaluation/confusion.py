"""Which class is taken for which, by the cells that hold rows: many classes cost nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its subpackages load when they are used
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix of C classes.

    Args:
        counts: Rows by true (first) and predicted class, a sparse int64 (C, C).
    """

    counts: Any  # scipy has no types

    @classmethod
    def of(
        cls, true: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
    ) -> "Confusion":
        """Return the matrix of true and predicted classes of N rows, each (N,)."""
        shape = (num_classes, num_classes)
        return cls(scipy.sparse.csr_array((np.ones(len(true), np.int64), (true, predicted)), shape))

    @classmethod
    def of_cells(cls, cells: Iterable[Sequence[int]], num_classes: int) -> "Confusion":
        """Return the matrix whose cells are (true, predicted, rows)."""
        true, predicted, counts = np.array([*cells], np.int64).reshape(-1, 3).T
        return cls(scipy.sparse.csr_array((counts, (true, predicted)), (num_classes, num_classes)))

    @classmethod
    def of_matrix(cls, matrix: Sequence[Sequence[int]]) -> "Confusion":
        """Return the matrix whose rows (true classes) are given in full."""
        return cls(scipy.sparse.csr_array(np.array(matrix, np.int64)))

    def __eq__(self, other: object) -> bool:
        """Return whether the other one has the same cells."""
        return isinstance(other, Confusion) and (
            self.counts.shape == other.counts.shape and self.cells() == other.cells()
        )

    def cells(self) -> list[tuple[int, int, int]]:
        """Return true class, predicted class and rows of each cell, by true class."""
        found = self.counts.tocoo()
        return [*zip(found.row.tolist(), found.col.tolist(), found.data.tolist(), strict=True)]

    def matrix(self, classes: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return the rows by true (first) and predicted class: of all classes, or of some."""
        chosen = self.counts if classes is None else self.counts[classes][:, classes]
        full: NDArray[np.int64] = chosen.toarray()
        return full

    def marginals(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return of each class, (C,), rows rightly taken for it, all taken for it, all of it."""
        return self.counts.diagonal(), self.counts.sum(axis=0), self.counts.sum(axis=1)

    @property
    def num_wrong(self) -> int:
        """Number of rows that were taken for another class."""
        return int(self.counts.sum() - self.counts.diagonal().sum())

    def most_confused(self, count: int) -> list[tuple[int, int, int]]:
        """Return the cells of wrong rows, the largest first."""
        wrong = [cell for cell in self.cells() if cell[0] != cell[1]]
        return sorted(wrong, key=lambda cell: -cell[2])[:count]

    def most_mistaken(self, count: int) -> NDArray[np.int64]:
        """Return the classes that most wrong rows are of or were taken for, in their order."""
        rows = self.counts.sum(axis=0) + self.counts.sum(axis=1) - 2 * self.counts.diagonal()
        return np.sort(np.argsort(-rows, kind="stable")[:count])
