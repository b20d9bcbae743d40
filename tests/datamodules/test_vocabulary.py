from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from dlp.datamodules.bags import BagRows, count_ids, smooth_idf, weigh
from dlp.datamodules.corpus import Corpus
from dlp.datamodules.tokens import split_words
from dlp.datamodules.vocabulary import Vocabulary, rank_words
from dlp.errors import InputError

TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]), max_size=8).map(" ".join),
    min_size=1,
    max_size=12,
)


def naive_ids(words, text, num_words, skip_top, max_length):
    """The book's rule, word by word."""
    ids = [1] + [words.index(word) + 4 if word in words else 2 for word in text.split()]
    limit = len(words) + 4 if num_words is None else num_words
    return [id if skip_top <= id < limit else 2 for id in ids][:max_length]


def test_punctuation_separates_words_and_apostrophes_stay():
    text = "It's GREAT!\tA well-made film\n(really)...  don't_miss"
    expected = ["it's", "great", "a", "well", "made", "film", "really", "don't", "miss"]
    assert split_words(text) == expected


def test_the_most_frequent_word_is_first_and_ties_keep_the_order_of_appearance():
    corpus = Corpus.from_texts(["z b b", "a a c"], None)
    assert rank_words(corpus.texts()) == ["b", "a", "z", "c"]


def test_words_are_counted_and_met_in_the_given_rows_alone():
    corpus = Corpus.from_texts(["x x x", "b a", "a b"], None)
    assert rank_words(corpus.texts(np.array([2, 1]))) == ["a", "b"]


@given(TEXTS)
def test_ranking_equals_a_plain_count(texts):
    counts = Counter(word for text in texts for word in text.split())
    assert rank_words(Corpus.from_texts(texts, None).texts()) == [
        w for w, _ in counts.most_common()
    ]


def test_ten_thousand_words_are_9996_and_the_first_has_id_4():
    vocabulary = Vocabulary([f"w{rank}" for rank in range(1, 20001)], num_words=10000)
    assert len(vocabulary.words) == 9996
    assert vocabulary.encode("w1 w9996 w9997") == [1, 4, 9999, 2]


def test_all_words_are_kept_without_a_limit():
    vocabulary = Vocabulary(["a", "b"], num_words=None)
    assert vocabulary.num_words == 6
    assert vocabulary.encode("b a c") == [1, 5, 4, 2]


def test_decoding_gives_the_words_back_in_order_and_a_question_mark_for_the_rest():
    vocabulary = Vocabulary(["the", "film", "good"], num_words=100)
    assert vocabulary.decode(vocabulary.encode("Good, the film!")) == "? good the film"
    assert vocabulary.decode([0, 1, 2, 3, 4, 7, 99, -1]) == "? ? ? ? the ? ? ?"
    assert vocabulary.decode(torch.tensor([6, 4])) == "good the"


@settings(deadline=None)
@given(
    TEXTS,
    st.one_of(st.none(), st.integers(5, 12)),
    st.integers(0, 4),
    st.one_of(st.none(), st.integers(2, 6)),
)
def test_bags_equal_the_dense_formula(texts, num_words, skip_top, max_length):
    corpus = Corpus.from_texts(texts, None)
    words = rank_words(corpus.texts())
    vocabulary = Vocabulary(words, num_words, skip_top, max_length)
    dense = np.zeros((len(texts), vocabulary.num_words), np.float32)
    for row, text in enumerate(texts):
        ids = naive_ids(words, text, num_words, skip_top, max_length)
        assert vocabulary.encode(text) == ids
        np.add.at(dense[row], ids, 1)
    order = np.arange(len(texts))[::-1].copy()
    counts = count_ids(corpus.texts(order), vocabulary)
    assert (np.diff(counts.indptr) == (dense[order] > 0).sum(axis=1)).all()  # each id once
    batch = BagRows(counts)[torch.from_numpy(order)]
    assert torch.equal(batch.to_dense(vocabulary.num_words), torch.from_numpy(dense))
    batch = BagRows(weigh(counts, "multi_hot", None))[torch.from_numpy(order)]
    assert torch.equal(batch.to_dense(vocabulary.num_words), torch.from_numpy(dense > 0).float())
    assert batch.ids.dtype == batch.offsets.dtype == torch.int64
    assert batch.weights.dtype == torch.float32


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_tfidf_equals_scikit_learn(train, new):
    corpus, other = Corpus.from_texts(train, None), Corpus.from_texts(new, None)
    vocabulary = Vocabulary(rank_words(corpus.texts()), num_words=9)
    reference = TfidfVectorizer(
        analyzer=vocabulary.encode, vocabulary=range(9), lowercase=False
    ).fit(train)
    idf = smooth_idf(count_ids(corpus.texts(), vocabulary))
    ours = weigh(count_ids(other.texts(), vocabulary), "tfidf", idf)
    np.testing.assert_allclose(ours.toarray(), reference.transform(new).toarray(), atol=1e-6)


def test_no_text_is_no_row():
    corpus = Corpus.from_texts(["a b"], None)
    counts = count_ids(corpus.texts(np.empty(0, np.int64)), Vocabulary(["a"], num_words=5))
    assert counts.shape == (0, 5)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ((4, 0, None), "num_words must be at least 5"),
        ((10, 10, None), "skip_top must be 0 or more and below num_words"),
        ((10, -1, None), "skip_top"),
        ((10, 0, 1), "max_length must be at least 2"),
    ],
)
def test_limits_that_leave_no_word_are_refused(limits, message):
    with pytest.raises(InputError, match=message):
        Vocabulary(["a"], *limits)
