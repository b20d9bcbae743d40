"""N-grams (sequences of words) as terms: counted in all texts at once, as plain arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.text.corpus import Texts
from dlp.errors import InputError


def ngram_keys(
    tokens: NDArray[np.int32], lengths: NDArray[np.int64], size: int, num_words: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a number for each n-gram of `size` words, and the text it stands in.

    Args:
        tokens: The words of all texts one after the other, (T,).
        lengths: How many each text has, (N,).
        size: Words an n-gram, 1 or more.
        num_words: Words are numbers below it.

    Returns:
        Keys (S,), equal for equal n-grams, and row numbers (S,), in order.
    """
    rows = np.repeat(np.arange(len(lengths)), lengths)
    count = max(0, len(tokens) - size + 1)
    whole = rows[:count] == rows[size - 1 :]
    keys = np.zeros(count, np.int64)
    for place in range(size):
        keys = keys * num_words + tokens[place : place + count]
    return keys[whole], rows[:count][whole]


def rank_terms(texts: Texts, ngrams: int, min_df: int, limit: int | None = None) -> list[str]:
    """Return the words and n-grams of `texts`, the most frequent first.

    The words of an n-gram are joined by a space. Equally frequent terms stand in order of their
    length, then of first appearance.

    Args:
        texts: The texts.
        ngrams: The longest n-gram, in words.
        min_df: Leave out terms that fewer texts have (document frequency, as scikit-learn has it).
        limit: Return the first so many.

    Raises:
        InputError: The texts have too many different words for n-grams of that length.
    """
    words = texts.corpus.words
    if len(words) ** ngrams >= 2**63:
        raise InputError(
            f"the texts have {len(words):,} different words, too many for ngrams: {ngrams}. Use "
            "ngrams: 2."
        )
    tokens, lengths = texts.tokens()
    found = [
        _frequent(*ngram_keys(tokens, lengths, size, len(words)), len(lengths), min_df)
        for size in range(1, ngrams + 1)
    ]
    sizes = np.repeat(np.arange(1, ngrams + 1), [len(kept) for kept, _ in found])
    keys = np.concatenate([kept for kept, _ in found])
    order = np.argsort(-np.concatenate([counts for _, counts in found]), kind="stable")
    return [_term(int(keys[i]), int(sizes[i]), words) for i in order[:limit]]


def _frequent(
    keys: NDArray[np.int64], rows: NDArray[np.int64], num_rows: int, min_df: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the keys that stand in enough rows, in order of appearance, and their counts."""
    distinct, first, number, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    if min_df > 1:
        pairs = np.unique(number * num_rows + rows)  # each key once a row
        rows_with = np.bincount(pairs // max(1, num_rows), minlength=len(distinct))
        order = order[rows_with[order] >= min_df]
    return distinct[order], counts[order]


def _term(key: int, size: int, words: Sequence[str]) -> str:
    parts = []
    for _ in range(size):
        key, word = divmod(key, len(words))
        parts.append(words[word])
    return " ".join(reversed(parts))


class NgramIds:
    """The ids of n-grams in the numbers of one corpus.

    Args:
        ids: N-gram, its words joined by spaces -> id.
        words: The words of the corpus, by number.
    """

    def __init__(self, ids: dict[str, int], words: Sequence[str]) -> None:
        self._num_words = len(words)
        numbers = {word: number for number, word in enumerate(words)}
        keys: dict[int, list[tuple[int, int]]] = {}
        for term, id in ids.items():
            parts = [numbers.get(word) for word in term.split(" ")]
            key = 0
            for number in parts:
                if number is None:  # the corpus lacks a word of it
                    break
                key = key * len(words) + number
            else:
                keys.setdefault(len(parts), []).append((key, id))
        self._sorted = {size: np.array(sorted(pairs), np.int64) for size, pairs in keys.items()}

    def find(
        self, tokens: NDArray[np.int32], lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the ids of all n-grams that have one, and the text each stands in, (S,)."""
        found = [np.empty((2, 0), np.int64)]
        for size, table in self._sorted.items():
            keys, rows = ngram_keys(tokens, lengths, size, self._num_words)
            place = np.minimum(np.searchsorted(table[:, 0], keys), len(table) - 1)
            known = table[place, 0] == keys
            found.append(np.stack([table[place[known], 1], rows[known]]))
        ids, rows = np.concatenate(found, axis=1).astype(np.int32)  # as sparse matrices have them
        return ids, rows
