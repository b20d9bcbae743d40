"""The numbers of words are those that a dict in Python gives, one word after the other."""

import sys
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.datamodules.text.tokens import way_to
from dlp.datamodules.text.word_numbers import WordNumbers

WHITE = "".join(filter(str.isspace, map(chr, range(sys.maxunicode + 1))))
TEXTS = st.lists(st.text(st.sampled_from(f"abAB'\u2019,.\u00ad\u0301éÉß\u03a3\0{WHITE}")))


def plainly(texts, tokens):
    numbers = {}
    split = way_to(tokens).split
    found = [[numbers.setdefault(word, len(numbers)) for word in split(text)] for text in texts]
    return list(chain(*found)), [len(text) for text in found], list(numbers)


@pytest.mark.parametrize("tokens", ["words", "characters"])
@given(batches=st.lists(TEXTS, max_size=3))
def test_batches_of_texts_get_the_numbers_of_a_dict(tokens, batches):
    words = WordNumbers(tokens)
    found, lengths = [], []
    for batch in batches:
        numbers, counts = words.of(batch)
        found += numbers.tolist()
        lengths += counts.tolist()
    expected = plainly([text for batch in batches for text in batch], tokens)
    assert (found, lengths, words.known) == expected


def test_every_white_space_parts_words():
    words = WordNumbers("words")
    numbers, lengths = words.of([f"a{sign}b" for sign in WHITE])
    assert set(lengths.tolist()) == {2}
    assert words.known == ["a", "b"]
    assert numbers.tolist() == [0, 1] * len(WHITE)


def test_texts_without_words_have_none():
    numbers, lengths = WordNumbers("words").of(["", " ", "!", "film"])
    assert (numbers.tolist(), lengths.tolist()) == ([0], [0, 0, 0, 1])
    numbers, lengths = WordNumbers("words").of([])
    assert (numbers.tolist(), lengths.tolist()) == ([], [])
