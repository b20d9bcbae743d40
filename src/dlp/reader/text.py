"""Reader of texts."""

import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .rows import Reader, Spec

#: Ids of no word: 0 pads, 1 starts each text, 2 is an unknown word, 3 is unused. The most frequent
#: word has id 4.
START = 1
UNKNOWN = 2
FIRST_WORD = 4
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


class TextReader(Reader):
    """Reader of texts into counts of word ids, float32 (N, num_words)."""

    form = "text"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.ids = {word: id for id, word in enumerate(spec["words"], FIRST_WORD)}

    def __call__(self, rows: Sequence[Any]) -> list[Any]:
        """Count the ids of texts, or of rows of a table with a column of texts."""
        counts = np.zeros((len(rows), self.spec["num_words"]), np.float32)
        for count, row in zip(counts, rows, strict=True):
            text = row
            if isinstance(row, Mapping):
                text = row.get(self.spec["column"])
            if not isinstance(text, str):
                column = self.spec["column"]
                raise ValueError(
                    f"a row is a text, or has a text in column {column!r}, not {row!r:.80}."
                )
            ids = [START]
            tokens = tokenise(
                text,
                self.spec["tokens"],
                self.spec["ngrams"],
                self.spec.get("char_ngrams", 0),  # not in models of 1.1
            )
            ids += [self.ids.get(token, UNKNOWN) for token in tokens]
            ids = ids[: self.spec["max_length"]]
            if max(ids) <= UNKNOWN:
                warnings.warn(f"no word of the training texts in {text!r:.80}", stacklevel=4)
            np.add.at(count, ids, 1)
        return [counts]


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
