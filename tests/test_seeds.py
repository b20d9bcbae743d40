import numpy as np
from scipy.stats import kstest

from dlp.seeds import uniform_of_rows


def test_numbers_of_rows_depend_on_seed_and_row_only():
    rows = np.arange(1000)
    numbers = uniform_of_rows(5, rows, 7)
    assert np.array_equal(uniform_of_rows(5, rows[300:], 7), numbers[300:])
    assert len(np.unique(numbers)) > 6900
    assert (uniform_of_rows(6, rows, 7) == numbers).mean() < 0.01


def test_numbers_of_rows_are_uniform_and_independent():
    numbers = uniform_of_rows(2**63 - 1, np.arange(20_000), 7)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert kstest(numbers.ravel(), "uniform").pvalue > 0.01
    columns = np.corrcoef(numbers, rowvar=False)
    assert abs(columns - np.eye(7)).max() < 0.03
    neighbours = np.corrcoef(numbers[:-1, 0], numbers[1:, 0])
    assert abs(neighbours[0, 1]) < 0.03
