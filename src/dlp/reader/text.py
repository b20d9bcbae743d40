"""Encoder of texts: words get ids by Keras's rule, and a text becomes a sparse row."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .encoder import Array, Bags, Encoder, Options, PlainValues, ranges
from .rows import described
from .tokens import CHAR_NGRAM, Counts, NumberedTokens, Tokens, number_tokens

Encoding = Literal["multi_hot", "count", "tfidf", "sublinear_tfidf"]

#: Ids of no word: 0 pads, 1 starts each text, 2 is an unknown word, 3 is unused. The most frequent
#: word has id 4.
START = 1
UNKNOWN = 2
FIRST_WORD = 4
#: Values of a missing text: None, NaN, and pandas.NA.
_MISSING = ("None", "nan", "<NA>")
_NO_WORDS = ["", "(start)", "(unknown words)", ""]
#: Text, or row of a table with a column of texts.
TextRow = str | Mapping[str, object]
#: Texts, or their tokens.
TextRows = Sequence[TextRow] | NumberedTokens


class TextEncoder(Encoder[TextRows]):
    """Encoder of texts into sparse rows of numbers, a column for each word.

    Keras's rule is applied to ids, rank + 3: ``id if id < num_words else 2``. So
    ``num_words=10000`` keeps 9,996 words.

    Args:
        num_words: Upper bound of the ids; None keeps all words.
        max_length: Number of ids of a text that are kept, the first ones; Keras's ``maxlen`` drops
            longer texts.
        encoding: Values of a row: ``multi_hot`` is 1 for each id in the text, ``count`` its number
            of occurrences, ``tfidf`` the count times the inverse document frequency, scaled to
            length 1, ``sublinear_tfidf`` the same of 1 + log(count).
        min_df: Number of training texts that a word must be in.
        tokens: Tokens of a text; ``characters`` are for scripts without spaces.
        ngrams: Length of the longest terms: 1, or 2 for pairs of neighbours as well.
        char_ngrams: Length of the longest n-grams of characters in words; 0 for none.
        column: Column of the texts, if rows come from a table.
        read_csv: Arguments of ``pandas.read_csv`` by which the training table was read.
    """

    kind = "text"
    form = "text"
    explained_by = "words"

    def __init__(
        self,
        num_words: int | None = 10000,
        max_length: int | None = None,
        encoding: Encoding = "multi_hot",
        min_df: int = 1,
        tokens: Tokens = "words",
        ngrams: int = 1,
        char_ngrams: int = 0,
        column: str = "text",
        read_csv: Options | None = None,
    ) -> None:
        self.num_words = num_words
        self.max_length = max_length
        self.encoding = encoding
        self.min_df = min_df
        self.tokens = tokens
        self.ngrams = ngrams
        self.char_ngrams = char_ngrams
        self.column = column
        self.read_csv = dict(read_csv or {})
        #: Words with the ids from `FIRST_WORD` on.
        self.words_: list[str] = []
        #: Inverse document frequency of each id, for TF-IDF.
        self.idf_: list[float] = []

    def fit(self, rows: TextRows, targets: Array | None = None) -> None:
        """Learn the words of training texts and, for TF-IDF, their document frequencies."""
        tokens = self._numbered(rows)
        words = rank_terms(tokens, self.min_df)
        num_words = self.num_words or len(words) + FIRST_WORD
        self.words_ = words[: num_words - FIRST_WORD]
        self.__dict__.pop("_ids_by_word", None)  # of an earlier fit
        self.idf_ = []
        self.input_shape_ = (num_words,)
        if "tfidf" not in self.encoding:
            return
        num_texts = document_frequencies(*self.ids(tokens), num_words)
        idf = np.log((1 + len(tokens.lengths)) / (1 + num_texts)) + 1
        idf[[START, UNKNOWN]] = 0  # not terms
        # A word has many n-grams of characters; a third was best in validation.
        for id, word in enumerate(self.words_, FIRST_WORD):
            if re.match(CHAR_NGRAM, word):
                idf[id] /= 3
        self.idf_ = idf.tolist()

    @property
    def column_names(self) -> list[str]:
        """Name of each id: its word or special meaning. A small set has fewer names than ids."""
        return _NO_WORDS + self.words_

    def load_state(self, state: PlainValues) -> None:
        """Take what another object has learned, see `state`."""
        super().load_state(state)
        self.__dict__.pop("_ids_by_word", None)

    def transform(self, rows: TextRows) -> Bags:
        """Encode texts.

        A warning names each text without a word of the training texts, but not those that come as
        tokens.
        """
        if isinstance(rows, NumberedTokens):
            ids, lengths = self.ids(rows)
        else:
            texts = list(map(self._text, rows))
            ids, lengths = self.ids(texts)
            _warn_of_unknown(texts, ids, lengths)
        [num_words] = self.input_shape_
        ids, lengths, counts = count_ids(ids, lengths, num_words)
        weights = self._weigh(ids, counts)
        if self.idf_:
            places = np.repeat(np.arange(len(lengths)), lengths)
            norms = np.sqrt(np.bincount(places, weights**2, len(lengths)))
            is_term = weights != 0
            places = places[is_term]
            weights = weights[is_term] / norms[places]
            ids = ids[is_term]
            lengths = np.bincount(places, minlength=len(lengths))
        offsets = np.cumsum(lengths) - lengths
        return Bags(ids, offsets.astype(ids.dtype), weights.astype(np.float32))

    def _weigh(self, ids: Array, counts: Counts) -> NDArray[np.float64]:
        """Return the weight of each count, before the rows of TF-IDF get length 1.

        The weights equal those from scikit-learn's ``TfidfTransformer`` with its defaults.
        """
        if self.encoding == "multi_hot":
            return np.ones(len(counts))
        frequencies = counts.astype(np.float64)
        if self.encoding == "sublinear_tfidf":
            frequencies = 1 + np.log(frequencies)
        if self.idf_:
            frequencies *= np.array(self.idf_)[ids]
        return frequencies

    def ids(self, rows: TextRows) -> tuple[Array, Counts]:
        """Return the word ids of all texts, starts included, and the number of ids of each text."""
        terms, numbers, lengths = self._numbered(rows)
        if self.max_length:
            starts = np.cumsum(lengths) - lengths
            lengths = np.minimum(lengths, self.max_length - 1)
            numbers = numbers[ranges(starts, lengths)]
        known = map(self._ids_by_word.get, terms, repeat(UNKNOWN))
        lookup = np.fromiter(known, np.int32, len(terms))
        starts = np.cumsum(lengths) - lengths
        return np.insert(lookup[numbers], starts, START), lengths + 1

    @cached_property
    def _ids_by_word(self) -> dict[str, int]:
        return {word: id for id, word in enumerate(self.words_, FIRST_WORD)}

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ids in order, ``?`` for an id of no word."""
        words = dict(enumerate(self.words_, FIRST_WORD))
        return " ".join(words.get(int(id), "?") for id in ids)

    def _numbered(self, rows: TextRows) -> NumberedTokens:
        if isinstance(rows, NumberedTokens):
            return rows
        texts = [self._text(row) for row in rows]
        return number_tokens(texts, self.tokens, self.ngrams, self.char_ngrams)

    def _text(self, row: TextRow) -> str:
        """Return the text of a row; a missing text is empty."""
        text: object = row
        if isinstance(row, Mapping) and self.column in row:
            text = row[self.column]
        if isinstance(text, str):
            return text
        if str(text) not in _MISSING:
            raise ValueError(
                f"a row is a text, or has a text in column {self.column!r}, not {described(row)}."
            )
        return ""


