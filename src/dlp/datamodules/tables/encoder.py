"""Encoder of a table: what it learns of the columns, and how it reads their cells."""

import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd
import torch

from dlp.console import say
from dlp.datamodules.rows import Encoder, PlainValues, StoredRows
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
from dlp.errors import InputError, check_range, naming
from dlp.reader.rows import Columns
from dlp.reader.table import TableReader
from dlp.reader.text import tokenise

_LARGEST_MATRIX = 2**25  # numbers, 128 MB


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
        self._forget()

    def _forget(self) -> None:
        """Reset what was learned."""
        self.scales: dict[str, PlainValues] = {}
        self.indicators: list[str] = []
        self.categories: dict[str, list[str]] = {}
        self.dates: list[str] = []
        self.calendar: list[str] = []  # dates that are inputs
        self.typical: dict[str, float | str] = {}
        self.ranges: dict[str, list[float]] = {}
        self._unseen: set[str] = set()  # columns with categories unseen in training

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
        self._forget()
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
        with naming("the table"):
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
        # A hole that training refuses is named later, with its row.
        reader = TableReader({**self.spec(), "missing": "mean"})
        rows = Columns({name: column.to_numpy()}, column.index)
        if name in self.numeric or (is_numeric_or_date(column) and name not in self.categorical):
            numbers = reader.read_numbers(name, rows)
            scale = Scale.fit(numbers, self.missing, self.scaling, self.bins)
            if scale is not None:
                self.scales[name] = asdict(scale)
                if is_date(column):
                    self.calendar.append(name)
            if self.indicator and column.isna().nunique() == 2:
                self.indicators.append(name)
            return name in self.scales or name in self.indicators
        texts = set(reader.read_texts(name, rows)[0])
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
        columns = self.baseline_rows(rows).cells()
        with naming("the table"), warnings.catch_warnings(record=True, action="always") as unseen:
            reader = TableReader(self.spec())
            numbers = reader.read_matrix(columns)
            codes, lengths = reader.read_codes(columns)
        for warning in unseen:
            column = str(warning.message).partition(": unseen")[0]
            if warning.category is UserWarning and column not in self._unseen:
                say(f"{warning.message}, which become zeros")
                self._unseen.add(column)  # once for all pieces of a file
        table = EncodedTable(TableFeatures(self.state()), numbers, codes, lengths)
        if len(table) * len(self.names) > _LARGEST_MATRIX:
            return table
        return table[torch.arange(len(table))]

    def baseline_rows(self, rows: TableRows) -> TableRows:
        """Return the rows with the columns of `features`, and which are texts."""
        texts = [name for name in self.texts if self.categories[name]]
        if self.features is None:
            return replace(rows, texts=texts)
        return TableRows(self.features.transform(rows.frame), texts=texts)

    def facts(self, rows: TableRows) -> PlainValues:
        """Return the number of columns of each kind, and of missing cells."""
        kinds = Counter(column["kind"] for column in TableReader(self.spec()).fields())
        num_missing = sum(int(pd.isna(cells).sum()) for cells in rows.cells().cells.values())
        return {"columns": kinds, "missing_cells": num_missing}

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
    """Return the median of numbers and dates, or the commonest category; empty without a cell.

    If a column has times of day, so does its typical cell.
    """
    if not column.count():
        return ""
    if is_date(column):
        dates: Any = column.dropna()
        with_time = dates[dates != dates.dt.normalize()]
        if len(with_time):
            dates = with_time
        return pd.Timestamp(dates.quantile(interpolation="lower")).isoformat()
    if is_numeric_or_date(column):
        return float(column.median())
    return str(column.mode().iloc[0])
