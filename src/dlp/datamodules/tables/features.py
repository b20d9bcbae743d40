"""User-defined features: a class or a function that converts a data frame to another one."""

import copy
import inspect
from collections.abc import Callable, Mapping
from pydoc import locate
from typing import Any

import pandas as pd

from dlp.datamodules.rows import Array, PlainValues
from dlp.datamodules.tables.files import plain_table
from dlp.datamodules.tables.kinds import check_inputs, is_category
from dlp.datamodules.tables.rows import check_columns
from dlp.datamodules.tables.trained_types import (
    categories_as_trained,
    column_as_trained,
    trained_dates,
    zoned_columns,
)
from dlp.errors import InputError
from dlp.hyperparameters import is_plain
from dlp.reader.cells import CellConverter
from dlp.reader.fields import (
    Column,
    Field,
    category_field,
    date_field,
    is_date,
    number_field,
    text_field,
)
from dlp.reader.rows import Columns, Table, as_columns
from dlp.reader.table import ConvertedTable, TableEncoder

FeaturesArgument = str | Callable[..., Any] | object


class FeatureTransformer:
    """User-defined transformer of the input columns, which is fitted to the training part.

    A checkpoint contains the attributes of the transformer, but not its code. To load the
    checkpoint, the config or the program must give the same class or function again.

    Args:
        transformer: Object with a method ``transform(frame) -> frame`` and, if it learns, a method
            ``fit(frame)``. A class of such objects, which is called without arguments, a function
            from frame to frame, and the import path of a class or function, such as
            ``my_features.Ratios``, are also accepted. `fit` must store what it learns in
            attributes that are None, bool, int, float, str, or lists, tuples and dictionaries of
            these.

    Raises:
        InputError: If the import path cannot be imported.
    """

    def __init__(self, transformer: FeaturesArgument) -> None:
        target = locate(transformer) if isinstance(transformer, str) else transformer
        if target is None:
            raise InputError(
                f"features: cannot import {transformer!r}. Give the import path of a class or "
                "function, such as my_features.Ratios."
            )
        self.transformer: Any = target() if inspect.isclass(target) else target
        self.name = getattr(target, "__qualname__", type(target).__qualname__)
        #: Type of each input column in training.
        self.dtypes: dict[str, str] = {}
        #: Type, with its categories, of each input column of type ``category``.
        self.categories: dict[str, pd.CategoricalDtype] = {}

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit the transformer to the input columns of the training part.

        Raises:
            InputError: If an attribute of the transformer is not a plain value.
        """
        self.dtypes = {str(name): str(dtype) for name, dtype in frame.dtypes.items()}
        self.categories = {
            str(name): dtype
            for name, dtype in frame.dtypes.items()
            if isinstance(dtype, pd.CategoricalDtype)
        }
        if hasattr(self.transformer, "fit"):
            self.transformer.fit(frame.reset_index(drop=True))
        for name, value in vars(self.transformer).items():
            if not is_plain(value):
                raise InputError(
                    f"features: {self.name}.{name} is a {type(value).__name__}, which a checkpoint "
                    "cannot contain. Convert it to plain values with float(...) or .tolist()."
                )

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the features, with one row for each row of the input columns.

        Raises:
            InputError: If a column is missing, or if the result is not a data frame with the same
                index.
        """
        rows = frame.reset_index(drop=True)
        try:
            result = getattr(self.transformer, "transform", self.transformer)(rows)
        except KeyError as error:
            raise InputError(f"features: {self.name} needs the column {error}. Add it.") from error
        if not isinstance(result, pd.DataFrame) or not result.index.equals(rows.index):
            raise InputError(
                f"features: {self.name} must return a data frame with the index of its input."
            )
        return plain_table(result, f"the result of {self.name}").set_axis(frame.index, axis=0)

    def state(self) -> PlainValues:
        """Return the name and the attributes, and the types of the columns, as plain values."""
        categories = {}
        for name, dtype in self.categories.items():
            cells = dtype.categories.tolist()
            if not is_plain(cells):
                cells = list(map(str, cells))
            categories[name] = {"categories": cells, "ordered": bool(dtype.ordered)}
        return {
            "name": self.name,
            "attributes": dict(vars(self.transformer)),
            "dtypes": self.dtypes,
            "categories": categories,
        }

    def load_state(self, state: PlainValues) -> None:
        """Restore the result of `state`.

        Raises:
            InputError: If the state belongs to other features.
        """
        if state["name"] != self.name:
            raise other_features(state["name"])
        vars(self.transformer).update(state["attributes"])
        self.dtypes = state["dtypes"]
        categories = state["categories"].items()
        self.categories = {name: pd.CategoricalDtype(**dtype) for name, dtype in categories}


