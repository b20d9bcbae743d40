"""Codes of categories and words, of which rows may have different numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .encoder import ranges


class Codes(NamedTuple):
    """Codes of N rows.

    Args:
        codes: Codes of all rows, one row after the other, each code once in a row, int32 (M,).
        lengths: Number of codes of each row, int64 (N,).
    """

    codes: NDArray[np.int32]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, codes_by_row: Iterable[Sequence[int]]) -> "Codes":
        """Return the codes in a list per row."""
        codes: list[int] = []
        lengths = []
        for row in codes_by_row:
            codes += row
            lengths.append(len(row))
        return cls(np.array(codes, np.int32), np.array(lengths, np.int64))

    @property
    def starts(self) -> NDArray[np.int64]:
        """Index in `codes` at which each row starts, (N,)."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, index: NDArray[np.int64], starts: NDArray[np.int64] | None = None) -> "Codes":
        """Return the codes of the rows at some indices; give `starts` to several calls."""
        if starts is None:
            starts = self.starts
        lengths = self.lengths[index]
        return Codes(self.codes[ranges(starts[index], lengths)], lengths)

    def to_dense(self, width: int) -> NDArray[np.float32]:
        """Return a matrix (N, width) of zeros, with ones at the codes of each row."""
        matrix = np.zeros((len(self.lengths), width), np.float32)
        matrix[np.repeat(np.arange(len(matrix)), self.lengths), self.codes] = 1
        return matrix


def joined(columns: Sequence[Codes], num_rows: int) -> Codes:
    """Return the codes of all columns of each row.

    Args:
        columns: Codes of N rows in each column.
        num_rows: Number of rows, N.
    """
    lengths = np.zeros(num_rows, np.int64)
    for column in columns:
        lengths += column.lengths
    codes = np.empty(lengths.sum(), np.int32)
    starts = np.cumsum(lengths) - lengths
    for column in columns:
        codes[ranges(starts, column.lengths)] = column.codes
        starts += column.lengths
    return Codes(codes, lengths)


def known_codes(terms_by_text: Iterable[Iterable[str]], codes_by_term: Mapping[str, int]) -> Codes:
    """Return the codes of the known terms of each text, each once."""
    codes_by_text = []
    for terms in terms_by_text:
        known = dict.fromkeys(term for term in terms if term in codes_by_term)
        codes_by_text.append([codes_by_term[term] for term in known])
    return Codes.of(codes_by_text)
