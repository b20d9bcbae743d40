"""Split conformal prediction: quantiles for intervals of values and for sets of classes.

The rows are not those of the training. The score of a new row that is exchangeable with them is
at most their quantile, with a probability of at least the coverage (Vovk, Gammerman and Shafer
2005, "Algorithmic Learning in a Random World"; Lei et al. 2018, "Distribution-Free Predictive
Inference for Regression"). A quantile per group of rows holds in each group (Vovk 2012,
"Conditional Validity of Inductive Conformal Predictors"): the groups are rows of similar predicted
values, or of a class.
"""

import numpy as np

from dlp.datamodules.rows import Array

_MAX_BINS = 10
_ROWS_BEYOND = 4  # rows outside of their interval, at least, per further bin


def conformal_quantile(scores: Array, coverage: float) -> float:
    """Return the ``ceil((n + 1) * coverage)``-th smallest of n scores; infinity for too few.

    Args:
        scores: Nonconformity score of each row, (n,): of values the absolute residual.
        coverage: Probability that the score of a new row is at most the quantile.
    """
    with_new_row = np.append(scores, np.inf)
    return float(np.quantile(with_new_row, coverage, method="inverted_cdf"))


def half_widths(values: Array, truth: Array, coverage: float) -> list[list[float]]:
    """Return increasing predicted values, and the half-width of the interval at each of them.

    The rows are sorted by their prediction into up to ten bins of equal size. The half-width at
    the median of a bin is the quantile of its absolute residuals, so that large values may be less
    sure than small ones.

    Args:
        values: Predicted value of each row, (n,).
        truth: True value of each row, (n,).
        coverage: Probability that the interval of a new row has its true value.
    """
    num_bins = min(_MAX_BINS, 1 + int(len(values) * (1 - coverage) / _ROWS_BEYOND))
    bins = np.array_split(values.argsort(), num_bins)
    residuals = abs(values - truth)
    knots = [float(np.median(values[index])) for index in bins]
    return [knots, [conformal_quantile(residuals[index], coverage) for index in bins]]


def class_quantiles(probabilities: Array, classes: Array, coverage: float) -> list[float]:
    """Return the probability from which on each class is in the set; 0 for too few rows of it.

    A quantile per class covers a rare one as well.

    Args:
        probabilities: Probabilities (N, C).
        classes: True class of each row, (N,).
        coverage: Probability that the set of a new row of a class has that class.
    """
    quantiles = []
    for number, column in enumerate(probabilities.T):
        scores = -column[classes == number]
        quantiles.append(max(0.0, -conformal_quantile(scores, coverage)))
    return quantiles
