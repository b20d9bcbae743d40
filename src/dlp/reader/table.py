"""Encoder of rows of a table: scaled numbers, one-hot categories, words, bins, calendar."""

import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cells import CellConverter
from .codes import Codes, joined, known_codes
from .encoder import Array, Floats, Options, PlainValues, TwoStepEncoder
from .fields import (
    Column,
    Field,
    category_field,
    date_field,
    is_date,
    is_numeric_or_date,
    number_field,
    text_field,
)
from .rows import Columns, Table, as_columns
from .scale import CALENDAR, CLOCK, Missing, Scale, Scales, Scaling, calendar, clock
from .tokens import tokenise

_NUMBERS_PER_BLOCK = 2**17  # they stay in the cache
_SECOND = 1 / 86400  # days


class UnseenCategoryWarning(UserWarning):
    """Cells of a column of categories that training did not have.

    Args:
        column: Name of the column.
        categories: Some of these cells.
    """

    def __init__(self, column: str, categories: Sequence[str]) -> None:
        super().__init__(f"column {column!r}: unseen in training: {list(categories)}")
        self.column = column


class ConvertedTable(NamedTuple):
    """Cells of N rows as numbers and codes, of which `TableEncoder.expand` makes a matrix.

    Args:
        numbers: Cells of the columns of numbers and dates, float64 (N, K); NaN if missing.
        codes: Numbers of the categories and words of each row. They count through all columns.
    """

    numbers: Floats
    codes: Codes


