"""The one way in which columns of tables, arrays and targets are standardised.

scikit-learn's ``StandardScaler`` gives the same numbers (a test compares them), but takes long to
import, and its objects are no plain values for a checkpoint.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_and_deviation(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and population standard deviation of each column, 1 for a constant one.

    Args:
        values: Numbers (N, ...).

    Returns:
        Both (...).
    """
    mean = values.mean(axis=0, dtype=np.float64)
    deviation = values.std(axis=0, dtype=np.float64)
    # Compared, not by deviation == 0 alone: rounding leaves a constant 0.1 a deviation of 1e-17.
    constant = (values.min(axis=0) == values.max(axis=0)) | (deviation == 0)
    return np.asarray(mean), np.where(constant, 1.0, deviation)
