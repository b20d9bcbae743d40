"""Tokens of texts: words, characters, pairs of neighbours and n-grams of characters."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .encoder import Array

Tokens = Literal["words", "characters"]
Counts = NDArray[np.int64]

#: Beginning of n-grams of characters; other terms with a quote are shorter.
CHAR_NGRAM = '"...'
_JOINT = "\u2581"  # of pairs; of characters it is the space
#: ASCII's marks, then quotes, dashes and marks of word processors and of other scripts.
_MARKS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'
_MARKS += (
    "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u201a\u2013\u2014\u2015\u2010\u2011\u2026"
    "\u00b7\u2022\u00a1\u00bf\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1b\uff1a\uff08\uff09\u300c"
    "\u300d\u300e\u300f\u3010\u3011\u300a\u300b\u200b\ufeff"
)
_LETTERS = {"\u2019": "'", "\u2018": "'", "\u00ad": ""}  # apostrophes, soft hyphen
_TO_WORDS = str.maketrans(dict.fromkeys(_MARKS, " ") | _LETTERS)


class NumberedTokens(NamedTuple):
    """Tokens of N texts as numbers.

    Args:
        terms: Distinct tokens in order of first appearance.
        numbers: Place of each token in `terms`, one text after the other, int32 (T,).
        lengths: Number of tokens of each text, int64 (N,).
    """

    terms: Sequence[str]
    numbers: Array
    lengths: Counts


def tokenise(
    text: str,
    tokens: str = "words",
    ngrams: int = 1,
    char_ngrams: int = 0,
) -> list[str]:
    """Return the words of a text, or its characters, in lower case.

    Marks are between words, apostrophes belong to them. White space among characters is
    ``\u2581``, which also joins the pairs of neighbours that ``ngrams=2`` adds. After them are, in
    quotes, the n-grams of 2 to `char_ngrams` characters of each word and the blanks around it, as
    in scikit-learn's ``char_wb``; a blank is ``\u2581``.
    """
    text = text.encode(errors="replace").decode()  # half an emoji
    text = unicodedata.normalize("NFC", text).lower()
    if tokens == "characters":
        singles = list(_JOINT.join(text.split()))
    else:
        singles = text.translate(_TO_WORDS).split()
    terms = singles
    if ngrams == 2:
        terms = singles[:1]
        for previous, token in pairwise(singles):
            terms += [f"{previous}{_JOINT}{token}", token]
    if char_ngrams:
        padded = [f"{_JOINT}{word}{_JOINT}" for word in singles]
        for size in range(2, char_ngrams + 1):
            for word in padded:
                starts = range(len(word) - size + 1)
                terms += [f'"{word[start : start + size]}"' for start in starts]
    return terms


def number_tokens(
    texts: Iterable[str],
    tokens: Tokens = "words",
    ngrams: int = 1,
    char_ngrams: int = 0,
) -> NumberedTokens:
    """Return the tokens of texts as numbers; see `tokenise`."""
    numbers_by_term: defaultdict[str, int] = defaultdict()
    numbers_by_term.default_factory = numbers_by_term.__len__  # a new token gets the next number
    numbers = [np.empty(0, np.int32)]
    for text in texts:
        terms = tokenise(text, tokens, ngrams, char_ngrams)
        numbers.append(np.fromiter(map(numbers_by_term.__getitem__, terms), np.int32, len(terms)))
    lengths = np.array(list(map(len, numbers[1:])), np.int64)
    return NumberedTokens(list(numbers_by_term), np.concatenate(numbers), lengths)
