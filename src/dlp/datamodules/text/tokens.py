"""From a text to its tokens: words as in the book, or single characters."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal, get_args

from dlp.errors import unknown

#: What a text is split into.
Tokens = Literal["words", "characters"]

_ASCII = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'
#: Quotes, dashes and marks of word processors and of other scripts: no part of a word either.
_MARKS = (
    "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u201a\u2013\u2014\u2015\u2010\u2011\u2026"
    "\u00b7\u2022\u00a1\u00bf\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1b\uff1a\uff08\uff09\u300c"
    "\u300d\u300e\u300f\u3010\u3011\u300a\u300b\u200b\ufeff"
)
_SPACED = str.maketrans(
    {**dict.fromkeys(_ASCII + _MARKS, " "), "\u2019": "'", "\u2018": "'", "\u00ad": None}
)
#: Stands for the space between words where characters are the tokens.
SPACE = "\u2581"
#: Eight or more letters of Chinese, Japanese, Thai, Lao, Burmese, Khmer or Tibetan in a row; of
#: Chinese characters alone, of which a word has one to four, five.
_UNSPACED = re.compile(
    "[\u0e01-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]{8,}"
    "|[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{5,}"
)
_SHARE = 0.3


def split_words(text: str) -> list[str]:
    """Return the words of a text, as the book's archives have them.

    Lower case; punctuation and white space separate words; apostrophes stay.
    """
    return unicodedata.normalize("NFC", text).lower().translate(_SPACED).split()


def split_characters(text: str) -> list[str]:
    """Return the characters of a text in lower case, white space as one ``SPACE``."""
    return list(SPACE.join(unicodedata.normalize("NFC", text).lower().split()))


_SPLITTERS: dict[Tokens, Callable[[str], list[str]]] = {
    "words": split_words,
    "characters": split_characters,
}


def splitter(tokens: Tokens) -> Callable[[str], list[str]]:
    """Return the function that splits a text into such tokens.

    Raises:
        InputError: There is no such kind of token.
    """
    if tokens not in _SPLITTERS:
        raise unknown("tokens", tokens, get_args(Tokens))
    return _SPLITTERS[tokens]


def unspaced_word(words: Iterable[str]) -> str | None:
    """Return a word that is a whole sentence, where a good part of `words` are such.

    Scripts without spaces between words are meant; None where words are words.
    """
    total = unspaced = 0
    example = None
    for word in words:
        total += len(word)
        for found in _UNSPACED.finditer(word):
            unspaced += len(found.group())
            example = example or word
    return example if unspaced > _SHARE * total else None
