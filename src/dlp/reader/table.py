"""Encoder of rows of a table: scaled numbers, one-hot categories, words, bins, calendar."""

import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cells import CellConverter
from .codes import Codes, joined, known_codes
from .encoder import Array, Encoder, Floats, Options, PlainValues
from .fields import Column, Field, describe_column, is_date
from .rows import Columns, Table, as_columns
from .scale import CALENDAR, Missing, Scale, Scales, Scaling, calendar
from .tokens import tokenise

_NUMBERS_PER_BLOCK = 2**17  # they stay in the cache


class UnseenCategoryWarning(UserWarning):
    """Cells of a column of categories that training did not have.

    Args:
        column: Name of the column.
        categories: Some of these cells.
    """

    def __init__(self, column: str, categories: Sequence[str]) -> None:
        super().__init__(f"column {column!r}: unseen in training: {list(categories)}")
        self.column = column


class TableCells(NamedTuple):
    """Cells of N rows as numbers and codes, from which the matrix of the network is made.

    Args:
        numbers: Cells of the columns of numbers and dates, float64 (N, K); NaN if missing.
        codes: Numbers of the categories and words of a row among those of all columns.
    """

    numbers: Floats
    codes: Codes


class TableEncoder(Encoder[Table]):
    """Encoder of a table into a matrix, float32 (N, D).

    Numbers are filled and scaled, a date is the number of its day, its weekday and its place in the
    year, categories become one-hot, and words of texts become columns of 0 and 1. A missing
    category is a category of its own, a missing text has no word.

    A column that is constant in training is left out of the matrix, and a category unseen in
    training becomes zeros; a warning names both.

    Args:
        numeric_columns: Columns of numbers, whatever they look like.
        categorical_columns: Columns of categories, whatever they look like. Numbers and dates that
            are not listed are numeric, all others are categorical.
        text_columns: Columns of texts.
        only_listed: Whether columns in none of the three lists are left out.
        missing: Filling of missing numbers; ``error`` refuses every missing cell.
        missing_indicator: Whether columns of 0 and 1 mark the missing cells.
        scaling: Scaling of numbers.
        bins: Number of bins per column of numbers; 0 for none.
        num_words: Largest number of words of a column of texts, the most frequent ones.
        min_df: Number of training rows that a word must be in.
        read_csv: Arguments of ``pandas.read_csv`` by which the training table was read.
    """

    kind = "table"
    form = "columns"
    explained_by = "columns"

    def __init__(
        self,
        numeric_columns: Sequence[str] = (),
        categorical_columns: Sequence[str] = (),
        text_columns: Sequence[str] = (),
        only_listed: bool = False,
        missing: Missing = "error",
        missing_indicator: bool = False,
        scaling: Scaling = "standard",
        bins: int = 0,
        num_words: int = 1000,
        min_df: int = 2,
        read_csv: Options | None = None,
    ) -> None:
        self.numeric_columns = list(numeric_columns)
        self.categorical_columns = list(categorical_columns)
        self.text_columns = list(text_columns)
        self.only_listed = only_listed
        self.missing = missing
        self.missing_indicator = missing_indicator
        self.scaling = scaling
        self.bins = bins
        self.num_words = num_words
        self.min_df = min_df
        self.read_csv = dict(read_csv or {})
        self._forget()

    def _forget(self) -> None:
        """Reset what was learned."""
        #: Scale of each column of numbers or dates.
        self.scales_: dict[str, Scale] = {}
        #: Columns whose missing cells have an indicator.
        self.indicators_: list[str] = []
        #: Categories of each column of categories, and words of each column of texts.
        self.categories_: dict[str, list[str]] = {}
        #: Columns of dates.
        self.dates_: list[str] = []
        #: Columns of dates with an offset from UTC.
        self.zoned_: list[str] = []
        #: Columns of dates that have columns of the calendar.
        self.calendar_: list[str] = []
        #: Columns of a row, which may be others than those encoded; see `fields`.
        self.fields_: list[Field] = []
        self.__dict__.pop("_scales", None)

    @cached_property
    def _scales(self) -> Scales:
        """Scales of all columns of numbers."""
        return Scales(list(self.scales_.values()))

    @property
    def listed(self) -> list[str]:
        """Names of the columns whose kind is given."""
        return [*self.numeric_columns, *self.categorical_columns, *self.text_columns]

    # Learning ----------------------------------------------------------------------------------

    def fit(self, rows: Table, targets: Array | None = None) -> None:
        """Learn fill values, scales, categories, words and a typical cell of each column."""
        columns = as_columns(rows)
        self._forget()
        self._learn_fields(columns, self.categorical_columns)
        self._learn_matrix(columns)

    def _learn_fields(self, columns: Columns, categorical: Sequence[str]) -> None:
        """Learn what a page says of each column."""
        import pandas as pd  # an exported model learns nothing

        converter = self._converter(accepts_missing=True)
        for name in columns.cells:
            column = pd.Series(columns.cells[name], name=name)
            form = converter.date_format(name)
            self.fields_.append(describe_column(column, self.text_columns, categorical, form))

    def _learn_matrix(self, columns: Columns) -> None:
        """Learn the columns of the matrix."""
        import pandas as pd

        constant = []
        for name in columns.cells:
            if self.only_listed and name not in self.listed:
                continue
            column = pd.Series(columns.cells[name])
            if is_date(column):
                self.dates_.append(name)
                if column.dt.tz is not None:
                    self.zoned_.append(name)
            is_number = name in self.dates_ or pd.api.types.is_numeric_dtype(column)
            if name in self.text_columns:
                is_used = self._learn_words(name, column)
            elif name in self.categorical_columns or not (
                is_number or name in self.numeric_columns
            ):
                is_used = self._learn_categories(name, columns)
            else:
                is_used = self._learn_numbers(name, columns)
            if not is_used:
                constant.append(name)
        if constant:
            warnings.warn(f"constant in training, left out: {', '.join(constant)}", stacklevel=3)
        self.input_shape_ = (len(self.column_names),)

    def _learn_words(self, name: str, column: Column) -> bool:
        """Learn the words of a column of texts; return False if it has none."""
        counts = Counter[str]()
        for text, count in column.dropna().astype(str).value_counts().items():
            counts.update(dict.fromkeys(tokenise(str(text)), count))
        words = [word for word, count in counts.most_common() if count >= self.min_df]
        self.categories_[name] = words[: self.num_words]
        return bool(words)

    def _learn_numbers(self, name: str, columns: Columns) -> bool:
        """Learn scale and indicator of a column; return False if it is constant without holes."""
        # A missing cell that is refused is named by `transform`, with its row.
        numbers = self._converter(accepts_missing=True).numbers(
            name, columns.array(name), columns.index
        )
        is_missing = np.isnan(numbers)
        if self.missing_indicator and is_missing.any() and not is_missing.all():
            self.indicators_.append(name)
        scale = Scale.fit(numbers, self.missing, self.scaling, self.bins)
        if scale is None:
            return name in self.indicators_
        self.scales_[name] = scale
        if name in self.dates_:
            self.calendar_.append(name)
        return True

    def _learn_categories(self, name: str, columns: Columns) -> bool:
        """Learn the categories of a column; return False if it is constant."""
        converter = self._converter(accepts_missing=True)
        texts, _ = converter.distinct_texts(name, columns.array(name), columns.index)
        categories = sorted(set(texts), key=lambda text: (not text, text))  # the empty one last
        if len(categories) < 2:
            return False
        self.categories_[name] = categories
        return True

    def _converter(self, accepts_missing: bool) -> CellConverter:
        return CellConverter(
            self.read_csv,
            self.dates_,
            self.text_columns,
            accepts_missing,
            self.categories_,
            self.zoned_,
        )

    # Encoding ----------------------------------------------------------------------------------

    @property
    def column_names(self) -> list[str]:
        """Names of the D columns of the matrix."""
        names = list(self.scales_)
        names += [f"{name} (missing)" for name in self.indicators_]
        for name, terms in self.categories_.items():
            sign = ": " if name in self.text_columns else "="
            names += [f"{name}{sign}{term or '(missing)'}" for term in terms]
        for name, scale in self.scales_.items():
            names += [f"{name} bin {place}" for place in range(1, scale.num_bins + 1)]
        for name in self.calendar_:
            names += [f"{name} calendar {place}" for place in range(CALENDAR)]
        return names

    def transform(self, rows: Table) -> NDArray[np.float32]:
        """Encode rows: dictionaries by column, or columns."""
        return self.matrix(self.read(rows))

    @property
    def _numeric(self) -> list[str]:
        """Names of the K columns that are read as numbers."""
        return list(dict.fromkeys([*self.scales_, *self.indicators_]))

    @property
    def _read_columns(self) -> list[str]:
        """Names of the columns that are read."""
        return [*self._numeric, *self.categories_]

    def read(self, rows: Table) -> TableCells:
        """Convert the cells of rows, which take less memory than a wide matrix."""
        columns = as_columns(rows, self._read_columns)
        converter = self._converter(self.missing != "error")
        numbers = np.empty((len(columns), len(self._numeric)))
        for place, name in enumerate(self._numeric):
            numbers[:, place] = converter.numbers(name, columns.array(name), columns.index)
        return TableCells(numbers, self._codes(columns, converter))

    def _codes(self, columns: Columns, converter: CellConverter) -> Codes:
        """Return the codes of the categories and words of each row."""
        codes_by_column = []
        first = 0
        for name, terms in self.categories_.items():
            codes_by_term = {term: code for code, term in enumerate(terms, first)}
            first += len(terms)
            texts, places = converter.distinct_texts(name, columns.array(name), columns.index)
            if name in self.text_columns:
                terms_by_text = list(map(tokenise, texts))
            else:
                terms_by_text = [[text] for text in texts]
                if unseen := sorted(set(texts) - set(codes_by_term)):
                    warnings.warn(UnseenCategoryWarning(name, unseen[:5]), stacklevel=4)
            codes_by_column.append(known_codes(terms_by_text, codes_by_term).take(places))
        return joined(codes_by_column, len(columns))

    def matrix(self, cells: TableCells) -> NDArray[np.float32]:
        """Return the matrix of converted cells, float32 (N, D)."""
        starts = cells.codes.starts
        [width] = self.input_shape_
        matrix = np.empty((len(cells.numbers), width), np.float32)
        size = max(1, _NUMBERS_PER_BLOCK // max(1, width))
        for start in range(0, len(matrix), size):
            rows = slice(start, start + size)
            index = np.arange(len(matrix))[rows]
            blocks = self._blocks(cells.numbers[rows], cells.codes.take(index, starts))
            np.concatenate(blocks, axis=1, out=matrix[rows], casting="same_kind")
        return matrix

    def _blocks(self, numbers: Floats, codes: Codes) -> list[Array]:
        """Return the columns of the matrix in blocks, see `column_names`."""
        num_scales = len(self.scales_)
        is_missing = np.isnan(numbers)
        filled = self._scales.filled(numbers[:, :num_scales])
        scaled = self._scales.scaled(filled)
        if self.missing == "zero":
            scaled[is_missing[:, :num_scales]] = 0
        marked = [self._numeric.index(name) for name in self.indicators_]
        num_terms = sum(map(len, self.categories_.values()))
        blocks = [
            scaled,
            is_missing[:, marked],
            codes.to_dense(num_terms),
            self._scales.in_bins(filled),
        ]
        scales = list(self.scales_)
        for name in self.calendar_:
            blocks.append(calendar(filled[:, scales.index(name)]))
        return blocks

    # Description -------------------------------------------------------------------------------

    def fields(self) -> list[Field]:
        """Return the columns of a row; dates have the format of the training table."""
        fields: list[Field] = []
        for learned in self.fields_:
            field = learned.copy()
            name = field["name"]
            is_text = field["kind"] == "text" and name not in self.text_columns
            if is_text and name in self.categories_:
                field["kind"] = "category"
                field["categories"] = self.categories_[name]
            fields.append(field)
        return fields

    def state(self) -> PlainValues:
        """Return what `fit` learned as plain values."""
        scales = {name: scale.to_dict() for name, scale in self.scales_.items()}
        return {**super().state(), "scales_": scales}

    def load_state(self, state: PlainValues) -> None:
        """Take what another object has learned, see `state`."""
        self._forget()
        scales = {name: Scale.from_dict(scale) for name, scale in state["scales_"].items()}
        super().load_state({**state, "scales_": scales})
