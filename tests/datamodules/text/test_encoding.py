"""Texts become tokens, and tokens counts."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from dlp.datamodules.rows import row_hashes
from dlp.datamodules.text.bags import BagRows
from dlp.datamodules.text.corpus import Texts
from dlp.reader.text import FIRST_WORD, TextEncoder, rank_terms
from dlp.reader.tokens import number_tokens, tokenise

# Hypothesis takes seconds to build the table of all characters.
TEXT = st.text("aB'-.\n\0 \u00e9\u0301\u597d\U0001f44d", max_size=20)
pytestmark = pytest.mark.filterwarnings("ignore:no word of the training texts")
WORDS = st.lists(st.sampled_from("abcdefg"), max_size=8)
TEXTS = st.lists(WORDS.map(" ".join), min_size=1, max_size=12)
NUM_WORDS = st.none() | st.integers(5, 12)


def words_of(texts):
    tokens, lengths = texts.tokens()
    pieces = np.split(tokens, np.cumsum(lengths)[:-1])
    return [[texts.words[token] for token in piece] for piece in pieces]


@pytest.mark.parametrize("tokens", ["words", "characters"])
@given(st.lists(TEXT, min_size=1, max_size=8), st.sampled_from([1, 2]))
def test_tokens_are_those_of_each_text_in_order_of_first_appearance(
    tokens, texts, ngrams
):
    result = Texts.tokenise(texts, tokens, ngrams)
    expected = [tokenise(text, tokens, ngrams) for text in texts]
    assert words_of(result) == expected
    assert result.words == [
        *dict.fromkeys(word for words in expected for word in words)
    ]
    assert result.raw() == texts


def test_half_an_emoji_becomes_a_question_mark():
    texts = Texts.tokenise(["good \ud83d film"])
    assert texts.raw() == ["good ? film"]
    assert words_of(texts) == [["good", "film"]]


def test_rows_are_chosen_without_a_copy():
    texts = Texts.tokenise(["a b c", "", "d e"], label0=np.array([7, 8, 9]))
    chosen = texts[np.array([2, 0])]
    assert chosen.table is texts.table
    assert chosen.raw() == ["d e", "a b c"]
    assert chosen.column("label0").tolist() == [9, 7]
    assert chosen.column("hash").tolist() == row_hashes([b"d e", b"a b c"]).tolist()


def test_more_texts_than_an_arrow_batch_are_saved_as_one_chunk(tmp_path):
    texts = Texts.tokenise([f"w{number % 5}" for number in range(70_000)])
    texts.save(tmp_path / "texts.arrow")
    loaded = Texts.load(tmp_path / "texts.arrow")
    assert loaded.words == texts.words
    assert np.array_equal(loaded.tokens()[0], texts.tokens()[0])


def test_saved_columns_keep_their_kind(tmp_path):
    columns = {
        "label0": ["good", None],
        "group": np.array([0, 1]),
        "is_new": [True, None],
    }
    Texts.tokenise(["a b", "c"], **columns).save(tmp_path / "texts.arrow")
    texts = Texts.load(tmp_path / "texts.arrow")
    cells = [texts.column(name).tolist() for name in columns]
    assert cells == [["good", None], [0, 1], [True, None]]


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


@given(TEXT, st.integers(2, 5))
def test_n_grams_of_characters_are_those_of_scikit_learn(text, longest):
    words = tokenise(text)
    ngrams = CountVectorizer(
        analyzer="char_wb", ngram_range=(2, longest)
    ).build_analyzer()
    expected = [
        f'"{ngram}"'.replace(" ", "\u2581") for ngram in ngrams(" ".join(words))
    ]
    assert sorted(tokenise(text, char_ngrams=longest)) == sorted(words + expected)


def fitted(texts, *arguments, **keywords):
    encoder = TextEncoder(*arguments, **keywords)
    encoder.fit(texts)
    return encoder


def dense(encoder, texts):
    """Return the matrix of texts, the same from stored tokens and in a stored batch."""
    [width] = encoder.input_shape_
    matrix = encoder.transform(texts).to_dense(width)
    stored = Texts.tokenise(texts, encoder.tokens, encoder.ngrams, encoder.char_ngrams)
    bags = encoder.transform(stored.encodable())
    batch = BagRows(bags, width)[torch.arange(len(texts))]
    assert np.array_equal(batch.to_dense(width).numpy(), matrix)
    return matrix


def keras_ids(words, text, num_words, max_length):
    """Return the ids of a text by the book's rule, word by word."""
    ids = [1] + [words.index(word) + 4 if word in words else 2 for word in text.split()]
    limit = len(words) + 4 if num_words is None else num_words
    return [id if id < limit else 2 for id in ids][:max_length]


