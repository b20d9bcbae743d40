"""Words and their ids: ranked by frequency, numbered as the book's archives number them."""

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.tokens import Tokens, way_to

#: Ids that stand for no word: 0 fills up (never given here), 1 begins every text, 2 is a word that
#: the vocabulary lacks; 3 is unused. The most frequent word has id 4, its rank plus 3.
START, UNKNOWN, OFFSET = 1, 2, 3


def rank_words(texts: Texts, limit: int | None = None) -> list[str]:
    """Return the distinct words of `texts`, the most frequent first.

    Equally frequent words stand in order of first appearance. A published ranking stays as it is.

    Args:
        texts: The texts.
        limit: Return the first so many.
    """
    words = texts.corpus.words
    if texts.corpus.ranked:
        return words[:limit]
    counts = np.zeros(len(words), np.int64)
    first = np.full(len(words), np.iinfo(np.int64).max)
    seen = 0
    for batch in texts.batches():
        tokens, _ = batch.tokens()
        counts += np.bincount(tokens, minlength=len(words))
        place = np.full(len(words), np.iinfo(np.int64).max)
        # Of several assignments to one place NumPy keeps the last: here the first appearance.
        place[tokens[::-1]] = np.arange(seen + len(tokens), seen, -1)
        first = np.minimum(first, place)
        seen += len(tokens)
    order = np.lexsort((first, -counts))[: np.count_nonzero(counts)]
    return [words[number] for number in order[:limit].tolist()]


class Vocabulary:
    """The ids of words, by Keras's rule: ``id if skip_top <= id < num_words else 2``.

    The rule is applied to ids (rank + 3), so ``num_words=10000`` keeps 9,996 words, and a
    `skip_top` above 1 makes the start of every text an unknown word, too.

    Args:
        words: Words by rank, the most frequent first; n-grams, words joined by spaces, may be
            among them.
        num_words: Ids are below it; None keeps all words.
        skip_top: Ids are at least this.
        max_length: Keep the first so many ids of a text, its start included. (Keras's ``maxlen``
            drops longer texts instead.)
        tokens: What texts are split into.
    """

    def __init__(
        self,
        words: Sequence[str],
        num_words: int | None = 10000,
        skip_top: int = 0,
        max_length: int | None = None,
        tokens: Tokens = "words",
    ) -> None:
        self._split = way_to(tokens).split
        known = None if num_words is None else num_words - OFFSET - 1
        self.words = list(words[:known])
        self.num_words = len(self.words) + OFFSET + 1 if num_words is None else num_words
        self.skip_top = skip_top
        self.max_length = max_length
        self._ids = {
            word: id if id >= skip_top else UNKNOWN
            for id, word in enumerate(self.words, OFFSET + 1)
        }
        #: The ids of n-grams of two words and more.
        self.ngram_ids = {term: id for term, id in self._ids.items() if " " in term}
        self.start = START if skip_top <= START else UNKNOWN
        self._looked_up: tuple[Sequence[str], NDArray[np.int32]] | None = None

    @property
    def max_words(self) -> int | None:
        """How many words of a text are kept; None for all."""
        return None if self.max_length is None else self.max_length - 1

    def lookup(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the id of each of `words`, int32: what turns a corpus' tokens into ids.

        That of the last corpus is kept: its training and validation texts are encoded in turn.
        """
        if self._looked_up is None or self._looked_up[0] is not words:
            ids = map(self._ids.get, words, repeat(UNKNOWN))
            self._looked_up = words, np.fromiter(ids, np.int32, len(words))
        return self._looked_up[1]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, in order: its start, then its words."""
        ids = [self.start, *(self._ids.get(word, UNKNOWN) for word in self._split(text))]
        return ids[: self.max_length]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of `ids` in order, ``?`` for each id that stands for no word."""
        last = OFFSET + len(self.words)
        return " ".join(
            self.words[id - OFFSET - 1] if OFFSET < id <= last else "?" for id in map(int, ids)
        )

    def sequences(
        self, texts: Texts, lookup: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the ids of all `texts` one after the other, and how many each text has.

        Args:
            texts: The texts.
            lookup: The id of each word of their corpus, from `lookup`.
        """
        tokens, lengths = texts.tokens(self.max_words, first=len(lookup))
        ids: NDArray[np.int32] = np.append(lookup, np.int32(self.start))[tokens]
        return ids, lengths
