import numpy as np

from dlp.datamodules.examples import sample_rows


def test_a_sample_is_spread_and_has_every_class():
    targets = np.array([0] * 500 + [1] * 499 + [2], np.int64)
    rows = sample_rows(targets, 1000, 10)
    assert set(targets[rows]) == {0, 1, 2}
    assert len(rows) <= 13
    assert (np.diff(rows) > 0).all()


def test_a_sample_of_few_rows_is_all_of_them():
    assert sample_rows(None, 3, 10).tolist() == [0, 1, 2]
