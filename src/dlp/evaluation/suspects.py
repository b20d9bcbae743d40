"""Rows whose label may be wrong: another row has the same input and another label."""

import pandas as pd


def contradictions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per label of each input that has several, those of one input together.

    Args:
        rows: Columns ``hash``, of the input, and ``target``, the label.
    """
    distinct = rows.drop_duplicates(["hash", "target"])
    return distinct[distinct.duplicated("hash", keep=False)].sort_values("hash")
