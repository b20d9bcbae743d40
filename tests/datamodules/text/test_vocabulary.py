from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from dlp.datamodules.text.corpus import Corpus
from dlp.datamodules.text.encodings import BagEncoder, BagRows, count_ids, smooth_idf, weigh
from dlp.datamodules.text.ngrams import rank_terms
from dlp.datamodules.text.tokens import split_words
from dlp.datamodules.text.vocabulary import OFFSET, Vocabulary, rank_words
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
    corpus = Corpus.from_texts(["z b b", "a a c"])
    assert rank_words(corpus.texts()) == ["b", "a", "z", "c"]


def test_words_are_counted_and_met_in_the_given_rows_alone():
    corpus = Corpus.from_texts(["x x x", "b a", "a b"])
    assert rank_words(corpus.texts(np.array([2, 1]))) == ["a", "b"]


@given(TEXTS)
def test_ranking_equals_a_plain_count(texts):
    counts = Counter(word for text in texts for word in text.split())
    ranked = [word for word, _ in counts.most_common()]
    assert rank_words(Corpus.from_texts(texts).texts()) == ranked
    assert rank_words(Corpus.from_texts(texts).texts(), 3) == ranked[:3]


def test_each_corpus_is_looked_up_by_its_own_words():
    vocabulary = Vocabulary(["a", "b"], num_words=None)
    one, other = ["a", "x", "b"], ["b", "a"]
    for _ in range(2):
        assert vocabulary.lookup(one).tolist() == [4, 2, 5]
        assert vocabulary.lookup(other).tolist() == [5, 4]
    assert vocabulary.lookup(one) is vocabulary.lookup(one)


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
    corpus = Corpus.from_texts(texts)
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
    assert batch.ids.dtype == batch.offsets.dtype == torch.int32  # as SciPy's products take them
    assert batch.weights.dtype == torch.float32


@pytest.fixture(params=["multi_hot", "count"])
def stored(request):
    texts = ["a b a", "", "c", "b b c d", "a d e f", "g", "b"]
    corpus = Corpus.from_texts(texts)
    counts = count_ids(corpus.texts(), Vocabulary(rank_words(corpus.texts()), 9))
    return BagRows(weigh(counts, request.param, None))


ORDERS = [
    [[3, 1, 2], [0, 6]],
    [[0, 1, 2], [3, 4]],  # as they are stored: validation
    [[2, 3, 4, 5]],
    [[5], [1], [0]],
    [[4, 3], []],
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_texts_selected_together_are_those_selected_one_by_one(stored, order):
    together = stored.select_batches([torch.tensor(rows, dtype=torch.int64) for rows in order])
    assert len(together) == len(order)
    for rows, batch in zip(order, together, strict=True):
        alone = [stored[torch.tensor([row])] for row in rows]
        assert len(batch.offsets) == len(rows)
        assert batch.ids.tolist() == [id for one in alone for id in one.ids.tolist()]
        assert batch.weights.tolist() == [one for each in alone for one in each.weights.tolist()]
        ends = np.cumsum([len(one.ids) for one in alone]).tolist()
        assert batch.offsets.tolist() == [0, *ends][: len(rows)]


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3, 2, 1, 0]], ids=["as stored", "shuffled"])
def test_what_a_network_changes_in_a_batch_is_not_changed_in_what_is_stored(stored, rows):
    index = torch.tensor(rows)
    before = [each.clone() for each in stored[index]]
    for each in stored[index]:
        each.fill_(7)
    assert all(map(torch.equal, stored[index], before))


@settings(deadline=None, max_examples=60)
@given(TEXTS, TEXTS, st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_tfidf_of_words_and_sequences_equals_scikit_learn(train, new, ngrams, min_df, sublinear):
    corpus, other = Corpus.from_texts(train), Corpus.from_texts(new)
    words = rank_terms(corpus.texts(), ngrams, min_df)
    reference = TfidfVectorizer(
        tokenizer=split_words,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, ngrams),
        min_df=min_df,
        sublinear_tf=sublinear,
    )
    try:
        reference.fit(train)
    except ValueError:  # no term is left
        assert not words
        return
    assert set(words) == set(reference.vocabulary_)
    vocabulary = Vocabulary(words, num_words=None)
    idf = smooth_idf(count_ids(corpus.texts(), vocabulary))
    encoding = "sublinear_tfidf" if sublinear else "tfidf"
    ours = weigh(count_ids(other.texts(), vocabulary), encoding, idf).toarray()
    places = [reference.vocabulary_[word] for word in words]
    expected = reference.transform(new).toarray()[:, places]
    np.testing.assert_allclose(ours[:, OFFSET + 1 :], expected, atol=1e-6)
    assert not ours[:, : OFFSET + 1].any()  # a start and unknown words are no terms


def test_terms_are_ranked_by_frequency_then_length_then_appearance():
    corpus = Corpus.from_texts(["not good not good", "good film", "a film"])
    ranked = ["good", "not", "film", "not good", "a", "good not", "good film", "a film"]
    assert rank_terms(corpus.texts(), 2, 1) == ranked
    assert rank_terms(corpus.texts(), 2, 2) == ["good", "film"]
    assert rank_terms(corpus.texts(), 2, 1, limit=3) == ["good", "not", "film"]


def test_sequences_end_with_their_text_and_with_what_is_kept_of_it():
    corpus = Corpus.from_texts(["a b c", "c a b"])
    vocabulary = Vocabulary(rank_terms(corpus.texts(), 2, 1), None, max_length=3)
    assert set(vocabulary.words) == {"a", "b", "c", "a b", "b c", "c a"}
    assert count_ids(corpus.texts(), vocabulary).indices.dtype == np.int32  # scikit-learn's demand
    terms = [vocabulary.decode(row.indices) for row in count_ids(corpus.texts(), vocabulary)]
    assert [sorted(term.split()) for term in terms] == [
        sorted(["?", "a", "b", "a", "b"]),
        sorted(["?", "c", "a", "c", "a"]),
    ]


def test_too_many_words_for_long_sequences_are_refused():
    corpus = Corpus.from_texts(["a b"])
    many = replace(corpus, words=[str(number) for number in range(2_100_000)])
    with pytest.raises(InputError, match="too many for ngrams: 3"):
        rank_terms(many.texts(), 3, 1)


def test_no_text_is_no_row():
    corpus = Corpus.from_texts(["a b"])
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
        BagEncoder(*limits)
