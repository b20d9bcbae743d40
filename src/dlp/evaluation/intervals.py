"""Split conformal prediction: quantiles for intervals of values and for sets of classes.

The quantiles are computed from the nonconformity scores of rows that were not used in training.
The score of a new row, if the row is exchangeable with these rows, is at most the quantile with a
probability of at least the coverage (Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a
Random World"; Lei et al. 2018, "Distribution-Free Predictive Inference for Regression"). If each
group of rows has its own quantile, this is true within each group (Vovk 2012, "Conditional Validity
of Inductive Conformal Predictors"). Here a group contains the rows with similar predicted values,
or the rows of one class.
"""

import numpy as np

from dlp.datamodules.rows import Array

_MAX_BINS = 10
_ROWS_BEYOND = 4  # a further bin needs at least this many rows outside of their intervals


def conformal_quantile(scores: Array, coverage: float) -> float:
    """Return the ``ceil((n + 1) * coverage)``-th smallest of n scores.

    The result is infinity if there are too few scores for this coverage.

    Args:
        scores: Nonconformity score of each row, (n,). For values, it is the absolute residual.
        coverage: Probability that the score of a new row is at most the quantile.
    """
    with_new_row = np.append(scores, np.inf)
    return float(np.quantile(with_new_row, coverage, method="inverted_cdf"))


def half_widths(values: Array, truth: Array, coverage: float) -> list[list[float]]:
    """Return predicted values in increasing order, and the half-width of the interval at each.

    The rows are sorted by their predicted value and divided into up to ten bins of equal size. The
    half-width at the median of a bin is the conformal quantile of the absolute residuals in the
    bin. So large predicted values can have wider intervals than small ones.

    Args:
        values: Predicted value of each row, (n,).
        truth: True value of each row, (n,).
        coverage: Probability that the interval of a new row contains its true value.
    """
    num_bins = min(_MAX_BINS, 1 + int(len(values) * (1 - coverage) / _ROWS_BEYOND))
    bins = np.array_split(values.argsort(), num_bins)
    residuals = abs(values - truth)
    knots = [float(np.median(values[index])) for index in bins]
    return [knots, [conformal_quantile(residuals[index], coverage) for index in bins]]


def class_quantiles(probabilities: Array, classes: Array, coverage: float) -> list[float]:
    """Return, for each class, the smallest probability with which it is in the set.

    It is 0 for a class with too few rows, which is therefore always in the set. Because each class
    has its own quantile, the coverage is also reached for rare classes.

    Args:
        probabilities: Probabilities (N, C).
        classes: True class of each row, (N,).
        coverage: Probability that the set of a new row contains its true class.
    """
    quantiles = []
    for number, column in enumerate(probabilities.T):
        scores = -column[classes == number]
        quantiles.append(max(0.0, -conformal_quantile(scores, coverage)))
    return quantiles
