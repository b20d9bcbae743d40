"""Comparison of numbers that the same formula gives with different operations.

Kernels of torch and NumPy add in an order that depends on the shape, the layout in memory and the
processor. Bits are therefore equal only if the same operations run on the same shapes.
"""

import torch

_UNIT = torch.finfo(torch.float32).eps


def assert_rounded_alike(actual, expected, units=16):
    """Check that numbers differ by at most a few units in the last place.

    The unit is the last place of the largest expected number.

    Args:
        actual: Tensor, array or list of numbers.
        expected: Numbers of the same shape, such as those of rows in batches of another size.
        units: Largest number of units. A deep network or a fit needs more than a layer.
    """
    expected = torch.as_tensor(expected)
    largest = float(expected.abs().max())
    tolerance = units * _UNIT * largest
    torch.testing.assert_close(
        torch.as_tensor(actual), expected, rtol=0, atol=tolerance
    )
