"""From a text to its tokens: words as in the book, or single characters."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
_WHITE = "".join(filter(str.isspace, map(chr, range(0x3001))))  # U+3000 is the last such
_PLAIN = "".join(filter(str.isascii, _ASCII + _WHITE))
_SPACED = bytes.maketrans(_PLAIN.encode(), b" " * len(_PLAIN))
_OTHERS = re.compile(f"[{_MARKS}{''.join(sorted({*_WHITE} - {*_PLAIN}))}]")
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


def spaced_words(text: str) -> str:
    """Return the words of a text, as the book's archives have them, with spaces between them.

    Lower case; punctuation and white space become spaces, perhaps several; apostrophes stay.
    """
    lower = unicodedata.normalize("NFC", text).lower()
    # ``str.translate`` of all at once would take 12 microseconds a review of IMDB instead of 4.
    spaced = lower.encode(errors="surrogatepass").translate(_SPACED).decode(errors="surrogatepass")
    if spaced.isascii():
        return spaced
    spaced = spaced.replace("\u2019", "'").replace("\u2018", "'").replace("\u00ad", "")
    return _OTHERS.sub(" ", spaced)


def spaced_characters(text: str) -> str:
    """Return the characters of a text in lower case, a space between any two.

    White space of the text is one ``SPACE``.
    """
    return " ".join(SPACE.join(unicodedata.normalize("NFC", text).lower().split()))


def split_words(text: str) -> list[str]:
    """Return the words of a text."""
    return spaced_words(text).split()


def split_characters(text: str) -> list[str]:
    """Return the characters of a text."""
    return spaced_characters(text).split()


@dataclass(frozen=True)
class Way:
    """A way from a text to its tokens.

    Args:
        spaced: Gives them as one text, one or more plain spaces between them and no other white
            space.
        split: Gives them as a list.
    """

    spaced: Callable[[str], str]
    split: Callable[[str], list[str]]


_WAYS: dict[Tokens, Way] = {
    "words": Way(spaced_words, split_words),
    "characters": Way(spaced_characters, split_characters),
}


def way_to(tokens: Tokens) -> Way:
    """Return the way from a text to such tokens.

    Raises:
        InputError: There is no such kind of token.
    """
    if tokens not in _WAYS:
        raise unknown("tokens", tokens, get_args(Tokens))
    return _WAYS[tokens]


def unspaced_word(words: Iterable[str]) -> str | None:
    """Return a word that is a whole sentence, where a good part of `words` are such.

    Scripts without spaces between words are meant; None where words are words.
    """
    text = "\n".join(words)  # one search, not one a word; they hold no white space
    found = list(_UNSPACED.finditer(text))
    unspaced = sum(one.end() - one.start() for one in found)
    if unspaced <= _SHARE * (len(text) - text.count("\n")):
        return None
    begin = text.rfind("\n", 0, found[0].start()) + 1
    return text[begin:].partition("\n")[0]
