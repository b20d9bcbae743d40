"""What stands in a column of a table: numbers, dates, texts, or nothing to learn from."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.targets import TaskArgument
from dlp.errors import InputError
from dlp.table_places import TableRows, place

#: Larger numbers are infinite in the float32 of a batch.
LARGEST = 1e38
#: So many whole numbers, all different, in a column with a name like "id" are no amounts.
_MANY = 10
_LIKE_ID = re.compile(
    r"(?i:(.*[_ .-])?(id|ids|uuid|guid|index|idx|key|nr|no|number|row|#))|.*[a-z](Id|ID)"
)
#: Digits that are no number: with a zero in front, as in postal codes, or too many to count.
_CODE = re.compile(r"\s*[+-]?(0\d+|\d{16,})\s*")
#: Marks without width that programs leave around cells.
_INVISIBLE = "\u200b\u2060\ufeff"


def without_marks(series: "pd.Series[Any]", na_values: Sequence[str]) -> "pd.Series[Any]":
    """Return numbers; those that mean "missing", however they are written, are NaN."""
    marks = pd.to_numeric(pd.Series(na_values, dtype=object), errors="coerce").dropna()
    return series.mask(series.isin(marks)) if len(marks) else series


def text_cells(
    series: "pd.Series[Any]", na_values: Sequence[str], as_they_are: bool
) -> "pd.Series[Any]":
    """Return cells of texts, None where they are missing; without blanks around them or as is."""
    missing = {"", *(value.strip() for value in na_values)}
    pairs = zip(series.tolist(), series.isna(), strict=True)
    texts = ["" if nothing else str(cell) for cell, nothing in pairs]
    stripped = [text.strip().strip(_INVISIBLE).strip() for text in texts]
    kept = texts if as_they_are else stripped
    found = [None if key in missing else text for key, text in zip(stripped, kept, strict=True)]
    return pd.Series(found, series.index, dtype=object)


def why_useless(series: "pd.Series[Any]") -> str:
    """Return why nothing can be learned of a column; an empty text if something can.

    It is empty; its cells are lists or the like; it numbers the rows; or it holds texts of which
    most stand in one row alone: each would be an input that no other row has.
    """
    kinds = pd.api.types
    if not series.notna().any():
        return "it is empty"
    if kinds.is_float_dtype(series) or kinds.is_bool_dtype(series) or holds_dates(series):
        return ""
    filled = series.dropna()
    if kinds.is_integer_dtype(series):
        apart = len(filled) >= _MANY and filled.is_unique
        if apart and (_LIKE_ID.fullmatch(str(series.name)) or abs(filled).max() >= 2**53):
            return f"numbers of things, not amounts: {len(filled):,} different ones"
        return ""
    if kinds.is_numeric_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype):
        return ""
    for kind in dict.fromkeys(map(type, filled)):
        if not issubclass(kind, str | bool | int | float):
            return f"its cells are of the kind {kind.__name__}: make numbers of them with features"
    texts = filled.map(str)
    distinct = texts.nunique()
    if distinct > 2 and 2 * distinct > len(texts) and not _parsed(texts).all():
        return (
            f"{distinct:,} different texts in {len(texts):,} rows: no categories (if they are: "
            "categorical_columns; for their words: TextDataModule or features)"
        )
    return ""


def _parsed(filled: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Return which cells of a column of objects are numbers, (N,): none, where one is a code."""
    if any(map(_CODE.fullmatch, [cell for cell in filled if isinstance(cell, str)])):
        return np.zeros(len(filled), np.bool_)
    return pd.to_numeric(filled, errors="coerce").notna().to_numpy()


def holds_dates(series: "pd.Series[Any]") -> bool:
    """Return whether a column holds dates, as such."""
    return bool(pd.api.types.is_datetime64_any_dtype(series))


def looks_numeric(series: "pd.Series[Any]") -> bool:
    """Return whether a column of a table holds numbers, or dates.

    Raises:
        InputError: Most of its cells are numbers, and some are not: the first of these is named.
    """
    kinds = pd.api.types
    if kinds.is_numeric_dtype(series) or kinds.is_bool_dtype(series) or holds_dates(series):
        return True
    if isinstance(series.dtype, pd.CategoricalDtype):
        return False
    filled = series.dropna()
    parsed = _parsed(filled)
    if parsed.all():
        return bool(len(parsed))
    if parsed.sum() * 2 <= len(parsed):
        return False
    cell = int(parsed.argmin())
    raise InputError(
        f"column {series.name!r} holds numbers, but {filled.iloc[cell]!r} in {place(filled, cell)} "
        f"is none ({int((~parsed).sum()):,} such cells). Correct it, leave it empty (see missing), "
        "or list the column in categorical_columns."
    )


def numbers(series: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return a numeric column as float64 (N,), NaN where it is missing; dates as days since 1970.

    Raises:
        InputError: A cell is no number, infinite or too large; column, row and value are named.
    """
    if holds_dates(series):
        since = series.to_numpy().astype("datetime64[us]") - np.datetime64("1970-01-01", "us")
        return np.where(series.isna(), np.nan, since / np.timedelta64(1, "D"))
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iuf":  # none can fail to parse
        values = series.to_numpy(np.float64, copy=True)
        bad = abs(values) > LARGEST
    else:
        parsed = pd.to_numeric(series, errors="coerce")
        values = np.array(parsed.to_numpy(dtype=np.float64, na_value=np.nan))
        bad = (np.isnan(values) & series.notna().to_numpy()) | (abs(values) > LARGEST)
    if bad.any():
        row = int(bad.argmax())
        cell = series.iloc[row]
        written = repr(cell) if isinstance(cell, str) else str(cell)  # no np.float64(...)
        raise InputError(
            f"column {series.name!r} must hold finite numbers up to 1e38; {place(series, row)} has "
            f"{written} ({int(bad.sum()):,} such cells). Correct it, or "
            "leave it empty (see missing)."
        )
    return values


def as_texts(series: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column as text (1.0 as 1: the type may be due to holes), None where missing."""
    values = [
        int(value) if isinstance(value, float) and value.is_integer() else value for value in series
    ]
    pairs = zip(values, series.isna(), strict=True)
    texts = [None if nothing else str(value) for value, nothing in pairs]
    return pd.Series(texts, index=series.index, dtype=object)


def target_values(frame: TableRows, columns: Sequence[str], task: TaskArgument) -> NDArray[Any]:
    """Return the target column(s) of a table, (N,) or (N, T).

    Raises:
        InputError: A target is missing or infinite, or one of many numbers is none.
    """
    values = []
    for name in columns:
        series = frame[name]
        empty = series.isna().to_numpy()
        if empty.any():
            raise InputError(
                f"target {name!r} is missing in {place(series, int(empty.argmax()))} "
                f"({int(empty.sum()):,} rows in all). Fill them in, delete these rows, or leave "
                "them out by drop_unlabelled: true."
            )
        if holds_dates(series) and task != "classification":
            raise InputError(
                f"target {name!r} holds dates. Make numbers of it, such as days, or say task: "
                "classification if each date is a class."
            )
        is_named = task == "classification" and series.dtype.kind != "f"
        if pd.api.types.is_bool_dtype(series):
            values.append(series.to_numpy(dtype=np.bool_))
        elif pd.api.types.is_integer_dtype(series):
            values.append(series.to_numpy(dtype=np.int64))
        elif not is_named and (task in ("regression", "multilabel") or looks_numeric(series)):
            values.append(numbers(series))
        else:
            values.append(series.to_numpy(dtype=object))
    return values[0] if len(values) == 1 else np.stack(values, axis=1)
