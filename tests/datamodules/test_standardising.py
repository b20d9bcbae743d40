import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from dlp.datamodules.standardising import mean_and_deviation


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_numbers_are_those_of_scikit_learn(kind):
    values = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(kind)
    reference = StandardScaler().fit(values.astype(np.float64))
    mean, deviation = mean_and_deviation(values)
    np.testing.assert_allclose(mean, reference.mean_, rtol=1e-12)
    np.testing.assert_allclose(deviation, reference.scale_, rtol=1e-12)


def test_a_constant_column_has_deviation_one_whatever_rounding_does():
    values = np.full(100, 0.1)
    assert values.std() > 0
    assert mean_and_deviation(values)[1] == 1
    columns = np.stack([values, np.arange(100) % 2], axis=1)
    assert mean_and_deviation(columns)[1].tolist() == [1.0, 0.5]


def test_values_of_any_shape():
    values = np.arange(24.0).reshape(4, 3, 2)
    mean, deviation = mean_and_deviation(values)
    assert mean.shape == deviation.shape == (3, 2)
    assert mean_and_deviation(np.array([1.0, 3.0]))[0] == 2.0
