import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from dlp.evaluation.intervals import class_quantiles, conformal_quantile, half_widths
from dlp.evaluation.mistakes import best_threshold
from dlp.reader.answer import decide


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 10, 19, 20, 100])
def test_the_quantile_has_the_rank_of_the_formula(count, coverage):
    scores = np.random.default_rng(0).normal(size=count)
    rank = math.ceil((count + 1) * coverage)
    expected = np.inf if rank > count else sorted(scores)[rank - 1]
    assert conformal_quantile(scores, coverage) == expected


@pytest.mark.parametrize("count", [200, 1000, 4000])
def test_intervals_cover_each_fifth_of_values_whose_errors_grow_with_them(count):
    noise = np.random.default_rng(0).normal(size=(2, count + 10_000))
    values, truth = np.exp([noise[0], noise[0] + noise[1] / 2])
    curve = half_widths(values[:count], truth[:count], 0.9)
    order = values[count:].argsort() + count
    is_covered = abs(truth - values)[order] <= np.interp(values[order], *curve)
    for fifth in np.split(is_covered, 5):
        assert 0.8 < fifth.mean() < 0.97


def test_a_class_with_too_few_rows_is_always_in_the_set():
    probabilities = np.full((12, 2), 0.5)
    assert class_quantiles(probabilities, np.arange(12) // 9, 0.9) == [0.5, 0]


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=2, max_size=12))
def test_no_other_threshold_has_a_better_balanced_accuracy(rows):
    probabilities = np.array([p / 9 for p, _ in rows])
    targets = np.array([target for _, target in rows]).astype(int)
    if targets.min() == targets.max():
        return
    threshold = best_threshold(probabilities, targets)
    cuts = {-1, threshold, *probabilities}
    scores = {cut: balanced_accuracy_score(targets, probabilities > cut) for cut in cuts}
    assert scores[threshold] == pytest.approx(max(scores.values()))


def test_class_1_of_two_must_exceed_the_threshold():
    assert decide(np.array([[0.5, 0.5], [0.4, 0.6]])).tolist() == [0, 1]
    assert decide(np.array([[0.2, 0.5, 0.3]]), threshold=0.9).tolist() == [1]
