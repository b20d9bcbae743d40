"""Bags of words: the rows of a sparse matrix, its encodings, and batches of it."""

from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlp.bag_of_words import BagOfWords
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.ngrams import SequenceIds
from dlp.datamodules.text.vocabulary import START, UNKNOWN, Vocabulary

Encoding = Literal["multi_hot", "count", "tfidf", "sublinear_tfidf"]
SparseRows: TypeAlias = Any  # scipy.sparse.csr_array, which has no types


class BagRows:
    """Stored texts, from which batches are sliced.

    Args:
        matrix: Sparse float32 (N, num_words), each id once a row.
    """

    def __init__(self, matrix: SparseRows) -> None:
        self.matrix = matrix

    def __len__(self) -> int:
        """Return the number of texts."""
        return int(self.matrix.shape[0])

    def __getitem__(self, index: Tensor) -> BagOfWords:
        """Return the texts numbered `index` (n,), n texts."""
        rows = self.matrix[index.numpy()]
        return BagOfWords(
            torch.from_numpy(rows.indices.astype(np.int64)),
            torch.from_numpy(rows.indptr[:-1].astype(np.int64)),
            torch.from_numpy(rows.data),
        )


def count_ids(texts: Texts, vocabulary: Vocabulary) -> SparseRows:
    """Return how often each id occurs in each text: sparse float32 (N, num_words), ids sorted."""
    lookup = vocabulary.lookup(texts.corpus.words)
    sequences = None
    if vocabulary.sequence_ids:
        sequences = SequenceIds(vocabulary.sequence_ids, texts.corpus.words)
    parts = []
    for batch in texts.batches(512):
        ids, lengths = vocabulary.sequences(batch, lookup)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        shape = (len(batch), vocabulary.num_words)
        part = scipy.sparse.csr_array((np.ones(len(ids), np.float32), ids, starts), shape=shape)
        if sequences is not None:
            more, rows = sequences.find(*batch.tokens(vocabulary.max_words))
            ones = np.ones(len(more), np.float32)
            part = part + scipy.sparse.csr_array((ones, (rows, more)), shape=shape)
        part = part.tocsc().tocsr()  # sorts the ids of each row in linear time
        part.sum_duplicates()
        parts.append(part)
    if not parts:
        return scipy.sparse.csr_array((0, vocabulary.num_words), dtype=np.float32)
    return scipy.sparse.vstack(parts, format="csr")


def smooth_idf(counts: SparseRows) -> NDArray[np.float64]:
    """Return the inverse document frequency of each id, (num_words,).

    ``log((1 + N) / (1 + n)) + 1`` for an id that n of N texts have, as scikit-learn's
    ``TfidfTransformer`` has it by default; 0 for the start of a text and for unknown words, which
    are no terms there.
    """
    texts_with = np.bincount(counts.indices, minlength=counts.shape[1])
    idf: NDArray[np.float64] = np.log((1 + counts.shape[0]) / (1 + texts_with)) + 1
    idf[[START, UNKNOWN]] = 0
    return idf


def weigh(counts: SparseRows, encoding: Encoding, idf: NDArray[np.float64] | None) -> SparseRows:
    """Return `counts` with the weights of an encoding (in place).

    Args:
        counts: Occurrences, from `count_ids`.
        encoding: ``multi_hot`` has 1 for each id that is present, ``count`` the occurrences,
            ``tfidf`` the occurrences times `idf`, each row divided by its Euclidean length,
            ``sublinear_tfidf`` the same of 1 + log(occurrences).
        idf: From `smooth_idf`, for both.
    """
    if encoding == "multi_hot":
        counts.data[:] = 1
    elif encoding != "count":
        assert idf is not None
        often = counts.data if encoding == "tfidf" else 1 + np.log(counts.data)
        weights = often * idf[counts.indices]
        lengths = np.diff(counts.indptr)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        norms = np.sqrt(np.bincount(rows, weights**2, len(lengths)))
        norms[norms == 0] = 1  # no known word at all
        counts.data = (weights / norms[rows]).astype(np.float32)
        counts.eliminate_zeros()
    return counts
