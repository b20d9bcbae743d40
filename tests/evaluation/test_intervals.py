import math

import numpy as np
import pytest

from dlp.evaluation.intervals import class_quantiles, conformal_quantile


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 10, 19, 20, 100])
def test_the_quantile_has_the_rank_of_the_formula(count, coverage):
    scores = np.random.default_rng(0).normal(size=count)
    rank = math.ceil((count + 1) * coverage)
    expected = np.inf if rank > count else sorted(scores)[rank - 1]
    assert conformal_quantile(scores, coverage) == expected


def test_a_class_with_too_few_rows_is_always_in_the_set():
    probabilities = np.full((12, 2), 0.5)
    assert class_quantiles(probabilities, np.arange(12) // 9, 0.9) == [0.5, 0]