def other_features(name: str | None) -> InputError:
    """Return the error for a model that was trained with features `name`, or without features."""
    return InputError(f"the model was trained with features: {name}. Give the same argument.")


class FeatureEncoder(TableEncoder):
    """Encoder of a table whose columns are replaced by user-defined features before encoding.

    The transformer receives columns of the same types as in training, such as dates, numbers and
    texts, regardless of how the cells are written in a dictionary or a CSV.

    Args:
        features: Transformer of the columns; see `FeatureTransformer`. It is copied, because each
            split fits its own copy.
        **arguments: Arguments of `TableEncoder`, which encodes the features.
    """

    def __init__(self, features: FeaturesArgument, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.features = FeatureTransformer(copy.deepcopy(features))

    def arguments(self) -> PlainValues:
        """Return the arguments of `TableEncoder` by name."""
        return {name: getattr(self, name) for name in inspect.signature(TableEncoder).parameters}

    def objects(self) -> dict[str, str]:
        """Return the name of the transformer's class or function."""
        return {"features": self.features.name}

    def fit(self, rows: Table, targets: Array | None = None) -> None:
        """Fit the transformer to the rows, and then fit `TableEncoder` to the features."""
        self._forget()
        frame = _frame(as_columns(rows))
        self.features.fit(frame)
        features = self.features.transform(frame)
        if not self.only_listed:
            others = features.drop(columns=self.listed, errors="ignore")
            check_inputs(others, features.columns[features.dtypes == "str"], self.read_csv or {})
        check_columns(features, self.listed)
        self._learn(as_columns(features))
        self.fields_ = [self._input_field(frame[name]) for name in frame]

    def _input_field(self, column: Column) -> Field:
        """Return the `Field` of an input column, from which the features are computed."""
        name = str(column.name)
        converter = self._input_converter
        if is_date(column):
            return date_field(column, converter.date_format(name))
        if pd.api.types.is_numeric_dtype(column):
            return number_field(name, converter.numbers(name, column.to_numpy(), column.index))
        if not is_category(column):
            return text_field(name)
        texts, places = converter.distinct_texts(name, column.to_numpy(object), column.index)
        return category_field(name, texts, places)

    def convert(self, rows: Table) -> ConvertedTable:
        """Compute the features of rows and convert their cells."""
        return super().convert(self.transformed(rows))

    def transformed(self, rows: Table) -> pd.DataFrame:
        """Return the features of rows as a data frame."""
        frame = _frame(as_columns(rows))
        for name, dtype in self.features.dtypes.items():
            if name not in frame:
                continue
            column = frame[name]
            is_number = pd.api.types.is_numeric_dtype(column)  # a number may mean a missing cell
            if name in self.features.categories:
                categories = self.features.categories[name]
                frame[name] = categories_as_trained(column, categories, self._input_converter)
            elif is_number or str(column.dtype) != dtype:
                frame[name] = column_as_trained(column, dtype, self._input_converter)
        return self.features.transform(frame)

    def state(self) -> PlainValues:
        """Return what was learned, including what the transformer learned."""
        return {**super().state(), "features_": self.features.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state`."""
        learned = dict(state)
        self.features.load_state(learned.pop("features_"))
        super().load_state(learned)

    @property
    def _input_converter(self) -> CellConverter:
        """Converter of the cells of the columns before they are transformed."""
        dtypes = self.features.dtypes
        texts = [name for name, dtype in dtypes.items() if dtype in ("str", "category")]
        no_lists = dict.fromkeys(texts, ())
        dates = trained_dates(dtypes)
        zoned = zoned_columns(dtypes)
        return CellConverter(self.read_csv, dates, texts, categories=no_lists, zoned=zoned)


def _frame(columns: Columns) -> pd.DataFrame:
    """Return columns as a data frame."""
    return pd.DataFrame(dict(columns.cells), index=columns.index)
