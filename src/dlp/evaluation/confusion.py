"""Which class is taken for which, by the cells that hold rows: many classes cost nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix of C classes by its cells that are not zero.

    Args:
        num_classes: C.
        true: The true class of each cell, int64 (M,).
        predicted: What it was taken for, int64 (M,).
        counts: The rows in each cell, int64 (M,).
    """

    num_classes: int
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls, true: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
    ) -> "Confusion":
        """Return the matrix of true and predicted classes of N rows, each (N,)."""
        cells, counts = np.unique(true * num_classes + predicted, return_counts=True)
        return cls(num_classes, *np.divmod(cells, num_classes), counts)

    @classmethod
    def of_cells(cls, cells: Iterable[Sequence[int]], num_classes: int) -> "Confusion":
        """Return the matrix whose cells are (true, predicted, rows)."""
        true, predicted, counts = np.array([*cells], np.int64).reshape(-1, 3).T
        return cls(num_classes, true, predicted, counts)

    @classmethod
    def of_matrix(cls, matrix: Sequence[Sequence[int]]) -> "Confusion":
        """Return the matrix whose rows (true classes) are given in full."""
        full = np.array(matrix, np.int64)
        true, predicted = np.nonzero(full)
        return cls(len(full), true, predicted, full[true, predicted])

    def __eq__(self, other: object) -> bool:
        """Return whether the other one has the same cells."""
        return isinstance(other, Confusion) and (
            self.num_classes == other.num_classes and self.cells() == other.cells()
        )

    def cells(self) -> list[tuple[int, int, int]]:
        """Return true class, predicted class and rows of each cell, by true class."""
        return list(
            zip(self.true.tolist(), self.predicted.tolist(), self.counts.tolist(), strict=True)
        )

    def matrix(self, classes: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return the rows by true (first) and predicted class: of all classes, or of some."""
        chosen = np.arange(self.num_classes) if classes is None else classes
        place = np.full(self.num_classes, -1)
        place[chosen] = np.arange(len(chosen))
        true, predicted = place[self.true], place[self.predicted]
        inside = (true >= 0) & (predicted >= 0)
        full = np.zeros((len(chosen), len(chosen)), np.int64)
        full[true[inside], predicted[inside]] = self.counts[inside]
        return full

    @property
    def num_wrong(self) -> int:
        """Number of rows that were taken for another class."""
        return int(self.counts[self.true != self.predicted].sum())

    def most_confused(self, count: int) -> list[tuple[int, int, int]]:
        """Return the cells of wrong rows, the largest first."""
        wrong = np.flatnonzero(self.true != self.predicted)
        order = wrong[np.argsort(-self.counts[wrong], kind="stable")][:count]
        return [self.cells()[cell] for cell in order] if len(order) else []

    def most_mistaken(self, count: int) -> NDArray[np.int64]:
        """Return the classes that most wrong rows are of or were taken for, in their order."""
        wrong = self.true != self.predicted
        rows: NDArray[Any] = np.zeros(self.num_classes, np.int64)
        for classes in (self.true, self.predicted):
            np.add.at(rows, classes[wrong], self.counts[wrong])
        return np.sort(np.argsort(-rows, kind="stable")[:count])
