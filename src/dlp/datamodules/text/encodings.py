"""From texts to the rows of a sparse matrix: what is learned for it, its encodings, its batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import scipy  # its subpackages load when they are used
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlp.bag_of_words import BagOfWords
from dlp.datamodules.learned import Encoder
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.ngrams import NgramIds, rank_terms
from dlp.datamodules.text.tokens import Tokens, way_to
from dlp.datamodules.text.vocabulary import OFFSET, START, UNKNOWN, Vocabulary, rank_words
from dlp.errors import InputError, unknown

Encoding = Literal["multi_hot", "count", "tfidf", "sublinear_tfidf"]
#: The longest n-grams: longer ones are rarely seen twice, and their numbers exceed 64 bits.
LONGEST = 3
SparseRows: TypeAlias = Any  # scipy.sparse.csr_array, which has no types


class BagRows:
    """Stored texts, from which batches are sliced.

    A batch is no view of them: what a network does to it in place stays there.

    Args:
        matrix: Sparse float32 (N, num_words), each id once a row.
    """

    def __init__(self, matrix: SparseRows) -> None:
        self._all_ones = bool((matrix.data == 1).all())
        if self._all_ones:  # stored as bytes: such weights are made anew for each batch
            matrix = matrix.astype(np.int8, copy=False)
        self.matrix = matrix

    def __len__(self) -> int:
        """Return the number of texts."""
        return int(self.matrix.shape[0])

    def __getitem__(self, index: Tensor) -> BagOfWords:
        """Return the texts numbered `index` (n,), n texts."""
        return self.select_batches([index])[0]

    def select_batches(self, indices: Sequence[Tensor]) -> list[BagOfWords]:
        """Return the texts of each of `indices`, each (n,), selected all at once."""
        ids, starts, weights = self._selected(np.concatenate([each.numpy() for each in indices]))
        found, row = [], 0
        for index in indices:
            first, row = row, row + len(index)
            begin, end = int(starts[first]), int(starts[row])
            offsets = starts[first:row] - begin
            found.append(BagOfWords(ids[begin:end], offsets, weights[begin:end]))
        return found

    def _selected(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids of rows, where each row begins and the last one ends, and the weights."""
        matrix = self.matrix
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            starts = matrix.indptr[rows[0] : rows[-1] + 2]  # validation: as they are stored
            some, starts = slice(starts[0], starts[-1]), starts - starts[0]
            ids, data = matrix.indices[some].copy(), matrix.data[some].copy()
        else:
            chosen = matrix[rows]
            ids, starts, data = chosen.indices, chosen.indptr, chosen.data
        weights = torch.ones(len(ids)) if self._all_ones else torch.from_numpy(data)
        return torch.from_numpy(ids), torch.from_numpy(starts), weights