@given(TEXTS.filter(any), TEXTS, NUM_WORDS, st.none() | st.integers(2, 6))
def test_rows_equal_the_dense_formula(train, new, num_words, max_length):
    encoder = fitted(train, num_words, max_length, "count")
    words = [word for word, _ in Counter(" ".join(train).split()).most_common()]
    expected = np.zeros((len(new), encoder.input_shape_[0]), np.float32)
    for row, text in enumerate(new):
        ids = keras_ids(words, text, num_words, max_length)
        np.add.at(expected[row], ids, 1)
        assert encoder.ids([text])[0].tolist() == ids
    assert np.array_equal(dense(encoder, new), expected)
    encoder.encoding = "multi_hot"
    assert np.array_equal(dense(encoder, new), expected > 0)


@given(TEXTS, TEXTS, st.integers(1, 2), st.integers(1, 2), st.booleans())
def test_tfidf_of_words_and_pairs_equals_scikit_learn(
    train, new, ngrams, min_df, sublinear
):
    vectorizer = TfidfVectorizer(
        tokenizer=str.split, token_pattern=None, lowercase=False, ngram_range=(1, ngrams),
        min_df=min_df, sublinear_tf=sublinear,
    )  # fmt: skip
    name = "sublinear_tfidf" if sublinear else "tfidf"
    encoder = TextEncoder(None, encoding=name, min_df=min_df, ngrams=ngrams)
    try:
        vectorizer.fit(train)
    except ValueError:  # no term is left
        return
    encoder.fit(train)
    places = [
        vectorizer.vocabulary_[term.replace("\u2581", " ")] for term in encoder.words_
    ]
    rows = dense(encoder, new)
    expected = vectorizer.transform(new).toarray()[:, places]
    np.testing.assert_allclose(rows[:, FIRST_WORD:], expected, atol=1e-6)
    assert sorted(places) == sorted(vectorizer.vocabulary_.values())
    assert not rows[:, :FIRST_WORD].any()  # a start and unknown words are not terms


def test_pairs_end_with_their_text_and_follow_their_first_word():
    texts = ["not good not good", "good film", "a film"]
    pair = "not\u2581good"
    assert rank_terms(number_tokens(texts, ngrams=2))[:4] == [
        "good",
        "not",
        pair,
        "film",
    ]
    encoder = TextEncoder(max_length=3, ngrams=2)  # a start, a word and its pair
    encoder.fit(texts)
    assert encoder.ids(texts[:1])[0].tolist() == [1, 5, 6]


@pytest.mark.parametrize("terms", [{"tokens": "characters"}, {"char_ngrams": 3}])
def test_characters_of_all_kinds_are_read_as_in_training(terms):
    texts = [
        "Gut gut\u2019s STRASSE",
        "caf\u00e9 cafe\u0301 a-b\0",
        "\U0001f600\u597d",
        "",
    ]
    encoder = TextEncoder(40, 8, "sublinear_tfidf", ngrams=2, **terms)
    encoder.fit(texts)
    assert dense(encoder, [*texts, "gut \u00f6de"]).any()


def test_an_n_gram_of_characters_weighs_a_third_of_a_word():
    encoder = TextEncoder(None, encoding="tfidf", char_ngrams=4)
    encoder.fit(["ab"])
    assert encoder.idf_[FIRST_WORD:] == [1] + 6 * [1 / 3]


@pytest.mark.parametrize("name", ["multi_hot", "count", "tfidf"])
@pytest.mark.parametrize(
    "order", [[[3, 1, 2], [0, 6]], [[0, 1, 2], [3, 4]], [[5]], [[4, 3], []]]
)
def test_batches_selected_together_are_those_selected_one_by_one(order, name):
    texts = ["a b a", "", "c", "b b c d", "a d e f", "g", "b"]
    rows = BagRows(fitted(texts, 9, encoding=name).transform(texts), 9)
    indices = [torch.tensor(index, dtype=torch.int64) for index in order]
    batches = list(rows.select_each(indices))
    assert len(batches) == len(indices)
    for index, batch in batches:
        assert len(batch.offsets) == len(index)
        stored = rows.matrix[index.numpy()].toarray().astype(np.float32)
        assert np.array_equal(batch.to_dense(9).numpy(), stored)
        assert (
            batch.ids.dtype == batch.offsets.dtype == torch.int32
        )  # as SciPy takes them
        assert batch.weights.dtype == torch.float32
