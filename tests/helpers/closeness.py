"""Comparison of numbers that the same formula gives in another grouping of rows or layers."""

import torch


def assert_regrouped_equal(actual, expected):
    """Check equality up to a few units in the last place of float32.

    A processor computes the rows of a batch in groups, and the rest one by one: results of batches
    of other sizes, or of stored parts of a network, may differ in the last bits. Equality to the
    bit is for the same operations on the same shapes.
    """
    actual = torch.as_tensor(actual)
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(actual, expected, rtol=2e-6, atol=2e-6)
