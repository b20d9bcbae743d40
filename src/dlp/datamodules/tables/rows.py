"""Rows of a table."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dlp.console import say
from dlp.datamodules.rows import Array, Estimator, Estimators, Indices, Rows
from dlp.datamodules.tables.kinds import check_target
from dlp.errors import check_choice, inline
from dlp.reader.encoder import Options
from dlp.reader.fields import Column, is_date, is_numeric_or_date
from dlp.reader.rows import Columns
from dlp.reader.tokens import tokenise


@dataclass(frozen=True)
class TableRows(Rows):
    """Rows of a data frame, whose index contains the row numbers.

    Args:
        table: Data frame, which all parts of a split share.
        index: Indices of the rows in the table, (N,).
        texts: Names of the text columns.
    """

    table: pd.DataFrame
    index: Indices | slice = field(default_factory=lambda: slice(None))
    texts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.table.index[self.index])

    def __getitem__(self, index: Indices) -> "TableRows":
        own = np.arange(len(self.table))[self.index]
        return replace(self, index=own[index])

    @property
    def frame(self) -> pd.DataFrame:
        """Rows as a separate data frame."""
        return self.table.iloc[self.index]

    def encodable(self) -> Columns:
        """Return the rows as columns. Each column is selected from the table when it is read."""
        return Columns(_Cells(self.table, self.index), self.table.index[self.index])

    def describe(self) -> str:
        """Return one line per column: its kind, missing cells, distinct cells and range."""
        header = ["column", "kind", "missing", "distinct", "values"]
        lines = [_describe_column(self.frame[name]) for name in self.frame]
        if not lines:
            return f"{len(self):,} rows, no column is an input"
        table = pd.DataFrame(lines, columns=header).to_string(index=False)
        return "\n".join([f"{len(self):,} rows", table, *_hints(self.frame)])

    def readable(self) -> list[str]:
        """Return one line per row with the name and the cell of each column."""
        lines = []
        for row in self.frame.astype(str).to_dict("records"):
            lines.append(", ".join(f"{name}={cell}" for name, cell in row.items()))
        return lines

    def raw(self) -> list[Any]:
        """Return one dictionary per row, in which missing cells are None."""
        cells = self.frame.astype(object).where(self.frame.notna(), None)
        return cells.rename(columns=str).to_dict("records")

    def features(self) -> pd.DataFrame:
        """Return a data frame of numbers, categories and texts. Booleans and dates are numbers."""
        types = dict.fromkeys(self.frame.select_dtypes("bool"), "float")
        types |= dict.fromkeys(self.frame.select_dtypes("str"), "category")
        frame = self.frame.astype(types | dict.fromkeys(self.texts, "str"))
        for name in frame.select_dtypes(["datetime", "datetimetz"]):
            frame[name] = pd.DatetimeIndex(frame[name]).to_julian_date()
        return frame.fillna(dict.fromkeys(self.texts, ""))

    def baselines(self, linear: Estimator, boosting: Estimator) -> Estimators:
        """Return a linear model and gradient boosting.

        The linear model uses scaled numbers, one-hot categories and the words of texts. Gradient
        boosting uses numbers and the codes of categories, but no words.
        """
        from sklearn.compose import make_column_selector, make_column_transformer
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

        is_number = make_column_selector(dtype_include=np.number)
        is_category = make_column_selector(dtype_include="category")
        numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        words = [(CountVectorizer(analyzer=tokenise, binary=True), name) for name in self.texts]
        spread = make_column_transformer(
            (numbers, is_number), (OneHotEncoder(handle_unknown="ignore"), is_category), *words
        )
        # Trees accept missing and unscaled numbers.
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        coded = make_column_transformer(("passthrough", is_number), (codes, is_category))
        models = {"linear model": make_pipeline(spread, linear())}
        name = "gradient boosting"
        if self.texts:
            name += " without words"
        if len(self.texts) < self.table.shape[1]:
            models[name] = make_pipeline(coded, boosting())
        return models


class _Cells(Mapping[str, Any]):
    """Cells of some rows by column.

    They are selected column by column, because a copy of all columns would take as much memory as
    the table.
    """

    def __init__(self, table: pd.DataFrame, index: Indices | slice) -> None:
        self.columns = {str(name): column for name, column in table.items()}
        self.index = index

    def __getitem__(self, name: str) -> Any:
        return self.columns[name].iloc[self.index]

    def __contains__(self, name: object) -> bool:  # the default would select the column
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def _describe_column(column: Column) -> tuple[Any, ...]:
    cells = column.dropna()
    if is_date(column):
        kind = "date"
        values = f"{cells.min()} to {cells.max()}"
    elif is_numeric_or_date(column):
        kind = "number"
        values = f"{float(cells.min()):g} to {float(cells.max()):g}"
    else:
        has_lists = cells.map(pd.api.types.is_list_like).any()
        kind = "list" if has_lists else "category"
        cells = cells.astype(str)  # lists have no hash
        categories = sorted(cells.unique())
        values = textwrap.shorten(", ".join(categories[:20]), 60, placeholder=" ...")
    return column.name, kind, len(column) - len(cells), cells.nunique(), values


def _hints(frame: pd.DataFrame) -> list[str]:
    """Return hints about cells with the text NA, and about column names that look like cells."""
    hints = []
    plain = frame.loc[:, frame.dtypes != "object"]  # lists may be arrays
    counts: Any = (plain == "NA").sum()
    if counts.any():
        hints.append(
            f"cells with the text NA: {inline(counts[counts > 0].to_dict())}; if they are missing, "
            "give read_csv: {na_values: NA}"
        )
    names = frame.columns.to_series()
    are_among_cells = (plain == names[plain.columns]).any().reindex(names.index, fill_value=False)
    is_cell = pd.to_numeric(names, errors="coerce").notna() | are_among_cells
    if is_cell.all() and not names.str.isdigit().all():  # with header: null, names are digits
        hints.append(
            "the names of the columns look like cells; if the file has no names, give read_csv: "
            "{header: null}"
        )
    return hints


def check_columns(frame: pd.DataFrame, names: Iterable[str | None]) -> None:
    """Check that a table has all of the given columns."""
    for name in names:
        if name is not None:
            check_choice("column", name, frame.columns)


class Roles(NamedTuple):
    """Names of the id, group and time columns that a table has."""

    id: str | None
    group: str | None
    time: str | None

    def cells(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Return the index, id columns, groups and times of the rows as arguments of `Examples`."""
        cells: dict[str, Any] = {"index": frame.index.to_numpy()}
        if self.id in frame:
            cells["id_columns"] = {self.id: frame[self.id].to_numpy(object)}
        for role, name in (("groups", self.group), ("times", self.time)):
            if name in frame:
                cells[role] = frame[name].to_numpy()
        return cells


def target_values(frame: pd.DataFrame, task: str, options: Options) -> Array:
    """Return the target columns of a frame, (N,) or (N, T); see `check_target`."""
    for name in frame:
        check_target(frame[name], task, options)
    column: Any = frame.squeeze(axis="columns")
    if column.ndim == 1 and not is_numeric_or_date(column):
        # Equal cells share one object, because a million separate texts would take 50 MB.
        codes, values = pd.factorize(column)
        column = np.append(np.asarray(values, object), np.nan)[codes]  # -1 is missing
    return np.asarray(column)


def drop_unlabelled(frame: pd.DataFrame, targets: list[str], source: str) -> pd.DataFrame:
    """Return the rows that have all targets, and print how many rows do not."""
    labelled = frame.dropna(subset=targets)
    count = len(frame) - len(labelled)
    if count:
        say(f"{count:,} rows of {source} have no target and are left out")
    if count and len(targets) == 1:
        [target] = targets
        # Missing cells turned whole numbers into floats. Other types, such as text, are unchanged.
        if pd.api.types.is_float_dtype(labelled[target]):
            labelled[target] = labelled[target].convert_dtypes()
    return labelled
