"""Reader of arrays."""

from typing import Any

import numpy as np

from .rows import Reader


class ArrayReader(Reader):
    """Reader of an array, float64 (N, ...), of finite numbers."""

    def __call__(self, rows: Any) -> list[Any]:
        """Return the array."""
        try:
            array = np.asarray(rows, np.float64)
        except (ValueError, TypeError) as error:
            raise ValueError(f"a row is an array of numbers: {error}.") from error
        shape = self.spec.get("shape")
        if shape and list(array.shape[1:]) != list(shape):
            raise ValueError(f"a row has the shape {list(shape)}, not {list(array.shape[1:])}.")
        if not np.isfinite(array).all():
            raise ValueError("a row holds missing or infinite numbers.")
        return [array]
