"""From the columns of a table to one float32 matrix, fitted on the training part alone."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.tables.column_values import (
    as_texts,
    holds_dates,
    looks_numeric,
    numbers,
    why_useless,
)
from dlp.datamodules.tables.numeric_scale import NumericScale, Scaling, check_bins
from dlp.errors import InputError, unknown
from dlp.table_places import absent, place

Missing = Literal["error", "zero", "mean", "median"]

#: More distinct texts than this in a column that nobody listed are names or ids, not categories.
MAX_CATEGORIES = 1000
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ColumnEncoder:
    """Numeric columns, filled and scaled, then categorical ones as one-hot columns.

    In this order: missing numbers are filled by mean or median (in the column's own unit), then the
    filled column is scaled as ``(x - shift) / scale``: by mean and population standard deviation,
    or by minimum and range; or it is brought to a normal shape by its ranks (see `NumericScale`).
    Where they are filled by zero, the scale comes from the numbers there are, and the zero stands
    after scaling: with ``standard`` it is the mean, so that the column says nothing where it is
    missing. A constant column is only shifted. Dates are numbers: days since 1970. Categories come
    from the training part; one that it lacks becomes all zeros, a missing one is a category of its
    own.

    Args:
        numeric: Names of the numeric columns; None: those that hold numbers, booleans or dates.
        categorical: Names of the categorical columns; None: all others, but those of which nothing
            can be learned (see `useless`).
        missing: How missing numbers are filled; ``error`` allows no missing cell at all.
        indicator: Add a column of 0 and 1, for each numeric column with missing cells in the
            training part, that says where they were.
        scaling: How numeric columns are scaled.
        bins: Cut each numeric column into so many bins of equally many rows, too: an input each
            (see `NumericScale.binned`); 0 for none.
    """

    def __init__(
        self,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        missing: Missing = "error",
        indicator: bool = False,
        scaling: Scaling = "standard",
        bins: int = 0,
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
        if scaling not in get_args(Scaling):
            raise unknown("scaling", scaling, get_args(Scaling))
        check_bins(bins)
        self._given = (numeric, categorical)
        #: The columns that a person named.
        self.listed = {*(numeric or ()), *(categorical or ())}
        self._missing = missing
        self._indicator = indicator
        self._scaling: Scaling = scaling
        self._bins = bins
        self._fill: dict[str, float] = {}
        self._scales: dict[str, NumericScale] = {}
        self._indicated: list[str] = []
        self._dates: list[str] = []
        self._categories: dict[str, list[str | None]] = {}

    def kind_of(
        self, column: str
    ) -> tuple[Literal["number", "date", "category"], list[str]] | None:
        """Return what a column was taken for, and its categories; None if it is not used."""
        if column in self._categories:
            found = self._categories[column]
            return "category", ["(missing)" if name is None else name for name in found]
        if column in self._fill:
            return ("date" if column in self._dates else "number"), []
        return None

    @property
    def names(self) -> list[str]:
        """The names of the D columns of the matrix, in order."""
        one_hot = [
            f"{column}={'(missing)' if category is None else category}"
            for column, categories in self._categories.items()
            for category in categories
        ]
        indicated = (f"{column} (missing)" for column in self._indicated)
        bins = (
            f"{column} bin {number}"
            for column, scale in self._scales.items()
            for number in range(1, scale.num_bins + 1)
        )
        return [*self._fill, *indicated, *one_hot, *bins]

    def fit(self, frame: pd.DataFrame, left_out: Mapping[str, str] = _NOTHING) -> None:
        """Learn fill values, scales and categories from the rows of the training part.

        Args:
            frame: The rows.
            left_out: Columns to leave out and why, such as those that are `useless` in the whole
                table.

        Raises:
            InputError: A column is absent, is not what it should be, or has missing cells that
                nothing can fill.
        """
        numeric, categorical = self._kinds(frame, left_out)
        for maps in (self._fill, self._scales, self._categories):
            maps.clear()
        self._indicated = []
        self._dates = [column for column in numeric if holds_dates(frame[column])]
        for column in numeric:
            values = numbers(frame[column])
            empty = np.isnan(values)
            if self._indicator and empty.any():
                self._indicated.append(column)
            if self._missing == "zero":  # after scaling
                self._scales[column] = self._scale_of(values[~empty])
                self._fill[column] = self._scales[column].zero
                continue
            self._fill[column] = fill = self._fill_value(frame[column], values[~empty])
            self._scales[column] = self._scale_of(np.where(empty, fill, values))
        for column in categorical:
            texts = as_texts(frame[column])
            found = sorted(set(texts.dropna()))
            if len(found) > MAX_CATEGORIES and column not in (self._given[1] or ()):
                raise InputError(
                    f"column {column!r} has {len(found):,} different texts, each of which would "
                    "be an input of its own. Leave it out (drop_columns), make numbers of it "
                    "(features), or list it in categorical_columns if it is meant."
                )
            self._categories[column] = [*found, *([None] if texts.isna().any() else [])]
        if not self.names:
            why = "; ".join(f"{name!r}: {left_out[name]}" for name in list(left_out)[:5])
            raise InputError(
                "the table has no input column: all were dropped, left out or are targets"
                f"{why and f' ({why})'}."
            )

    def _kinds(
        self, frame: pd.DataFrame, left_out: Mapping[str, str]
    ) -> tuple[list[str], list[str]]:
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
            numeric = [
                column for column in rest if column not in left_out and looks_numeric(frame[column])
            ]
        if categorical is None:
            others = [column for column in map(str, frame.columns) if column not in numeric]
            categorical = [column for column in others if column not in left_out]
        return list(numeric), list(categorical)

    def useless(self, frame: pd.DataFrame) -> dict[str, str]:
        """Return the columns that nobody listed and nothing can be learned of, and why."""
        reasons = {
            str(column): why_useless(frame[column])
            for column in frame.columns
            if column not in self.listed
        }
        return {column: reason for column, reason in reasons.items() if reason}

    def _fill_value(self, series: "pd.Series[Any]", observed: NDArray[np.float64]) -> float:
        if self._missing == "error":
            return 0.0
        if not len(observed):
            raise InputError(
                f"column {series.name!r} has no value in the training part, so no {self._missing}. "
                "Leave it out (drop_columns), or use missing: zero."
            )
        return float(observed.mean() if self._missing == "mean" else np.median(observed))

    def _scale_of(self, values: NDArray[np.float64]) -> NumericScale:
        """Return what is learned of a column without missing values."""
        if not len(values):
            return NumericScale(0.0, 1.0)
        return NumericScale.of(values, self._scaling, self._bins)

    def check(self, frame: pd.DataFrame) -> None:
        """Check that `encode` can take these rows.

        Raises:
            InputError: A column is absent, or a cell is missing, infinite or not a number.
        """
        for column in (*self._fill, *self._categories):
            if column not in frame:
                raise absent("the input lacks a column that was trained on", column, frame.columns)
        for column in self._fill:
            are_dates = holds_dates(frame[column])
            if are_dates != (column in self._dates) and frame[column].notna().any():
                found, expected = ("dates", "numbers") if are_dates else ("no dates", "dates")
                raise InputError(
                    f"column {column!r} holds {found}, and it held {expected} where it was trained "
                    "on: write it as there."
                )
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
        bins = len(self.names) - sum(scale.num_bins for scale in self._scales.values())
        for position, column in enumerate(self._fill):
            values = numbers(frame[column])
            empty = np.isnan(values)
            if column in self._indicated:
                matrix[empty, len(self._fill) + self._indicated.index(column)] = 1
            values[empty] = self._fill[column]
            scale = self._scales[column]
            matrix[:, position] = scale.scaled(values)
            if scale.num_bins:
                matrix[:, bins : bins + scale.num_bins] = scale.binned(values)
                bins += scale.num_bins
        start = len(self._fill) + len(self._indicated)
        unseen: list[str] = []
        for column, categories in self._categories.items():
            codes = _codes(frame[column], categories)
            known = codes >= 0
            matrix[np.flatnonzero(known), start + codes[known]] = 1
            start += len(categories)
            if not known.all():
                first = frame[column].iloc[int(known.argmin())]
                unseen.append(f"{int((~known).sum()):,} in {column!r} (such as {first!r})")
        if unseen:
            counts = ", ".join(unseen)
            say(f"categories that the training part lacks, taken as none of its own: {counts}")
        return matrix

    def plain_columns(self, frame: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the columns as trees take them, and which of them hold categories.

        Returns:
            float64 (N, D): numbers as they are, NaN where missing, then the number of each row's
            category, NaN where the training part lacks it; and bool (D,).
        """
        columns = [numbers(frame[column]) for column in self._fill]
        categorical = [False] * len(columns)
        for column, categories in self._categories.items():
            codes = _codes(frame[column], categories).astype(np.float64)
            columns.append(np.where(codes < 0, np.nan, codes))
            categorical.append(True)
        return np.stack(columns, axis=1), np.array(categorical)

    def state(self) -> dict[str, Any]:
        """Return what was learned, as plain values."""
        return {
            "missing": self._missing,
            "fill": dict(self._fill),
            **{
                name: {column: getattr(scale, name) for column, scale in self._scales.items()}
                for name in ("shift", "scale")
            },
            "shapes": {column: scale.shape() for column, scale in self._scales.items()},
            "indicated": list(self._indicated),
            "dates": list(self._dates),
            "categories": {column: list(found) for column, found in self._categories.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._missing = state["missing"]
        self._fill = dict(state["fill"])
        shapes = state.get("shapes", {})  # older runs have none
        self._scales = {
            column: NumericScale.of_state(shift, state["scale"][column], shapes.get(column, {}))
            for column, shift in state["shift"].items()
        }
        self._indicated = list(state["indicated"])
        self._dates = list(state.get("dates", ()))
        self._categories = {column: list(found) for column, found in state["categories"].items()}


def _codes(series: "pd.Series[Any]", categories: Sequence[str | None]) -> NDArray[np.int64]:
    """Return the number of each row's category, -1 for one that is not among `categories`."""
    known: pd.Index[Any] = pd.Index(list(categories), dtype=object)
    return np.asarray(known.get_indexer(pd.Index(as_texts(series), dtype=object)), np.int64)
