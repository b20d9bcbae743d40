"""Sorting gives what NumPy's own set functions give."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlp.datamodules.splitting.by_sorting import is_among, num_distinct

HASHES = st.lists(st.one_of(st.integers(0, 5), st.integers(2**64 - 5, 2**64 - 1)))


@given(values=HASHES, others=HASHES)
def test_hashes_are_among_others_as_isin_says(values, others):
    one, other = np.array(values, np.uint64), np.array(others, np.uint64)
    assert is_among(one, other).tolist() == np.isin(one, other).tolist()
    assert num_distinct(one) == len(np.unique(one))


def test_numbers_of_all_kinds_are_counted():
    assert num_distinct(np.array([0.0, -0.0, np.inf, np.inf, -np.inf])) == 3
    assert num_distinct(np.array([-1, 3, -1])) == 2
    assert num_distinct(np.array([])) == 0
