"""Groups and times of rows, which decide the parts that rows may be in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.examples import Examples
from dlp.errors import InputError


def group_numbers(groups: NDArray[Any]) -> NDArray[np.int64]:
    """Number groups by first appearance.

    Raises:
        InputError: If a row has no group.
    """
    import pandas as pd

    numbers, _ = pd.factorize(groups)
    if (numbers < 0).any():
        raise InputError(
            f"row {numbers.argmin()} has no group. Fill in group_column, or remove the row."
        )
    return numbers.astype(np.int64)


def time_values(times: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as they are, ISO 8601 dates as instants, in UTC unless they name a zone.

    Raises:
        InputError: If a row has no time, or one of another kind.
    """
    import pandas as pd

    column = pd.Series(times).infer_objects()
    if column.isna().any():
        raise InputError(
            f"row {column.isna().argmax()} has no time. Fill in time_column, or remove the row."
        )
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    dates = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    if dates.isna().any():
        row = dates.isna().argmax()
        raise InputError(
            f"time_column takes numbers or dates such as 2024-05-31; row {row} has "
            f"{column[row]!r}. Correct it, or give read_csv: {{parse_dates: [COLUMN], date_format: "
            "FORMAT}."
        )
    return dates.dt.tz_localize(None).to_numpy()


def shared_groups(parts: Mapping[str, Examples]) -> int:
    """Return the number of groups of the test part that are also trained or validated on."""
    groups = {n: {*p.groups.tolist()} for n, p in parts.items() if p.groups is not None}
    return len(groups.get("test", set()) & (groups.get("train", set()) | groups.get("val", set())))
