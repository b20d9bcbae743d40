import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.datamodules.rows import row_hashes
from dlp.datamodules.text.corpus import Texts
from dlp.reader.text import tokenise

# Hypothesis takes seconds to build the table of all characters.
TEXT = st.text("aB'-.\n\0 \u00e9\u0301\u597d\U0001f44d", max_size=20)


def words_of(texts):
    tokens, lengths = texts.tokens()
    pieces = np.split(tokens, np.cumsum(lengths)[:-1])
    return [[texts.words[token] for token in piece] for piece in pieces]


@pytest.mark.parametrize("tokens", ["words", "characters"])
@given(st.lists(TEXT, min_size=1, max_size=8), st.sampled_from([1, 2]))
def test_tokens_are_those_of_each_text_in_order_of_first_appearance(tokens, texts, ngrams):
    result = Texts.tokenise(texts, tokens, ngrams)
    expected = [tokenise(text, tokens, ngrams) for text in texts]
    assert words_of(result) == expected
    assert result.words == [*dict.fromkeys(word for words in expected for word in words)]
    assert result.raw() == texts


def test_half_an_emoji_becomes_a_question_mark():
    texts = Texts.tokenise(["good \ud83d film"])
    assert texts.raw() == ["good ? film"]
    assert words_of(texts) == [["good", "film"]]


def test_rows_are_chosen_without_a_copy_and_cut_at_a_length():
    texts = Texts.tokenise(["a b c", "", "d e"], label0=np.array([7, 8, 9]))
    chosen = texts[np.array([2, 0])]
    assert chosen.table is texts.table
    assert chosen.raw() == ["d e", "a b c"]
    assert chosen.column("label0").tolist() == [9, 7]
    assert chosen.column("hash").tolist() == row_hashes([b"d e", b"a b c"]).tolist()
    assert chosen.tokens(limit=1)[1].tolist() == [1, 1]


def test_more_texts_than_an_arrow_batch_are_saved_as_one_chunk(tmp_path):
    texts = Texts.tokenise([f"w{number % 5}" for number in range(70_000)])
    texts.save(tmp_path / "texts.arrow")
    loaded = Texts.load(tmp_path / "texts.arrow")
    assert loaded.words == texts.words
    assert np.array_equal(loaded.tokens()[0], texts.tokens()[0])


def test_saved_columns_keep_their_kind(tmp_path):
    columns = {"label0": ["good", None], "group": np.array([0, 1]), "is_new": [True, None]}
    Texts.tokenise(["a b", "c"], **columns).save(tmp_path / "texts.arrow")
    texts = Texts.load(tmp_path / "texts.arrow")
    assert {name: texts.column(name).tolist() for name in columns} == {
        "label0": ["good", None],
        "group": [0, 1],
        "is_new": [True, None],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's GREAT!\tA well-made film\n(really)... don't_miss",
         ["it's", "great", "a", "well", "made", "film", "really", "don't", "miss"]),
        ("\u201cGreat\u201d\u2026 it\u2019s", ["great", "it's"]),
        ("one\r\ntwo\u00a0three\u3000four\x85five", ["one", "two", "three", "four", "five"]),
        ("cafe\u0301 CAF\u00c9 Gr\u00f6\u00dfe", ["caf\u00e9", "caf\u00e9", "gr\u00f6\u00dfe"]),
        ("\ufefffirst soft\u00adhyphen", ["first", "softhyphen"]),
        ("\u597d\u770b\u3002\u63a8\u8350\uff01", ["\u597d\u770b", "\u63a8\u8350"]),
        ("\U0001f44d fine", ["\U0001f44d", "fine"]),
        ("?!", []),
    ],
)  # fmt: skip
def test_words_are_lower_case_without_punctuation(text, words):
    assert tokenise(text) == words


def test_characters_keep_punctuation_and_one_sign_for_white_space():
    assert tokenise(" Ab\n\tc! ", "characters") == ["a", "b", "\u2581", "c", "!"]