@dataclass(eq=False)
class BagEncoder(Encoder):
    """What texts become: learns words and document frequencies, and makes sparse rows of texts.

    Args:
        num_words: Ids are below it (see `Vocabulary`); None keeps all words.
        skip_top: Ids below it count as unknown words.
        max_length: Keep the first so many ids of each text; None keeps all.
        tokens: What texts are split into.
        encoding: The entries of the matrix.
        ngrams: The longest n-gram that counts as a term of its own, in words.
        min_df: Leave out terms that fewer texts have.

    Raises:
        InputError: An argument is not accepted.
    """

    num_words: int | None = 10000
    skip_top: int = 0
    max_length: int | None = None
    tokens: Tokens = "words"
    encoding: Encoding = "multi_hot"
    ngrams: int = 1
    min_df: int = 1
    _vocabulary: Vocabulary | None = field(default=None, init=False)
    _idf: NDArray[np.float64] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Check what can be checked before any text is read."""
        num_words = self.num_words
        if num_words is not None and num_words <= OFFSET + 1:
            raise InputError(
                f"num_words must be at least {OFFSET + 2}, or null for all words (ids 0 to "
                f"{OFFSET} stand for no word); got {num_words}."
            )
        if self.skip_top < 0 or (num_words is not None and self.skip_top >= num_words):
            raise InputError(
                f"skip_top must be 0 or more and below num_words; got {self.skip_top}."
            )
        if self.max_length is not None and self.max_length < 2:
            raise InputError(
                f"max_length must be at least 2 (the start and one word), or null; got "
                f"{self.max_length}."
            )
        if not 1 <= self.ngrams <= LONGEST:
            raise InputError(
                f"ngrams must be 1 to {LONGEST}: single words, or also each sequence of up to so "
                f"many of them; got {self.ngrams}."
            )
        if self.min_df < 1:
            raise InputError(f"min_df must be 1 or more texts, got {self.min_df}.")
        if self.encoding not in get_args(Encoding):
            raise unknown("encoding", self.encoding, get_args(Encoding))
        way_to(self.tokens)  # a misspelt kind is said now

    @property
    def vocabulary(self) -> Vocabulary:
        """The words and their ids, once they are learned."""
        assert self._vocabulary is not None
        return self._vocabulary

    def fit(self, texts: Texts, targets: Any = None) -> None:
        """Learn the vocabulary of training texts and, for tf-idf, their document frequencies.

        Raises:
            InputError: No word is left, or there are too many for `ngrams`.
        """
        if self.ngrams > 1 or self.min_df > 1:
            words = rank_terms(texts, self.ngrams, self.min_df, self.num_words)
        else:
            words = rank_words(texts, self.num_words)
        if not words:
            least = f" that {self.min_df} of them have" if self.min_df > 1 else ""
            raise InputError(f"the texts of the training part hold no word{least}.")
        self._vocabulary = Vocabulary(
            words, self.num_words, self.skip_top, self.max_length, self.tokens
        )
        if self.encoding in ("tfidf", "sublinear_tfidf"):
            self._idf = smooth_idf(count_ids(texts, self._vocabulary))

    def transform(self, texts: Texts) -> BagRows:
        """Return texts as sparse rows, each id once."""
        counted = _counted(texts, self.vocabulary)
        weighed = (weigh(counts, self.encoding, self._idf) for counts in counted)
        kind = np.int8 if self.encoding == "multi_hot" else np.float32
        return BagRows(_stacked(weighed, texts, self.vocabulary, kind))

    def state(self) -> dict[str, Any]:
        """Return the words kept, by rank, how they are numbered, and the idf of each id."""
        return {
            "words": self.vocabulary.words,
            "num_words": self.vocabulary.num_words,
            "skip_top": self.vocabulary.skip_top,
            "max_length": self.vocabulary.max_length,
            "encoding": self.encoding,
            "tokens": self.tokens,
            "idf": None if self._idf is None else self._idf.tolist(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned: new texts need no training texts.

        Raises:
            InputError: Its texts were split into other tokens.
        """
        tokens = state.get("tokens", "words")  # the only ones that earlier checkpoints know
        if tokens != self.tokens:
            raise InputError(f"this run was trained with tokens: {tokens}; give the same.")
        self._vocabulary = Vocabulary(
            state["words"], state["num_words"], state["skip_top"], state["max_length"], tokens
        )
        self.encoding = state["encoding"]
        self._idf = None if state["idf"] is None else np.array(state["idf"])


def count_ids(texts: Texts, vocabulary: Vocabulary) -> SparseRows:
    """Return how often each id occurs in each text: sparse float32 (N, num_words), ids sorted."""
    return _stacked(_counted(texts, vocabulary), texts, vocabulary, np.float32)


def _counted(texts: Texts, vocabulary: Vocabulary) -> Iterator[SparseRows]:
    """Yield what `count_ids` returns, some rows at a time."""
    lookup = vocabulary.lookup(texts.corpus.words)
    ngrams = None
    if vocabulary.ngram_ids:
        ngrams = NgramIds(vocabulary.ngram_ids, texts.corpus.words)
    for batch in texts.batches(512):
        ids, lengths = vocabulary.sequences(batch, lookup)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        shape = (len(batch), vocabulary.num_words)
        part = scipy.sparse.csr_array((np.ones(len(ids), np.float32), ids, starts), shape=shape)
        if ngrams is not None:
            more, rows = ngrams.find(*batch.tokens(vocabulary.max_words))
            ones = np.ones(len(more), np.float32)
            part = part + scipy.sparse.csr_array((ones, (rows, more)), shape=shape)
        part = part.tocsc()
        part.sum_duplicates()
        yield part.tocsr()  # there and back sorts the ids of each row in linear time


def _stacked(
    parts: Iterable[SparseRows], texts: Texts, vocabulary: Vocabulary, kind: type[np.generic]
) -> SparseRows:
    """Return the rows of all `parts` below each other, of `texts`, with entries of a `kind`.

    `scipy.sparse.vstack` needs all of them twice. Here room is taken for as many entries as the
    texts may have, which is memory only as far as it is written to.
    """
    most = np.minimum(texts.lengths + 1, vocabulary.max_length or np.iinfo(np.int64).max)
    most *= LONGEST if vocabulary.ngram_ids else 1
    room = int(np.minimum(most, vocabulary.num_words).sum())
    ids, entries, starts = np.empty(room, np.int32), np.empty(room, kind), [np.zeros(1, np.int64)]
    end = 0
    for part in parts:
        begin, end = end, end + part.nnz
        ids[begin:end], entries[begin:end] = part.indices, part.data
        starts.append(part.indptr[1:] + np.int64(begin))
    for array in (ids, entries):
        array.resize(end, refcheck=False)
    shape = (len(texts), vocabulary.num_words)
    begins = np.concatenate(starts).astype(scipy.sparse.get_index_dtype(maxval=end))
    return scipy.sparse.csr_array((entries, ids, begins), shape=shape)


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
        encoding: See `BaseTextDataModule`; for tf-idf each row has a Euclidean length of 1.
        idf: From `smooth_idf`, for tf-idf.
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
