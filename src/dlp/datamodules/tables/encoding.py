"""From the columns of a table to one float32 matrix, fitted on the training part alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlp.console import say
from dlp.datamodules.learned import Encoder
from dlp.datamodules.tables.column_values import (
    as_texts,
    holds_dates,
    looks_numeric,
    numbers,
    why_useless,
)
from dlp.datamodules.tables.numeric_scale import NumericScale, Scaling, check_bins
from dlp.datamodules.tables.own_features import FeatureMaker
from dlp.datamodules.tables.parquet_columns import ParquetColumns, in_memory
from dlp.errors import InputError, unknown
from dlp.table_places import TableRows, absent, place

Missing = Literal["error", "zero", "mean", "median"]

#: More distinct texts than this in a column that nobody listed are names or ids, not categories.
MAX_CATEGORIES = 1000
#: Numbers that are scaled together: they stay in the processor's cache.
_PIECE = 1 << 15
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ColumnEncoder(Encoder):
    """Own features, if there are any; numeric columns, filled and scaled; one-hot categories.

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
        features: Makes other columns of those of the table first; all else is said of these.
    """

    def __init__(
        self,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        missing: Missing = "error",
        indicator: bool = False,
        scaling: Scaling = "standard",
        bins: int = 0,
        features: FeatureMaker | None = None,
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
        #: The columns that a person named as categories.
        self.categorical = list(categorical or ())
        #: The columns that a person named.
        self.listed = {*(numeric or ()), *self.categorical}
        #: All that are used, where a person named both kinds; own features may need others too.
        self.only: list[str] | None = None
        if numeric is not None and categorical is not None and features is None:
            self.only = [*numeric, *categorical]
        self._missing = missing
        self._indicator = indicator
        self._scaling: Scaling = scaling
        self._bins = bins
        self.features = features
        #: Columns that own features make and of which nothing can be learned, and why.
        self.left_out: dict[str, str] = {}
        self._numbers: dict[str, NumericScale] = {}
        self._categories: dict[str, list[str | None]] = {}

    def kind_of(
        self, column: str
    ) -> tuple[Literal["number", "date", "category"], list[str]] | None:
        """Return what a column was taken for, and its categories; None if it is not used."""
        if column in self._categories:
            found = self._categories[column]
            return "category", ["(missing)" if name is None else name for name in found]
        if column in self._numbers:
            return ("date" if self._numbers[column].is_date else "number"), []
        return None

    @property
    def kinds(self) -> tuple[dict[str, bool], list[str]] | None:
        """What `check` goes by: numeric columns, whether they hold dates, and categorical ones.

        None with own features, which may be others for other rows.
        """
        if self.features is not None:
            return None
        return {name: known.is_date for name, known in self._numbers.items()}, [*self._categories]

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
            for column, known in self._numbers.items()
            for number in range(1, known.num_bins + 1)
        )
        return [*self._numbers, *indicated, *one_hot, *bins]

    @property
    def _indicated(self) -> list[str]:
        return [column for column, known in self._numbers.items() if known.indicated]

    def fit(
        self,
        rows: TableRows,
        targets: Any = None,
        left_out: Mapping[str, str] = _NOTHING,
        labelled: TableRows | None = None,
    ) -> None:
        """Learn own features, fill values, scales and categories from rows of the training part.

        Args:
            rows: The rows.
            targets: Play no role.
            left_out: Columns of the table that are no input since nothing can be learned of them.
            labelled: All labelled rows: own features of which nothing can be learned in all of
                them are left out.

        Raises:
            InputError: A column is absent, is not what it should be, or has missing cells that
                nothing can fill.
        """
        if self.features is not None:
            self.features.fit(in_memory(rows))
            self.left_out = self.useless(self._featured(rows if labelled is None else labelled))
        frame = self._featured(rows)
        numeric, categorical = self._kinds(frame)
        self._numbers = {column: self._number(frame[column]) for column in numeric}
        self._categories = {}
        for column in categorical:
            texts = as_texts(frame[column])
            found = sorted(set(texts.dropna()))
            if len(found) > MAX_CATEGORIES and column not in self.categorical:
                raise InputError(
                    f"column {column!r} has {len(found):,} different texts, each of which would "
                    "be an input of its own. Leave it out (drop_columns), make numbers of it "
                    "(features), or list it in categorical_columns if it is meant."
                )
            self._categories[column] = [*found, *([None] if texts.isna().any() else [])]
        if not self.names:
            reasons = {**left_out, **self.left_out}
            why = "; ".join(f"{name!r}: {reasons[name]}" for name in list(reasons)[:5])
            raise InputError(
                "the table has no input column: all were dropped, left out or are targets"
                f"{why and f' ({why})'}."
            )

    def _featured(self, rows: TableRows) -> TableRows:
        """Return rows with own features instead of their columns."""
        return rows if self.features is None else self.features.transform(in_memory(rows))

    def _kinds(self, frame: TableRows) -> tuple[list[str], list[str]]:
        """Return the numeric and the categorical columns."""
        numeric, categorical = self._given
        for kind, listed in (("numeric_columns", numeric), ("categorical_columns", categorical)):
            for column in listed or ():
                if column not in frame:
                    raise absent(kind, column, frame.columns)
        columns = [name for name in map(str, frame.columns) if name not in self.left_out]
        if numeric is None:
            others = [name for name in columns if name not in (categorical or ())]
            known = frame.numbers if isinstance(frame, ParquetColumns) else ()
            numeric = [name for name in others if name in known or looks_numeric(frame[name])]
        if categorical is None:
            categorical = [name for name in columns if name not in numeric]
        return list(numeric), list(categorical)

    def _number(self, series: "pd.Series[Any]") -> NumericScale:
        """Return what is learned of a numeric column."""
        values = numbers(series)
        empty = np.isnan(values)
        has_empty = bool(empty.any())
        observed, fill = (values[~empty] if has_empty else values), 0.0
        if self._missing in ("mean", "median"):
            if not len(observed):
                raise InputError(
                    f"column {series.name!r} has no value in the training part, so no "
                    f"{self._missing}. Leave it out (drop_columns), or use missing: zero."
                )
            fill = float(observed.mean() if self._missing == "mean" else np.median(observed))
        is_zero = self._missing == "zero"  # after scaling
        filled = observed if is_zero or not has_empty else np.where(empty, fill, values)
        scale = NumericScale.of(filled, self._scaling, self._bins)
        return replace(
            scale,
            fill=scale.zero if is_zero else fill,
            indicated=self._indicator and has_empty,
            is_date=holds_dates(series),
        )

    def useless(self, frame: TableRows) -> dict[str, str]:
        """Return the columns that nobody listed and nothing can be learned of, and why."""
        reasons = {
            str(column): why_useless(frame[column])
            for column in frame.columns
            if column not in self.listed
        }
        return {column: reason for column, reason in reasons.items() if reason}

    def check(self, rows: TableRows) -> None:
        """Check that `transform` can take these rows.

        Raises:
            InputError: A column is absent, or a cell is missing, infinite or not a number.
        """
        self._check(self._featured(rows))

    def _check(self, frame: TableRows) -> None:
        self._check_there(frame)
        for column, known in self._numbers.items():
            self._numbers_of(frame[column], known)
        if self._missing == "error":
            for column in self._categories:
                self._check_filled(frame[column])

    def _check_there(self, frame: TableRows) -> None:
        for column in (*self._numbers, *self._categories):
            if column not in frame:
                raise absent("the input lacks a column that was trained on", column, frame.columns)

    def _numbers_of(self, series: "pd.Series[Any]", known: NumericScale) -> NDArray[np.float64]:
        """Return a numeric column, float64 (N,), NaN where it is missing."""
        are_dates = holds_dates(series)
        if are_dates != known.is_date and series.notna().any():
            found, expected = ("dates", "numbers") if are_dates else ("no dates", "dates")
            raise InputError(
                f"column {series.name!r} holds {found}, and it held {expected} where it was "
                "trained on: write it as there."
            )
        values = numbers(series)
        if self._missing == "error" and np.isnan(values).any():
            self._check_filled(series)
        return values

    def _check_filled(self, series: "pd.Series[Any]") -> None:
        empty = series.isna().to_numpy()
        if empty.any():
            raise InputError(
                f"column {series.name!r} has {int(empty.sum()):,} missing cells, the first in "
                f"{place(series, int(empty.argmax()))}. Fill them in, or use missing: zero, "
                "mean or median."
            )

    def transform(self, rows: TableRows) -> Tensor:
        """Return the matrix of these rows, float32 (N, D)."""
        frame = self._featured(rows)
        self._check_there(frame)
        matrix = np.zeros((len(frame), len(self.names)), np.float32)
        indicated = self._indicated
        bins = len(self.names) - sum(known.num_bins for known in self._numbers.values())
        for position, (column, known) in enumerate(self._numbers.items()):
            values = self._numbers_of(frame[column], known)
            empty = np.isnan(values)
            if known.indicated:
                matrix[empty, len(self._numbers) + indicated.index(column)] = 1
            values[empty] = known.fill
            for start in range(0, len(values), _PIECE):  # no second column of float64 beside it
                some = slice(start, start + _PIECE)
                matrix[some, position] = known.scaled(values[some])
                if known.num_bins:
                    matrix[some, bins : bins + known.num_bins] = known.binned(values[some])
            bins += known.num_bins
        start = len(self._numbers) + len(indicated)
        unseen: list[str] = []
        for column, categories in self._categories.items():
            series = frame[column]
            if self._missing == "error":
                self._check_filled(series)
            codes = _codes(series, categories)
            is_known = codes >= 0
            matrix[np.flatnonzero(is_known), start + codes[is_known]] = 1
            start += len(categories)
            if not is_known.all():
                first = series.iloc[int(is_known.argmin())]
                unseen.append(f"{int((~is_known).sum()):,} in {column!r} (such as {first!r})")
        if unseen:
            counts = ", ".join(unseen)
            say(f"categories that the training part lacks, taken as none of its own: {counts}")
        return torch.from_numpy(matrix)

    def plain_columns(self, rows: TableRows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the columns as trees take them, and which of them hold categories.

        Returns:
            float64 (N, D): numbers as they are, NaN where missing, then the number of each row's
            category, NaN where the training part lacks it; and bool (D,).
        """
        frame = self._featured(rows)
        columns = [numbers(frame[column]) for column in self._numbers]
        for column, categories in self._categories.items():
            codes = _codes(frame[column], categories).astype(np.float64)
            columns.append(np.where(codes < 0, np.nan, codes))
        return np.stack(columns, axis=1), np.arange(len(columns)) >= len(self._numbers)

    def state(self) -> dict[str, Any]:
        """Return what was learned, as plain values."""
        known = self._numbers
        learned = {
            "missing": self._missing,
            "fill": {column: known[column].fill for column in known},
            "shift": {column: known[column].shift for column in known},
            "scale": {column: known[column].scale for column in known},
            "shapes": {column: known[column].shape() for column in known},
            "indicated": self._indicated,
            "dates": [column for column in known if known[column].is_date],
            "categories": {column: list(found) for column, found in self._categories.items()},
        }
        features = None if self.features is None else self.features.state()
        return {"features": features, "encoder": learned}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned.

        Raises:
            InputError: The run was trained with other features of your own than are given.
        """
        if (self.features is None) != (state["features"] is None):
            name = "none" if state["features"] is None else state["features"]["name"]
            raise InputError(f"this run was trained with features: {name}; give the same.")
        if self.features is not None:
            self.features.load_state(state["features"])
        learned = state["encoder"]
        self._missing = learned["missing"]
        shapes, dates = learned.get("shapes", {}), learned.get("dates", ())  # older runs have none
        self._numbers = {
            column: NumericScale(
                learned["shift"][column],
                learned["scale"][column],
                **{name: tuple(values) for name, values in shapes.get(column, {}).items()},
                fill=fill,
                indicated=column in learned["indicated"],
                is_date=column in dates,
            )
            for column, fill in learned["fill"].items()
        }
        self._categories = {column: list(found) for column, found in learned["categories"].items()}


def _codes(series: "pd.Series[Any]", categories: Sequence[str | None]) -> NDArray[np.int64]:
    """Return the number of each row's category, -1 for one that is not among `categories`."""
    known: pd.Index[Any] = pd.Index(list(categories), dtype=object)
    return np.asarray(known.get_indexer(pd.Index(as_texts(series), dtype=object)), np.int64)