def _warn_of_unknown(texts: Sequence[str], ids: Array, lengths: Counts) -> None:
    """Warn of each text whose ids are of no word."""
    starts = np.cumsum(lengths) - lengths
    largest = np.maximum.reduceat(ids, starts) if len(starts) else ids
    for place in np.flatnonzero(largest <= UNKNOWN).tolist():
        warnings.warn(f"no word of the training texts in {texts[place]!r:.80}", stacklevel=4)


def count_ids(ids: Array, lengths: Counts, num_ids: int) -> tuple[Array, Counts, Counts]:
    """Count the occurrences of each id in each text.

    Args:
        ids: Ids of all texts, one text after the other, (T,).
        lengths: Number of ids of each text, (N,).
        num_ids: Number of different ids.

    Returns:
        The increasing ids of each text, one text after the other, int32 (E,); the number of
        different ids of each text, (N,); and the number of occurrences of each id, (E,).
    """
    ends = np.append(0, np.cumsum(lengths))
    texts_per_piece = max(1, np.iinfo(np.int32).max // max(1, num_ids))  # keys fit into int32
    pieces = [(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))]
    for first in range(0, len(lengths), texts_per_piece):
        piece = lengths[first : first + texts_per_piece]
        texts = np.repeat(np.arange(len(piece), dtype=np.int32), piece)
        keys = texts * np.int32(num_ids)
        keys += ids[ends[first] : ends[first + len(piece)]]
        keys.sort()
        is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
        places = np.flatnonzero(is_first)
        texts, distinct = np.divmod(keys[places], np.int32(num_ids))
        counts = np.diff(places, append=len(keys))
        pieces.append((distinct, np.bincount(texts, minlength=len(piece)), counts))
    distinct_ids, numbers, counts = map(np.concatenate, zip(*pieces, strict=True))
    return distinct_ids, numbers, counts


def document_frequencies(ids: Array, lengths: Counts, num_ids: int) -> Counts:
    """Return the number of texts that each id is in, (num_ids,)."""
    distinct_ids, _, _ = count_ids(ids, lengths, num_ids)
    return np.bincount(distinct_ids, minlength=num_ids)


def rank_terms(tokens: NumberedTokens, min_df: int = 1) -> list[str]:
    """Return the terms of texts by frequency, ties by first appearance.

    Args:
        tokens: Tokens of the texts.
        min_df: Number of texts that a term must be in.
    """
    terms, numbers, lengths = tokens
    counts = np.bincount(numbers, minlength=len(terms))
    first = np.zeros(len(terms), np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]  # of several assignments the last stays
    order = np.lexsort((first, -counts))[: np.count_nonzero(counts)]
    if min_df > 1:
        num_texts = document_frequencies(numbers, lengths, len(terms))
        order = order[num_texts[order] >= min_df]
    return [terms[number] for number in order.tolist()]
