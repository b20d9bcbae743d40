"""Quantiles of split conformal prediction."""

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


def test_the_rows_of_a_rare_class_are_covered_as_often():
    generator = np.random.default_rng(0)
    classes = (generator.random(40_000) < 0.05).astype(int)
    probability = 1 / (1 + np.exp(3 - 2 * classes - generator.normal(size=len(classes))))
    probabilities = np.stack([1 - probability, probability], axis=1)
    quantiles = class_quantiles(probabilities[::2], classes[::2], 0.9)
    for number, quantile in enumerate(quantiles):
        column = probabilities[1::2, number][classes[1::2] == number]
        assert (column >= quantile).mean() == pytest.approx(0.9, abs=0.03)


def test_a_class_with_too_few_rows_is_always_in_the_set():
    probabilities = np.full((12, 2), 0.5)
    assert class_quantiles(probabilities, np.arange(12) // 9, 0.9) == [0.5, 0]
