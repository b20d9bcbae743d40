import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from dlp.evaluation.intervals import class_quantiles, conformal_quantile, half_widths
from dlp.evaluation.mistakes import best_threshold
from dlp.reader.answer import decide

NINTHS = st.integers(1, 9).map(lambda count: count / 9)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 10, 19, 20, 100])
def test_the_quantile_has_the_rank_of_the_formula(count, coverage):
    scores = np.random.default_rng(0).normal(size=count)
    rank = math.ceil((count + 1) * coverage)
    expected = np.inf
    if rank <= count:
        expected = sorted(scores)[rank - 1]
    assert conformal_quantile(scores, coverage) == expected


@pytest.mark.parametrize("count", [200, 1000, 4000])
def test_intervals_cover_each_fifth_of_values_whose_errors_grow_with_them(count):
    generator = np.random.default_rng(0)
    level = generator.normal(size=count + 10_000)
    noise = generator.normal(size=count + 10_000)
    values = np.exp(level)
    truth = np.exp(level + noise / 2)
    knots, widths = half_widths(values[:count], truth[:count], 0.9)

    new_values = values[count:]
    errors = abs(truth[count:] - new_values)
    is_covered = errors <= np.interp(new_values, knots, widths)
    from_small_to_large = is_covered[new_values.argsort()]
    for fifth in np.split(from_small_to_large, 5):
        assert 0.8 < fifth.mean() < 0.97


def test_a_class_with_too_few_rows_is_always_in_the_set():
    probabilities = np.full((12, 2), 0.5)
    targets = np.arange(12) // 9
    assert class_quantiles(probabilities, targets, 0.9) == [0.5, 0]


@given(
    probabilities=st.lists(NINTHS, min_size=12, max_size=12).map(np.array),
    targets=st.lists(st.integers(0, 1), min_size=2, max_size=12).map(np.array),
)
def test_no_other_threshold_has_a_better_balanced_accuracy(probabilities, targets):
    if targets.min() == targets.max():
        return
    probabilities = probabilities[: len(targets)]
    threshold = best_threshold(probabilities, targets)
    scores = []
    for cut in (-1, *probabilities):
        scores.append(balanced_accuracy_score(targets, probabilities > cut))
    score = balanced_accuracy_score(targets, probabilities > threshold)
    assert score == pytest.approx(max(scores))


def test_class_1_of_two_must_exceed_the_threshold():
    two = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert decide(two).tolist() == [0, 1]
    three = np.array([[0.2, 0.5, 0.3]])
    assert decide(three, threshold=0.9).tolist() == [1]
