"""From the columns of a table to one float32 matrix, fitted on the training part alone."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.table_files import absent, place
from dlp.datamodules.targets import TaskArgument
from dlp.errors import InputError

Missing = Literal["error", "zero", "mean", "median"]
Scaling = Literal["standard", "minmax", "none"]

#: More distinct texts than this in a column that nobody listed are names or ids, not categories.
MAX_CATEGORIES = 1000
#: scikit-learn's histogram trees put a column into at most so many bins.
_TREE_CATEGORIES = 255


class ColumnEncoder:
    """Numeric columns, filled and scaled, then categorical ones as one-hot columns.

    In this order: missing numbers are filled (in the column's own unit), then the filled column is
    scaled as ``(x - shift) / scale``: by mean and population standard deviation, or by minimum and
    range. A constant column is only shifted. Categories come from the training part; one that it
    lacks becomes all zeros, a missing one is a category of its own.

    Args:
        numeric: Names of the numeric columns; None: those that hold numbers or booleans.
        categorical: Names of the categorical columns; None: all others.
        missing: How missing numbers are filled; ``error`` allows no missing cell at all.
        indicator: Add a column of 0 and 1, for each numeric column with missing cells in the
            training part, that says where they were.
        scaling: How numeric columns are scaled.
    """

    def __init__(
        self,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        missing: Missing = "error",
        indicator: bool = False,
        scaling: Scaling = "standard",
    ) -> None:
        both = sorted(set(numeric or ()) & set(categorical or ()))
        if both:
            raise InputError(
                f"column {both[0]!r} is in numeric_columns and in categorical_columns: choose one."
            )
        if indicator and missing == "error":
            raise InputError(
                "missing_indicator: true needs missing: zero, mean or median; with missing: error "
                "there is nothing to indicate."
            )
        self._given = (numeric, categorical)
        self._missing = missing
        self._indicator = indicator
        self._scaling = scaling
        self._fill: dict[str, float] = {}
        self._shift: dict[str, float] = {}
        self._scale: dict[str, float] = {}
        self._indicated: list[str] = []
        self._categories: dict[str, list[str | None]] = {}

    @property
    def names(self) -> list[str]:
        """The names of the D columns of the matrix, in order."""
        one_hot = [
            f"{column}={'(missing)' if category is None else category}"
            for column, categories in self._categories.items()
            for category in categories
        ]
        return [*self._fill, *(f"{column} (missing)" for column in self._indicated), *one_hot]

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn fill values, scales and categories from the rows of the training part.

        Raises:
            InputError: A column is absent, is not what it should be, or has missing cells that
                nothing can fill.
        """
        numeric, categorical = self._kinds(frame)
        for maps in (self._fill, self._shift, self._scale, self._categories):
            maps.clear()
        self._indicated = []
        for column in numeric:
            values = numbers(frame[column])
            empty = np.isnan(values)
            self._fill[column] = fill = self._fill_value(frame[column], values[~empty])
            if self._indicator and empty.any():
                self._indicated.append(column)
            self._shift[column], self._scale[column] = self._scale_of(np.where(empty, fill, values))
        for column in categorical:
            texts = _texts(frame[column])
            found = sorted(set(texts.dropna()))
            if len(found) > MAX_CATEGORIES and column not in (self._given[1] or ()):
                raise InputError(
                    f"column {column!r} has {len(found):,} different texts, each of which would "
                    "be an input of its own. Leave it out (drop_columns), make numbers of it "
                    "(features), or list it in categorical_columns if it is meant."
                )
            self._categories[column] = [*found, *([None] if texts.isna().any() else [])]
        if not self.names:
            raise InputError("the table has no input column: all were dropped or are targets.")

    def _kinds(self, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
        """Return the numeric and the categorical columns."""
        numeric, categorical = self._given
        for kind, listed in (("numeric_columns", numeric), ("categorical_columns", categorical)):
            for column in listed or ():
                if column not in frame:
                    raise absent(kind, column, frame.columns)
        if numeric is None:
            rest = [
                column for column in map(str, frame.columns) if column not in (categorical or ())
            ]
            numeric = [column for column in rest if looks_numeric(frame[column])]
        if categorical is None:
            categorical = [column for column in map(str, frame.columns) if column not in numeric]
        return list(numeric), list(categorical)

    def _fill_value(self, series: "pd.Series[Any]", observed: NDArray[np.float64]) -> float:
        if self._missing in ("error", "zero"):
            return 0.0
        if not len(observed):
            raise InputError(
                f"column {series.name!r} has no value in the training part, so no {self._missing}. "
                "Leave it out (drop_columns), or use missing: zero."
            )
        return float(observed.mean() if self._missing == "mean" else np.median(observed))

    def _scale_of(self, values: NDArray[np.float64]) -> tuple[float, float]:
        """Return shift and scale of a filled column."""
        low, high = float(values.min()), float(values.max())
        if self._scaling == "none":
            return 0.0, 1.0
        if self._scaling == "minmax":
            return low, high - low or 1.0
        # Compared, not by std == 0: rounding leaves a constant 0.1 a deviation of 1e-17.
        return float(values.mean()), 1.0 if low == high else float(values.std())

    def check(self, frame: pd.DataFrame) -> None:
        """Check that `encode` can take these rows.

        Raises:
            InputError: A column is absent, or a cell is missing, infinite or not a number.
        """
        for column in (*self._fill, *self._categories):
            if column not in frame:
                raise absent("the input lacks a column that was trained on", column, frame.columns)
        for column in self._fill:
            numbers(frame[column])
        if self._missing == "error":
            for column in (*self._fill, *self._categories):
                empty = frame[column].isna().to_numpy()
                if empty.any():
                    raise InputError(
                        f"column {column!r} has {int(empty.sum()):,} missing cells, the first in "
                        f"{place(frame, int(empty.argmax()))}. Fill them in, or use missing: zero, "
                        "mean or median."
                    )

    def encode(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """Return the matrix (N, D) of these rows."""
        self.check(frame)
        matrix = np.zeros((len(frame), len(self.names)), np.float32)
        for position, column in enumerate(self._fill):
            values = numbers(frame[column])
            empty = np.isnan(values)
            if column in self._indicated:
                matrix[empty, len(self._fill) + self._indicated.index(column)] = 1
            values[empty] = self._fill[column]
            matrix[:, position] = (values - self._shift[column]) / self._scale[column]
        start = len(self._fill) + len(self._indicated)
        unseen: dict[str, int] = {}
        for column, categories in self._categories.items():
            codes = _codes(frame[column], categories)
            known = codes >= 0
            matrix[np.flatnonzero(known), start + codes[known]] = 1
            start += len(categories)
            if not known.all():
                unseen[column] = int((~known).sum())
        if unseen:
            counts = ", ".join(f"{count:,} in {column!r}" for column, count in unseen.items())
            say(f"categories that the training part lacks, taken as none of its own: {counts}")
        return matrix

    def plain_columns(self, frame: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the columns as trees take them, and which of them hold categories.

        Returns:
            float64 (N, D): numbers as they are, NaN where missing, then the number of each row's
            category, NaN where the training part lacks it; and bool (D,), false also for
            categorical columns of more categories than scikit-learn's trees tell apart.
        """
        columns = [numbers(frame[column]) for column in self._fill]
        categorical = [False] * len(columns)
        for column, categories in self._categories.items():
            codes = _codes(frame[column], categories).astype(np.float64)
            columns.append(np.where(codes < 0, np.nan, codes))
            categorical.append(len(categories) <= _TREE_CATEGORIES)
        return np.stack(columns, axis=1), np.array(categorical)

    def state(self) -> dict[str, Any]:
        """Return what was learned, as plain values."""
        return {
            "missing": self._missing,
            "fill": dict(self._fill),
            "shift": dict(self._shift),
            "scale": dict(self._scale),
            "indicated": list(self._indicated),
            "categories": {column: list(found) for column, found in self._categories.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._missing = state["missing"]
        self._fill = dict(state["fill"])
        self._shift = dict(state["shift"])
        self._scale = dict(state["scale"])
        self._indicated = list(state["indicated"])
        self._categories = {column: list(found) for column, found in state["categories"].items()}


def looks_numeric(series: "pd.Series[Any]") -> bool:
    """Return whether a column of a table holds numbers.

    Raises:
        InputError: Most of its cells are numbers, and some are not: the first of these is named;
            or it holds dates, which are neither numbers nor categories.
    """
    kinds = pd.api.types
    if kinds.is_numeric_dtype(series) or kinds.is_bool_dtype(series):
        return True
    if kinds.is_datetime64_any_dtype(series) or kinds.is_timedelta64_dtype(series):
        raise InputError(
            f"column {series.name!r} holds dates. Make numbers of them with features, or leave the "
            "column out (drop_columns)."
        )
    if isinstance(series.dtype, pd.CategoricalDtype):
        return False
    filled = series.dropna()
    parsed = pd.to_numeric(filled, errors="coerce").notna().to_numpy()
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
    """Return a numeric column as float64 (N,), NaN where it is missing.

    Raises:
        InputError: A cell is no number or infinite; column, row and value are named.
    """
    parsed = pd.to_numeric(series, errors="coerce")
    values = np.array(parsed.to_numpy(dtype=np.float64, na_value=np.nan))
    bad = (np.isnan(values) & series.notna().to_numpy()) | np.isinf(values)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"column {series.name!r} must hold finite numbers; {place(series, row)} has "
            f"{series.iloc[row]!r} ({int(bad.sum()):,} such cells). Correct it, or leave it empty "
            "(see missing)."
        )
    return values


def _texts(series: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column as text (1.0 as 1: the type may be due to holes), None where missing."""

    def text(value: Any) -> str:
        whole = isinstance(value, float) and value.is_integer()
        return str(int(value)) if whole else str(value)

    values = [
        None if empty else text(value) for value, empty in zip(series, series.isna(), strict=True)
    ]
    return pd.Series(values, index=series.index, dtype=object)


def _codes(series: "pd.Series[Any]", categories: Sequence[str | None]) -> NDArray[np.int64]:
    """Return the number of each row's category, -1 for one that is not among `categories`."""
    known: pd.Index[Any] = pd.Index(list(categories), dtype=object)
    return np.asarray(known.get_indexer(pd.Index(_texts(series), dtype=object)), np.int64)


def target_values(frame: pd.DataFrame, columns: Sequence[str], task: TaskArgument) -> NDArray[Any]:
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
                f"({int(empty.sum()):,} rows in all). Fill them in or delete these rows."
            )
        named = task == "classification" and series.dtype.kind != "f"
        if pd.api.types.is_bool_dtype(series):
            values.append(series.to_numpy(dtype=np.bool_))
        elif pd.api.types.is_integer_dtype(series):
            values.append(series.to_numpy(dtype=np.int64))
        elif named:
            values.append(series.to_numpy(dtype=object))
        elif task in ("regression", "multilabel") or looks_numeric(series):
            values.append(numbers(series))
        else:
            values.append(series.to_numpy(dtype=object))
    return values[0] if len(values) == 1 else np.stack(values, axis=1)