class TableEncoder(TwoStepEncoder[Table, ConvertedTable]):
    """Encoder of a table into a matrix, float32 (N, D).

    Numbers are filled and scaled. A date becomes the number of its day, its weekday and its place
    in the year, and its time of day if the times of the training rows differ. Categories become
    one-hot, and words of texts become columns of 0 and 1. A missing category is a category of its
    own, a missing text has no word.

    A column that is constant in training is left out of the matrix, and a category unseen in
    training becomes zeros; a warning names both.

    Args:
        numeric_columns: Columns to treat as numbers, even if they look like categories.
        categorical_columns: Columns to treat as categories. Numbers and dates that
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
        #: Columns of dates with different times of day, which also have columns of the clock.
        self.clock_: list[str] = []
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
        self._forget()
        self._learn(as_columns(rows))

    def _learn(self, columns: Columns) -> None:
        """Learn from columns; each of them is taken and converted once."""
        import pandas as pd  # an exported model learns nothing

        constant = []
        for name in columns.cells:
            if self.only_listed and name not in self.listed:
                continue
            column = pd.Series(columns.cells[name], name=name).set_axis(columns.index)
            kind = self._kind(column)
            if is_date(column):
                self.dates_.append(name)
                if column.dt.tz is not None:
                    self.zoned_.append(name)
            if kind == "text":
                is_used = self._learn_words(column)
            elif kind == "category":
                is_used = self._learn_categories(column)
            else:
                is_used = self._learn_numbers(column)
            if not is_used:
                constant.append(name)
        if constant:
            warnings.warn(f"constant in training, left out: {', '.join(constant)}", stacklevel=3)
        self.input_shape_ = (len(self.column_names),)

    def _kind(self, column: Column) -> Literal["text", "category", "number"]:
        """Return what a column becomes; a date is a number."""
        if column.name in self.text_columns:
            return "text"
        if column.name in self.categorical_columns:
            return "category"
        if is_numeric_or_date(column) or column.name in self.numeric_columns:
            return "number"
        return "category"

    def _learn_words(self, column: Column) -> bool:
        """Learn the words of a column of texts; return False if it has none."""
        name = str(column.name)
        counts = Counter[str]()
        for text, count in column.dropna().astype(str).value_counts().items():
            counts.update(dict.fromkeys(tokenise(str(text)), count))
        words = [word for word, count in counts.most_common() if count >= self.min_df]
        self.categories_[name] = words[: self.num_words]
        self.fields_.append(text_field(name))
        return bool(words)

    def _learn_numbers(self, column: Column) -> bool:
        """Learn scale and indicator of a column; return False if it is constant without holes."""
        name = str(column.name)
        # A missing cell that is refused is named by `transform`, with its row.
        converter = self._converter(accepts_missing=True)
        numbers = converter.numbers(name, column.to_numpy(), column.index)
        self.fields_.append(self._described(column, number_field(name, numbers)))
        is_missing = np.isnan(numbers)
        if self.missing_indicator and is_missing.any() and not is_missing.all():
            self.indicators_.append(name)
        scale = Scale.fit(numbers, self.missing, self.scaling, self.bins)
        if scale is None:
            return name in self.indicators_
        self.scales_[name] = scale
        if name in self.dates_:
            self.calendar_.append(name)
            if np.ptp(numbers[~is_missing] % 1) > _SECOND:
                self.clock_.append(name)
        return True

    def _learn_categories(self, column: Column) -> bool:
        """Learn the categories of a column; return False if it is constant."""
        name = str(column.name)
        converter = self._converter(accepts_missing=True)
        texts, places = converter.distinct_texts(name, column.to_numpy(), column.index)
        field = category_field(name, texts, places)
        self.fields_.append(self._described(column, field))
        categories = field["categories"] or []
        if len(categories) < 2:
            return False
        self.categories_[name] = categories
        return True

    def _described(self, column: Column, field: Field) -> Field:
        """Return the field of a date, or the given one for another column."""
        name = str(column.name)
        if not is_date(column):
            return field
        return date_field(column, self._converter(accepts_missing=True).date_format(name))

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
        for name in self.clock_:
            names += [f"{name} clock {place}" for place in range(CLOCK)]
        return names

    @property
    def _numeric(self) -> list[str]:
        """Names of the K columns that are read as numbers."""
        return list(dict.fromkeys([*self.scales_, *self.indicators_]))

    @property
    def _read_columns(self) -> list[str]:
        """Names of the columns that are read."""
        return [*self._numeric, *self.categories_]

    def convert(self, rows: Table) -> ConvertedTable:
        """Convert the cells of rows, dictionaries by column or columns, into numbers and codes."""
        columns = as_columns(rows, self._read_columns)
        converter = self._converter(self.missing != "error")
        numbers = np.empty((len(columns), len(self._numeric)))
        for place, name in enumerate(self._numeric):
            numbers[:, place] = converter.numbers(name, columns.array(name), columns.index)
        return ConvertedTable(numbers, self._codes(columns, converter))

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

    def expand(self, converted: ConvertedTable) -> NDArray[np.float32]:
        """Scale the numbers and spread the codes of converted rows, float32 (N, D)."""
        numbers, codes = converted
        starts = codes.starts
        [width] = self.input_shape_
        matrix = np.empty((len(numbers), width), np.float32)
        size = max(1, _NUMBERS_PER_BLOCK // max(1, width))
        for start in range(0, len(matrix), size):
            index = np.arange(start, min(start + size, len(matrix)))
            block = slice(start, start + size)
            columns = self._blocks(numbers[block], codes.take(index, starts))
            np.concatenate(columns, axis=1, out=matrix[block], casting="same_kind")
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
        for name in self.clock_:
            blocks.append(clock(filled[:, scales.index(name)]))
        return blocks

    # Description -------------------------------------------------------------------------------

    def fields(self) -> list[Field]:
        """Return the columns of a row; dates have the format of the training table."""
        return self.fields_

    def state(self) -> PlainValues:
        """Return what `fit` learned as plain values."""
        scales = {name: scale.to_dict() for name, scale in self.scales_.items()}
        return {**super().state(), "scales_": scales}

    def load_state(self, state: PlainValues) -> None:
        """Take what another object has learned, see `state`."""
        self._forget()
        scales = {name: Scale.from_dict(scale) for name, scale in state["scales_"].items()}
        super().load_state({**state, "scales_": scales})
