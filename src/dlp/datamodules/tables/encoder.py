"""Encoder of a table: what it learns of the columns, and how it reads their cells."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from dlp.console import say
from dlp.datamodules.rows import Array, Encoder, PlainValues, StoredRows
from dlp.datamodules.tables.columns import (
    CALENDAR,
    EncodedTable,
    Missing,
    Scale,
    Scaling,
    TableFeatures,
)
from dlp.datamodules.tables.features import FeatureTransformer
from dlp.datamodules.tables.kinds import check_inputs, is_date, is_numeric_or_date
from dlp.datamodules.tables.rows import TableRows, check_columns
from dlp.errors import InputError, check_range
from dlp.reader.table import TableReader, known_terms, number, padded
from dlp.reader.text import tokenise

_LARGEST_MATRIX = 2**26  # numbers, 256 MB
_LARGEST_NUMBER = float(np.finfo(np.float32).max)
_EPOCH = np.datetime64("1970-01-01", "us")
_DAY = np.timedelta64(1, "D")


@dataclass(eq=False)
class TableEncoder(Encoder):
    """Encoder of a table: numbers filled and scaled, one-hot categories, words, bins, calendar.

    A date is the number of its day, and its weekday and place in the year.

    A column that is constant in training is left out of the matrix, and a category unseen in
    training becomes zeros; a line names both. A missing category is a category of its own, a
    missing text has no word. The arguments are those of `TableDataModule`, there called
    ``numeric_columns``, ``categorical_columns``, ``text_columns``, ``missing_indicator``;
    `lists_all` tells whether the columns that are not listed are left out.
    """

    kind = "table"
    reader = TableReader
    module = TableFeatures
    explained_by = "columns"

    numeric: Sequence[str] = ()
    categorical: Sequence[str] = ()
    missing: Missing = "error"
    indicator: bool = False
    scaling: Scaling = "standard"
    bins: int = 0
    features: FeatureTransformer | None = None
    read_csv: Mapping[str, Any] = field(default_factory=dict)
    texts: Sequence[str] = ()
    num_words: int = 1000
    min_df: int = 2
    lists_all: bool = False

    def __post_init__(self) -> None:
        check_range(0, bins=self.bins)
        check_range(1, num_words=self.num_words, min_df=self.min_df)
        self.settled = [*self.numeric, *self.categorical, *self.texts]
        self.scales: dict[str, PlainValues] = {}
        self.indicators: list[str] = []
        self.categories: dict[str, list[str]] = {}
        self.dates: list[str] = []
        self.calendar: list[str] = []  # dates that are inputs
        self.typical: dict[str, float | str] = {}
        self.ranges: dict[str, list[float]] = {}

    def listed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return all columns, or the listed ones if both kinds are listed."""
        if not self.lists_all:
            return frame
        return frame.loc[:, frame.columns.isin(self.settled)]

    def check(self, frame: pd.DataFrame, texts: Collection[str]) -> None:
        """Check that the columns that are not listed are inputs, on all rows of the table."""
        if not self.lists_all:
            check_inputs(frame.drop(columns=self.settled, errors="ignore"), texts)

    def fit(self, rows: TableRows, targets: Any = None) -> None:
        """Learn features, fill values, scales, categories and a typical cell of each column."""
        frame = rows.frame
        self.typical = {name: _typical_cell(frame[name]) for name in map(str, frame)}
        self.typical |= {name: "" for name in self.texts if name in frame}
        for name, column in frame.select_dtypes("number", exclude="timedelta").items():
            if column.count():
                self.ranges[str(name)] = [float(column.min()), float(column.max())]
        if self.features is not None:
            self.features.fit(frame)
            frame = self.features.transform(frame)
            self.check(frame, frame.columns[frame.dtypes == "str"])
        check_columns(frame, self.settled)
        frame = self.listed(frame)
        constant = [name for name in map(str, frame) if not self._fit_column(frame[name])]
        if constant:
            say(f"constant in training, left out: {', '.join(constant)}")
        if len(constant) == len(frame.columns):
            raise InputError(
                "the table has no input column; check target and drop_columns. If its input is a "
                "column of texts, give dlp init --text_column."
            )
        self.input_shape = (len(self.names),)

    def _fit_column(self, column: "pd.Series[Any]") -> bool:
        """Learn from a column; return False if it is constant."""
        name = str(column.name)
        if name in self.texts:
            counts = Counter[str]()
            for text, count in column.dropna().astype(str).value_counts().items():
                counts.update(dict.fromkeys(tokenise(str(text)), count))
            words = [word for word, count in counts.most_common() if count >= self.min_df]
            self.categories[name] = words[: self.num_words]
            return bool(words)
        if is_date(column):
            self.dates.append(name)
        if name in self.numeric or (is_numeric_or_date(column) and name not in self.categorical):
            scale = Scale.fit(self._numbers(column), self.missing, self.scaling, self.bins)
            if scale is not None:
                self.scales[name] = asdict(scale)
                if is_date(column):
                    self.calendar.append(name)
            if self.indicator and column.isna().nunique() == 2:
                self.indicators.append(name)
            return name in self.scales or name in self.indicators
        texts = set(_texts(column)[1])
        if len(texts) > 1:
            self.categories[name] = sorted(texts, key=lambda text: (not text, text))  # "" last
        return name in self.categories

    @property
    def names(self) -> list[str]:
        """Names of the D columns of the matrix."""
        names = list(self.scales)
        for name in self.indicators:
            names.append(f"{name} (missing)")
        for name, terms in self.categories.items():
            sign = ": " if name in self.texts else "="
            names += [f"{name}{sign}{term or '(missing)'}" for term in terms]
        for name, scale in self.scales.items():
            for place in range(1, len(scale["edges"])):
                names.append(f"{name} bin {place}")
        for name in self.calendar:
            names += [f"{name} calendar {place}" for place in range(CALENDAR)]
        return names

    def transform(self, rows: TableRows) -> StoredRows:
        """Return float32 (N, D); a matrix that would be large is made batch by batch."""
        columns = TableFeatures(self.state())
        if self.features is not None:
            rows = self.baseline_rows(rows)
        numbers = np.empty((len(rows), len(columns.names)))
        for place, name in enumerate(columns.names):
            numbers[:, place] = self._numbers(self._column(rows, name))
        codes = [np.empty((len(rows), 0), np.int64)]
        first = 0
        unseen = []
        for name, terms in self.categories.items():
            places = {term: code for code, term in enumerate(terms, first)}
            first += len(terms)
            is_text = name in self.texts
            cells, texts = _texts(self._column(rows, name))
            codes.append(padded([known_terms(text, places, is_text) for text in texts])[cells])
            is_unseen = codes[-1][:, 0] < 0
            if is_unseen.any() and not is_text:
                example = texts[cells[is_unseen.argmax()]]
                unseen.append(f"{name} in {is_unseen.sum():,} rows (such as {example!r})")
        if unseen:
            say(f"categories unseen in training become zeros: {', '.join(unseen)}")
        all_codes = torch.from_numpy(np.concatenate(codes, axis=1))
        table = EncodedTable(columns, torch.from_numpy(numbers), all_codes)
        if len(table) * len(self.names) > _LARGEST_MATRIX:
            return table
        return table[torch.arange(len(table))]

    def baseline_rows(self, rows: TableRows) -> TableRows:
        """Return the rows with the columns of `features`, and which are texts."""
        table = rows.frame
        if self.features is not None:
            table = self.features.transform(table)
        return TableRows(table, texts=[name for name in self.texts if self.categories[name]])

    def _column(self, rows: TableRows, name: str) -> "pd.Series[Any]":
        """Return a column of the kind that it had in training, without missing cells if refused."""
        if name not in rows.table or is_date(rows.table[name]) != (name in self.dates):
            kind = "dates" if name in self.dates else "numbers or texts"
            raise InputError(
                f"the table has no column {name!r} of {kind}, which was an input in training."
            )
        column = rows.table[name].iloc[rows.rows]
        is_missing = column.isna()
        if self.missing == "error" and name not in self.texts and is_missing.any():
            raise InputError(
                f"column {name!r} has {is_missing.sum():,} missing cells, the first in row "
                f"{is_missing.idxmax()}. Fill them in, or train with missing: zero, mean or median."
            )
        return column

    def _numbers(self, column: "pd.Series[Any]") -> Array:
        """Return numbers, float64 (N,), NaN for a missing cell; dates become days since 1970."""
        if is_date(column):
            return np.asarray((column.to_numpy("datetime64[us]") - _EPOCH) / _DAY)
        cells = column
        if not is_numeric_or_date(column):
            cells = column.astype(object).map(self._read_number, na_action="ignore")
        values = cells.to_numpy(np.float64, na_value=np.nan)
        is_wrong = abs(values) > _LARGEST_NUMBER
        if is_wrong.any():
            wrong = column[is_wrong]
            raise InputError(
                f"column {column.name!r} takes finite numbers up to 1e38; row {wrong.index[0]} has "
                f"{str(wrong.iloc[0])!r}."
            )
        return values

    def _read_number(self, cell: Any) -> float:
        """Return the number in a text by the conventions of the table; infinity for none."""
        try:
            return number(cell, self.read_csv)
        except (ValueError, TypeError):
            return math.inf

    def facts(self, rows: TableRows) -> PlainValues:
        """Return the number of columns of each kind, and of missing cells."""
        kinds = Counter(column["kind"] for column in TableReader(self.spec()).fields())
        return {"columns": kinds, "missing_cells": int(rows.frame.isna().sum().sum())}

    def spec(self) -> PlainValues:
        """Return also the conventions of the table."""
        return {**super().spec(), "read_csv": self.read_csv}

    def state(self) -> PlainValues:
        """Return what was learned as plain values."""
        names = ["missing", "scales", "indicators", "categories", "texts", "dates"]
        names += ["calendar", "typical", "ranges"]
        state = {name: getattr(self, name) for name in names}
        state["features"] = self.features and self.features.state()
        return state

    def load_state(self, state: PlainValues) -> None:
        """Restore a `state`."""
        features = self.features
        name = state["features"] and state["features"]["name"]
        if name != getattr(features, "name", None):
            raise InputError(f"the model was trained with features: {name}; give the same ones.")
        if features is not None:
            features.load_state(state["features"])
        vars(self).update({**state, "features": features})


def _typical_cell(column: "pd.Series[Any]") -> float | str:
    """Return the median of numbers and dates, or the commonest category; empty without a cell."""
    if not column.count():
        return ""
    if is_date(column):
        return pd.Timestamp(column.median()).isoformat()
    if is_numeric_or_date(column):
        return float(column.median())
    return str(column.mode().iloc[0])


def _texts(column: "pd.Series[Any]") -> tuple[Array, list[str]]:
    """Return the category of each cell, (N,), and the texts of the categories.

    A missing cell is an empty text, and 1.0 is 1: holes make floats of whole numbers.
    """
    if column.dtype == "object":  # lists
        column = column.astype("str")
    codes, values = pd.factorize(column)
    texts = [re.sub(r"^(-?\d+)\.0$", r"\1", str(value)) for value in values]
    if (codes < 0).any():
        texts.append("")
    return codes, texts
